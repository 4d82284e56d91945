package driver

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/go-aftercommit/aftercommit/internal/basestmt"
)

// optional holds what the base connection can do, looked up once. What it
// lacks is done as database/sql would (its ctxutil.go).
type optional struct {
	conn     driver.Conn
	execCtx  driver.ExecerContext
	execer   driver.Execer //nolint:staticcheck // legacy drivers have only this
	queryCtx driver.QueryerContext
	queryer  driver.Queryer //nolint:staticcheck // legacy drivers have only this
	prepCtx  driver.ConnPrepareContext
	beginCtx driver.ConnBeginTx
	checker  driver.NamedValueChecker
	resets   bool
	validity bool
	local    bool // the database is a part of the process
}

func optionalOf(base driver.Conn) optional {
	o := optional{conn: base}
	o.execCtx, _ = base.(driver.ExecerContext)
	o.execer, _ = base.(driver.Execer) //nolint:staticcheck // see above
	o.queryCtx, _ = base.(driver.QueryerContext)
	o.queryer, _ = base.(driver.Queryer) //nolint:staticcheck // see above
	o.prepCtx, _ = base.(driver.ConnPrepareContext)
	o.beginCtx, _ = base.(driver.ConnBeginTx)
	o.checker, _ = base.(driver.NamedValueChecker)
	_, o.resets = base.(driver.SessionResetter)
	_, o.validity = base.(driver.Validator)
	return o
}

func (o *optional) execs() bool   { return o.execCtx != nil || o.execer != nil }
func (o *optional) queries() bool { return o.queryCtx != nil || o.queryer != nil }

func (o *optional) exec(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if o.execCtx != nil {
		return o.execCtx.ExecContext(ctx, query, args)
	}
	if o.execer == nil {
		return nil, driver.ErrSkip
	}
	values, err := basestmt.Values(ctx, args)
	if err != nil {
		return nil, err
	}
	return o.execer.Exec(query, values)
}

func (o *optional) query(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if o.queryCtx != nil {
		return o.queryCtx.QueryContext(ctx, query, args)
	}
	if o.queryer == nil {
		return nil, driver.ErrSkip
	}
	values, err := basestmt.Values(ctx, args)
	if err != nil {
		return nil, err
	}
	return o.queryer.Query(query, values)
}

func (o *optional) prepare(ctx context.Context, query string) (driver.Stmt, error) {
	if o.prepCtx != nil {
		return o.prepCtx.PrepareContext(ctx, query)
	}
	st, err := o.conn.Prepare(query)
	if err == nil && ctx.Err() != nil {
		_ = st.Close()
		return nil, ctx.Err()
	}
	return st, err
}

func (o *optional) begin(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if o.beginCtx != nil {
		return o.beginCtx.BeginTx(ctx, opts)
	}
	if opts.Isolation != 0 {
		return nil, errors.New("sql: driver does not support non-default isolation level")
	}
	if opts.ReadOnly {
		return nil, errors.New("sql: driver does not support read-only transactions")
	}
	tx, err := o.conn.Begin() //nolint:staticcheck // legacy drivers have only this
	if err == nil && ctx.Err() != nil {
		_ = tx.Rollback()
		return nil, ctx.Err()
	}
	return tx, err
}

// execAny executes directly, or by a prepared statement where the base connection has no
// other way.
func (o *optional) execAny(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if o.execs() {
		res, err := o.exec(ctx, query, args)
		if err != driver.ErrSkip { //nolint:errorlint // database/sql compares with ==, so drivers return it bare
			return res, err
		}
	}
	st, err := o.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	res, err := basestmt.Exec(ctx, st, args)
	if cerr := st.Close(); err == nil {
		err = cerr
	}
	return res, err
}

// simple executes a statement without arguments. It may be several for base
// drivers that take that; none of them returns rows.
func (o *optional) simple(ctx context.Context, query string) error {
	_, err := o.execAny(ctx, query, nil)
	return err
}

// lostBy reports whether err says that the connection can no longer be used.
func (o *optional) lostBy(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, driver.ErrBadConn) {
		return true
	}
	if !o.local && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return true // there is an answer to come
	}
	return !o.alive()
}

// alive reports whether the base connection says that it is valid.
func (o *optional) alive() bool {
	v, ok := o.conn.(driver.Validator)
	return !ok || v.IsValid()
}
