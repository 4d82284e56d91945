package driver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"

	"github.com/go-aftercommit/aftercommit/internal/lent"
)

// leaseKind says what the connection is lent for.
type leaseKind int8

const (
	// leaseIdle: the connection is outside any transaction; Begin is real.
	leaseIdle leaseKind = iota
	// leaseFlush: it is inside the app's transaction; Begin, Commit and Rollback do nothing.
	leaseFlush
	// leaseBeside: it is the handler's own, and lent for as long as it lives.
	leaseBeside
)

// errRevoked is what a borrower gets that uses the connection after the call.
var errRevoked = errors.New("driver: the app's connection was lent only until the call returned: open a separate database for later work")

var errSent = errors.New("driver: the COMMIT has been sent with the query that Flush.Final made, which must be the last one")

// lease lends the connection as a *sql.DB of exactly one connection. When it
// is revoked while a call is still running, or with rows, a statement or a
// transaction left open, the connection cannot go back to the app and is given
// up; its base is closed by the last use that ends.
type lease struct {
	c      *conn
	kind   leaseKind
	db     *sql.DB
	ctx    context.Context // ended by revoke, which cancels running calls
	last   context.Context // of the query that has the COMMIT behind it
	cancel context.CancelFunc

	rows lent.Set

	mu      sync.Mutex // guards what follows
	guard   string     // runs before the first statement, then ""
	final   string     // the query that has the COMMIT behind it
	sent    bool       // final was executed
	within  bool       // the borrower has a transaction of its own open
	entered bool       // the borrower has used the connection
	setup   bool       // lent for Handler.Connect
	left    leftover   // of an idle connection
	revoked bool
	uses    int   // running calls, open rows, statements, transactions
	native  error // the last error of the base driver
	closing bool  // the last use closes the base connection
}

var _ driver.Connector = (*lease)(nil)

func (c *conn) lend(ctx context.Context, kind leaseKind) *lease {
	l := &lease{c: c, kind: kind}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l.db = sql.OpenDB(l)
	l.db.SetMaxOpenConns(1)
	return l
}

// revoke ends the lease and returns the last error of the base driver in it.
func (l *lease) revoke() error {
	l.mu.Lock()
	l.revoked = true
	native := l.native
	l.mu.Unlock()
	l.cancel()
	_ = l.db.Close()
	l.mu.Lock()
	busy, left := l.uses > 0, l.left
	l.mu.Unlock()
	if busy {
		if l.rows.Acquire(0) {
			l.rows.Close()
			l.rows.Use.Unlock()
		}
		l.c.lent = l
		l.c.discard()
		return native
	}
	l.c.cleanUp(context.WithoutCancel(l.ctx), left)
	return native
}

// closeLater reports whether the connection is still in use, in which case its
// last use closes it.
func (l *lease) closeLater() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = l.uses > 0
	return l.closing
}

// Connect serves the lease's own sql.DB.
func (l *lease) Connect(context.Context) (driver.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.revoked {
		return nil, errRevoked
	}
	return &lentConn{l}, nil
}

// Driver returns the base driver.
func (l *lease) Driver() driver.Driver { return underOurs(l.c.db.base).Driver() }

// enter begins a use and returns its context. Outside the lease it fails.
func (l *lease) enter(ctx context.Context) (context.Context, context.CancelFunc, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.revoked:
		return nil, nil, errRevoked
	case l.sent:
		return nil, nil, errSent
	}
	l.uses++
	l.entered = true
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ctx, cancel)
	return ctx, func() { stop(); cancel() }, nil
}

// leave ends a use, and returns its error as the lease's sql.DB is to see it: on
// ErrBadConn that would try again, without the guard.
func (l *lease) leave(err error) error {
	l.mu.Lock()
	if err != nil && !errors.Is(err, driver.ErrSkip) {
		l.native = err
	}
	l.uses--
	last := l.uses == 0 && l.closing
	l.mu.Unlock()
	if last {
		_ = l.c.base.Close()
	}
	if l.kind != leaseBeside && errors.Is(err, driver.ErrBadConn) {
		return &notBad{err}
	}
	return err
}

// takeGuard returns the guard the first time.
func (l *lease) takeGuard() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.guard
	l.guard = ""
	return g
}

// touched reports whether the borrower has executed anything.
func (l *lease) touched() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entered
}

// commits is the Final of a flush.
func (l *lease) commits(query string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.final = query + "; COMMIT"
	return l.final
}

// sends reports whether query has the COMMIT behind it, and notes that it is
// sent: it is the lease's last use.
func (l *lease) sends(query string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = l.final != "" && query == l.final
	return l.sent
}

// committed reports whether the COMMIT was sent with a query of the lease.
func (l *lease) committed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

// lentConn is the one connection of a lease's sql.DB.
type lentConn struct{ l *lease }

var (
	_ driver.ExecerContext      = (*lentConn)(nil)
	_ driver.QueryerContext     = (*lentConn)(nil)
	_ driver.ConnPrepareContext = (*lentConn)(nil)
	_ driver.ConnBeginTx        = (*lentConn)(nil)
	_ driver.NamedValueChecker  = (*lentConn)(nil)
)

func (c *lentConn) Close() error { return nil }

func (c *lentConn) CheckNamedValue(nv *driver.NamedValue) error { return c.l.c.CheckNamedValue(nv) }

func (c *lentConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	ctx, cancel, err := c.l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err = c.l.admits(ctx, query); err != nil {
		return nil, c.l.leave(err)
	}
	if c.l.sends(query) {
		ctx = c.l.last // the write timeout is not the COMMIT's
	}
	apart := c.l.apart(ctx, query)
	if apart {
		if err = c.l.beginApart(ctx); err != nil {
			return nil, c.l.leave(err)
		}
	}
	sent, err := c.guarded(ctx, query, len(args) == 0)
	var res driver.Result
	if err == nil {
		res, err = c.l.c.own.exec(ctx, sent, args)
		c.l.ran(query, err)
	}
	if apart {
		err = c.l.close(ctx, err)
	}
	return res, c.l.leave(err)
}

// guarded puts the guard before the first statement: in the same query where
// there are no arguments, else in one of its own.
func (c *lentConn) guarded(ctx context.Context, query string, joined bool) (string, error) {
	guard := c.l.takeGuard()
	switch {
	case guard == "":
		return query, nil
	case joined && c.l.c.own.execs():
		return guard + query, nil
	default:
		return query, c.l.c.simple(ctx, guard)
	}
}

func (c *lentConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	ctx, cancel, err := c.l.enter(ctx)
	if err != nil {
		return nil, err
	}
	if err = c.l.admits(ctx, query); err != nil {
		cancel()
		return nil, c.l.leave(err)
	}
	apart := c.l.apart(ctx, query)
	if apart {
		if err = c.l.beginApart(ctx); err != nil {
			cancel()
			return nil, c.l.leave(err)
		}
	}
	_, err = c.guarded(ctx, "", false)
	var rows driver.Rows
	if err == nil {
		rows, err = c.l.c.queryLent(ctx, query, args)
		c.l.ran(query, err)
	}
	if err != nil {
		if apart {
			err = c.l.close(ctx, err)
		}
		cancel()
		return nil, c.l.leave(err)
	}
	return c.l.rows.Add(rows, func(err error) error {
		if apart { // ends the transaction that they are in alone
			err = c.l.close(ctx, err)
		}
		cancel()
		return c.l.leave(err)
	}), nil
}

func (c *lentConn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

func (c *lentConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	ctx, cancel, err := c.l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err = c.l.admits(ctx, query); err == nil {
		_, err = c.guarded(ctx, "", false)
	}
	var st driver.Stmt
	if err == nil {
		st, err = c.l.c.own.prepare(ctx, query)
	}
	if err != nil {
		return nil, c.l.leave(err)
	}
	return &lentStmt{Stmt: st, l: c.l, query: query}, nil
}

func (c *lentConn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx begins nothing inside the app's transaction: the app's own COMMIT is
// the only one.
func (c *lentConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.l.kind == leaseFlush {
		return noTx{}, nil
	}
	ctx, cancel, err := c.l.enter(ctx)
	if err != nil {
		return nil, err
	}
	l := c.l
	tx, err := l.begin(ctx, opts)
	l.inside(err == nil)
	if err != nil {
		cancel()
		return nil, c.l.leave(err)
	}
	return &lentTx{tx: tx, l: c.l, cancel: cancel}, nil
}

type noTx struct{}

func (noTx) Commit() error   { return nil }
func (noTx) Rollback() error { return nil }

type lentTx struct {
	tx     driver.Tx
	l      *lease
	cancel context.CancelFunc
}

func (t *lentTx) Commit() error   { return t.end(t.tx.Commit) }
func (t *lentTx) Rollback() error { return t.end(t.tx.Rollback) }

func (t *lentTx) end(f func() error) error {
	err := f()
	t.l.inside(false)
	t.l.ended(err)
	t.cancel()
	return t.l.leave(err)
}
