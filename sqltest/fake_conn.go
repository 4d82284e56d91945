package sqltest

import (
	"context"
	"database/sql/driver"
	"slices"
)

// conn has every method that a connection can have; [shapeConn] shows some.
type conn struct {
	fake *Fake
	id   int

	// Guarded by fake.mu.
	session session
	lost    bool
	closed  bool
}

// call is the way of every call: it is logged, it may meet a fault, it has its
// effect, and its error is logged.
func (c *conn) call(ctx context.Context, call Call, effect func() error) (err error) {
	f := c.fake
	f.mu.Lock()
	call.Conn, call.Tx = c.id, c.session.tx
	call.Args = slices.Clone(call.Args)
	logged := &call
	f.log = append(f.log, logged)
	fault := f.due(logged)
	lost := c.lost
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		logged.Err = err
		f.mu.Unlock()
	}()

	if lost {
		return driver.ErrBadConn
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if fault != nil && !fault.after {
		if ends, err := fault.strike(ctx, c); ends {
			if logged.commits() && err != nil {
				c.end(false)
			}
			return err
		}
	}
	if effect != nil {
		if err := effect(); err != nil {
			return err
		}
	}
	if fault != nil && fault.after {
		_, err := fault.strike(ctx, c)
		return err
	}
	return nil
}

func (c *conn) lose() {
	c.fake.mu.Lock()
	defer c.fake.mu.Unlock()
	c.lost = true
	c.fake.finish(&c.session, false)
}

func (c *conn) abort() {
	c.fake.mu.Lock()
	defer c.fake.mu.Unlock()
	c.session.aborted = c.session.open
}

func (c *conn) end(commit bool) {
	c.fake.mu.Lock()
	defer c.fake.mu.Unlock()
	c.fake.finish(&c.session, commit)
}

// run executes a query string.
func (c *conn) run(query string, args []driver.NamedValue) (Answer, error) {
	var all Answer
	for _, stmt := range splitSQL(query) {
		a, err := c.runOne(stmt, args)
		if err != nil {
			return Answer{}, err
		}
		a.Sets = append(all.Sets, a.Sets...)
		all = a
	}
	return all, nil
}

func (c *conn) runOne(stmt string, args []driver.NamedValue) (Answer, error) {
	f := c.fake
	v, name, chain := control(stmt)
	f.mu.Lock()
	if v != other {
		defer f.mu.Unlock()
		return Answer{}, f.apply(&c.session, v, name, chain)
	}
	st := Statement{Query: stmt, Args: slices.Clone(args), Conn: c.id, Tx: c.session.tx}
	aborted := c.session.aborted
	f.mu.Unlock()
	if aborted {
		return Answer{}, errAborted
	}

	a, err := f.ask(st)
	if err != nil {
		return Answer{}, err
	}
	if asksCatalog(stmt) {
		return a, nil
	}
	if a.RowsAffected > 0 || len(a.Sets) == 0 {
		f.mu.Lock()
		f.write(&c.session, st)
		f.mu.Unlock()
	}
	return a, nil
}

func (c *conn) execute(ctx context.Context, call Call) (driver.Result, error) {
	defer c.fake.forgetArgs(call.Args)
	var a Answer
	err := c.call(ctx, call, func() (err error) {
		a, err = c.run(call.Query, call.Args)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &result{c, call.Query, a}, nil
}

func (c *conn) query(ctx context.Context, call Call) (driver.Rows, error) {
	defer c.fake.forgetArgs(call.Args)
	var a Answer
	err := c.call(ctx, call, func() (err error) {
		a, err = c.run(call.Query, call.Args)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(a.Sets) == 0 {
		a.Sets = []Set{{}}
	}
	return shapeRows(&rows{conn: c, query: call.Query, sets: a.Sets, memory: memory{forgets: c.fake.forgetful()}}, c.fake.shape), nil
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.execute(ctx, Call{Method: "ExecContext", Query: query, Args: args})
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.query(ctx, Call{Method: "QueryContext", Query: query, Args: args})
}

func (c *conn) Exec(query string, args []driver.Value) (driver.Result, error) {
	return c.execute(context.Background(), Call{Method: "Exec", Query: query, Args: ordinals(args)})
}

func (c *conn) Query(query string, args []driver.Value) (driver.Rows, error) {
	return c.query(context.Background(), Call{Method: "Query", Query: query, Args: ordinals(args)})
}

func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.prepare(context.Background(), Call{Method: "Prepare", Query: query})
}

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return c.prepare(ctx, Call{Method: "PrepareContext", Query: query})
}

func (c *conn) prepare(ctx context.Context, call Call) (driver.Stmt, error) {
	if err := c.call(ctx, call, nil); err != nil {
		return nil, err
	}
	return shapeStmt(&stmt{conn: c, query: call.Query}, c.fake.shape&stmtShape), nil
}

func (c *conn) Begin() (driver.Tx, error) {
	return c.beginTx(context.Background(), Call{Method: "Begin"})
}

func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return c.beginTx(ctx, Call{Method: "BeginTx", Options: opts})
}

func (c *conn) beginTx(ctx context.Context, call Call) (driver.Tx, error) {
	if err := c.call(ctx, call, func() error { return c.control(begin) }); err != nil {
		return nil, err
	}
	return tx{c}, nil
}

func (c *conn) control(v verb) error {
	c.fake.mu.Lock()
	defer c.fake.mu.Unlock()
	return c.fake.apply(&c.session, v, "", false)
}

func (c *conn) Ping(ctx context.Context) error {
	return c.call(ctx, Call{Method: "Ping"}, nil)
}

func (c *conn) ResetSession(ctx context.Context) error {
	return c.call(ctx, Call{Method: "ResetSession"}, nil)
}

func (c *conn) IsValid() bool {
	return c.call(context.Background(), Call{Method: "IsValid"}, nil) == nil
}

// CheckNamedValue takes what the default converter takes, and anything else as
// it is, as drivers do that know more types.
func (c *conn) CheckNamedValue(nv *driver.NamedValue) error {
	return c.checkNamedValue(Call{Method: "CheckNamedValue"}, nv)
}

func (c *conn) checkNamedValue(call Call, nv *driver.NamedValue) error {
	call.Args = []driver.NamedValue{*nv}
	return c.call(context.Background(), call, func() error {
		if v, err := driver.DefaultParameterConverter.ConvertValue(nv.Value); err == nil {
			nv.Value = v
		}
		return nil
	})
}

// Close closes the connection, also one that is lost, and rolls back.
func (c *conn) Close() error {
	err := c.call(context.Background(), Call{Method: "Close"}, nil)
	f := c.fake
	f.mu.Lock()
	defer f.mu.Unlock()
	f.finish(&c.session, false)
	if !c.closed {
		c.closed = true
		f.open--
	}
	if c.lost {
		return nil
	}
	return err
}

// tx is the transaction of a connection; the state is the session's.
type tx struct{ conn *conn }

// Commit returns nil when the transaction is gone on PostgreSQL, as pgx does:
// that is why a nil error proves nothing.
func (t tx) Commit() error {
	return t.conn.call(context.Background(), Call{Method: "Commit"}, func() error { return t.conn.control(commit) })
}

func (t tx) Rollback() error {
	return t.conn.call(context.Background(), Call{Method: "Rollback"}, func() error { return t.conn.control(rollback) })
}

func ordinals(args []driver.Value) []driver.NamedValue {
	named := make([]driver.NamedValue, len(args))
	for i, v := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return named
}
