package driver

import (
	"context"
	"database/sql/driver"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// conn wraps one connection of the base driver. database/sql never uses a
// connection from two goroutines at once, so its state needs no lock; what a
// loan lends out has its own.
//
// conn has all the methods that database/sql may look for; shape gives it a
// type with those that the base connection has.
type conn struct {
	db   *database
	is   *facts // those of db.dialect
	base driver.Conn
	opt  optional
	own  querier
	mw   driver.ConnBeginTx // sqlmw's connection over inner, for BeginTx only

	committer Committer // nil where the base connection has none
	// answers says that a query can return its row in the round trip that it takes, also where
	// it is the last one of several.
	answers bool
	keep    func(any) // Record.Keep
	tells   bool      // of who may have written unseen; see CaptureTransactions

	handle  txHandle // reused: there is one transaction at a time
	tx      txn.Tracker
	mark    mark
	streams int // rows of this connection that end an implicit transaction

	// alert turns the fast path off: the connection is bad; something may have happened behind
	// it; or, on MySQL, statements that only read matter. calm clears it where it can.
	alert    bool
	prepared bool // the handler has prepared the connection
	asks     bool // the server is asked also while the mode is off

	// The end of the connection: it is bad once it is to be discarded, and gone once Close was
	// called. lent is a loan whose borrower still uses it, and closes the base connection then.
	bad    bool
	gone   bool
	lent   *loan
	closed func() // called by Close, if it is set

	scratch  []lex.Statement
	defaults defaults
	session  session
	parser   parser
	catalog  catalog
	capturer capturer
}

func newConn(db *database, base driver.Conn) *conn {
	c := &conn{db: db, base: base, opt: optionalOf(base), is: db.dialect.facts()}
	c.opt.local = c.is.local
	c.tx.Follow(db.txns)
	c.own = querier{optional: &c.opt, is: c.is, cfg: &db.reg.cfg, modes: &db.modes}
	if below := innermost(base); below != nil {
		c.own.optional = below.own.optional
	}
	c.defaults = defaults{own: &c.own, learnt: &db.defaults}
	c.session = session{own: &c.own, dialect: db.dialect, noInTransaction: &db.noInTransaction}
	c.parser = parser{own: &c.own, session: &c.session, lexed: db.lexed, key: db.reg.cfg.keyColumn}
	c.catalog = catalog{
		own: &c.own, tx: &c.tx, session: &c.session, dialect: db.dialect, is: c.is,
		rules: db.reg.cfg.rules, key: db.reg.cfg.keyColumn, access: &db.access, notify: db.handler.notify,
	}
	c.capturer = capturer{names: &c.catalog, keys: db.dialect, base: base, origin: c.origin, uncaptured: c.uncaptured}
	c.alert = c.is.readsMatter
	c.tells = db.tellsContexts(c.is)
	c.committer = c.committerOf()
	c.answers = c.committer != nil || c.is.joins && c.own.queries() && isPQ(c.own.conn)
	c.keep = c.tx.Keep
	return c
}

// nested reports whether there is another of our connections below.
func (c *conn) nested() bool { return c.own.optional != &c.opt }

// ExecContext is on the hot path: a statement that is plainly of no interest
// goes straight to the base connection.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if !c.alert && lex.Plain(query) {
		if c.tells {
			c.noteRead(ctx, query)
		}
		return c.opt.exec(ctx, query, args)
	}
	if c.parser.isParcel(query) {
		return c.receive(ctx)
	}
	j := &job{args: args, given: args, text: query, on: &c.opt}
	if len(args) == 0 && c.opt.execs() {
		j.whole = query
	}
	a, err := c.run(ctx, j, query)
	return a.res, err
}

// QueryContext is the counterpart of ExecContext for statements with rows.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if !c.alert && lex.Plain(query) {
		if c.tells {
			c.noteRead(ctx, query)
		}
		return c.opt.query(ctx, query, args)
	}
	if c.parser.isParcel(query) {
		if _, err := c.receive(ctx); err != nil {
			return nil, err
		}
		return noRows{}, nil
	}
	j := &job{args: args, given: args, text: query, on: &c.opt, queries: true}
	if len(args) == 0 && c.opt.queries() {
		j.asked = query
	}
	a, err := c.run(ctx, j, query)
	return a.rows, err
}

// PrepareContext wraps the statement only if executing it is of interest.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if c.parser.isParcel(query) {
		return &parcelStmt{c: c}, nil
	}
	if c.alert {
		if err := c.calm(ctx); err != nil {
			return nil, err
		}
	}
	calls := c.tells && c.is.procedures && lex.MayCall(query)
	if lex.Plain(query) && !c.is.readsMatter && !calls {
		return c.opt.prepare(ctx, query)
	}
	stmts := c.db.dialect.parse(ctx, &c.parser, query, nil, c.mode() != hooks.Off) // as the server reads it now, when it is prepared
	c.db.dialect.fix(&c.session, stmts)
	copies := len(stmts) == 1 && stmts[0].Verb == "COPY"
	if copies || c.is.plans && !onlyReads(stmts) {
		if err := c.lookUp(ctx, &job{stmts: stmts}); err != nil {
			return nil, err
		}
	}
	st, err := c.opt.prepare(ctx, query)
	if err != nil || !c.is.readsMatter && onlyReads(stmts) && !restricts(stmts) && !isMoving(stmts) && !calls {
		return st, err
	}
	return shapeStmt(&stmt{c: c, base: st, stmts: stmts, copies: copies}), nil
}

// Prepare is for callers without a context.
func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// Begin is for callers without a context.
func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// Close gives up what is buffered: the server rolls back.
func (c *conn) Close() error {
	if c.closed != nil {
		defer c.closed()
	}
	c.tx.Close()
	c.own.terms.close()
	c.bad, c.gone = true, true
	c.db.handler.lose(c.tx.TakeLate(), errConnGone)
	for _, e := range c.tx.TakeEnded() {
		c.reportEnd(context.Background(), &e, false)
	}
	if c.lent != nil && c.lent.closeLater() {
		return nil // its last user closes the base connection
	}
	return c.closeBase()
}

func (c *conn) closeBase() error {
	c.own.kept.close()
	return c.base.Close()
}

// Ping passes through; a base connection that cannot be pinged is taken to be
// alive, as database/sql does.
func (c *conn) Ping(ctx context.Context) error {
	if c.bad {
		return driver.ErrBadConn
	}
	if p, ok := c.base.(driver.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

// CheckNamedValue passes through. ErrSkip makes database/sql behave as if the
// method were missing.
func (c *conn) CheckNamedValue(nv *driver.NamedValue) error {
	if c.opt.checker != nil {
		return c.opt.checker.CheckNamedValue(nv)
	}
	return driver.ErrSkip
}

// ResetSession is called when the pool hands the connection out again.
func (c *conn) ResetSession(ctx context.Context) error {
	if c.bad {
		return driver.ErrBadConn
	}
	if c.db.reg.cfg.forgets {
		c.catalog.forget()
	}
	return c.base.(driver.SessionResetter).ResetSession(ctx)
}

// IsValid is called when the connection comes back to the pool.
func (c *conn) IsValid() bool {
	return !c.bad && c.base.(driver.Validator).IsValid()
}

// run parses a query that is not plain and does its job.
func (c *conn) run(ctx context.Context, j *job, query string) (answer, error) {
	if c.alert {
		if err := c.calm(ctx); err != nil {
			return answer{}, err
		}
	}
	c.scratch = c.db.dialect.parse(ctx, &c.parser, query, c.scratch[:0], c.mode() != hooks.Off)
	j.stmts = c.scratch
	return c.dispatch(ctx, j)
}

// dispatch runs a job by the kind of its statements.
func (c *conn) dispatch(ctx context.Context, j *job) (a answer, err error) {
	if restricts(j.stmts) {
		if err = c.beforeReadOnly(ctx); err != nil {
			return answer{}, err
		}
		c.tx.BegunReadOnly = false
	}
	if c.tells {
		c.noteReads(ctx, j)
	}
	c.defaults.note(j.stmts)
	c.mark.note(j.stmts)
	if isMoving(j.stmts) {
		drops := unprepares(j.stmts)
		defer func() { c.catalog.moved(drops && err == nil && a.rows == nil) }() // what has rows may fail yet
	}
	if len(j.stmts) > 1 && !onlyReads(j.stmts) {
		if err = c.lead(ctx, j); err != nil {
			return answer{}, err
		}
	}
	return c.db.dialect.dispatch(ctx, c, j)
}

// dispatchByKind is the dispatch of dialects in which only transaction control controls
// transactions.
func (c *conn) dispatchByKind(ctx context.Context, j *job) (answer, error) {
	switch {
	case onlyReads(j.stmts):
		return j.do(ctx)
	case !controls(j.stmts):
		return c.write(ctx, j)
	case len(j.stmts) == 1:
		return c.control(ctx, j)
	default:
		return c.unseen(ctx, j)
	}
}

// calm brings the connection back to the fast path, or says why it cannot.
func (c *conn) calm(ctx context.Context) error {
	if c.bad {
		return driver.ErrBadConn
	}
	if c.tx.Suspected() {
		c.recheck(ctx)
		if c.bad {
			return driver.ErrBadConn
		}
	}
	return c.db.dialect.calm(ctx, c)
}

// discard makes database/sql give the connection up at the next occasion.
func (c *conn) discard() { c.bad, c.alert = true, true }

func (c *conn) mode() hooks.Mode {
	if c.tx.Open() {
		return c.tx.Mode
	}
	return c.db.reg.modeNow()
}
