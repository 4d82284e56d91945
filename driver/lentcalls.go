package driver

import (
	"context"
	"database/sql/driver"
)

// Exec implements lent.Owner.
func (l *loan) Exec(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := l.admits(ctx, query); err != nil {
		return nil, err
	}
	return l.exec(ctx, query, args, l.c.own.exec)
}

type execFunc func(context.Context, string, []driver.NamedValue) (driver.Result, error)

// exec executes, by run, a statement that has been admitted.
func (l *loan) exec(ctx context.Context, query string, args []driver.NamedValue, run execFunc) (driver.Result, error) {
	end, err := l.around(ctx, query)
	if err != nil {
		return nil, err
	}
	final := l.sends(query)
	if final {
		ctx = l.last // the write timeout is not the COMMIT's
	}
	sent, err := l.guarded(ctx, query, len(args) == 0)
	var res driver.Result
	if err == nil {
		if final {
			res, err = l.commit(sent, args, run)
		} else {
			res, err = run(ctx, sent, args)
		}
		l.ran(query, err)
	}
	if final {
		l.returned()
	}
	return res, end(err)
}

// Query implements lent.Owner. A transaction that the rows are in alone ends when they are
// closed.
func (l *loan) Query(ctx context.Context, query string, args []driver.NamedValue) (rows driver.Rows, end func(error) error, err error) {
	if err = l.admits(ctx, query); err != nil {
		return nil, nil, err
	}
	if end, err = l.around(ctx, query); err != nil {
		return nil, nil, err
	}
	if _, err = l.guarded(ctx, "", false); err == nil {
		rows, err = l.c.own.queryLent(ctx, query, args)
		l.ran(query, err)
	}
	if err != nil {
		return nil, nil, end(err)
	}
	return rows, end, nil
}

// Prepare implements lent.Owner.
func (l *loan) Prepare(ctx context.Context, query string) (st driver.Stmt, ran func(error), err error) {
	if err = l.admits(ctx, query); err == nil {
		_, err = l.guarded(ctx, "", false)
	}
	if err == nil {
		st, err = l.c.own.prepare(ctx, query)
	}
	return st, func(err error) { l.ran(query, err) }, err
}

// Begin implements lent.Owner.
func (l *loan) Begin(ctx context.Context, opts driver.TxOptions) (tx driver.Tx, end func(func() error) error, err error) {
	tx, err = l.begin(ctx, opts)
	l.inside(err == nil)
	return tx, l.finish, err
}

// finish ends a transaction of the borrower's by f.
func (l *loan) finish(f func() error) error {
	err := f()
	l.inside(false)
	l.ended(err)
	return err
}

// CheckNamedValue implements lent.Owner.
func (l *loan) CheckNamedValue(nv *driver.NamedValue) error { return l.c.CheckNamedValue(nv) }

// Close implements lent.Owner: the connection is the app's.
func (l *loan) Close() error { return nil }

// around begins the transaction that query needs. end ends that, if there is one.
func (l *loan) around(ctx context.Context, query string) (end func(error) error, err error) {
	if !l.apart(ctx, query) {
		return func(err error) error { return err }, nil
	}
	if err = l.beginApart(ctx); err != nil {
		return nil, err
	}
	return func(err error) error { return l.endApart(ctx, err) }, nil
}

// guarded puts the guard before the first statement: into the same query if that has no
// arguments, else into a separate one.
func (l *loan) guarded(ctx context.Context, query string, joined bool) (string, error) {
	guard := l.takeGuard()
	switch {
	case guard == "":
		return query, nil
	case joined && l.c.own.execs():
		return guard + query, nil
	default:
		return query, l.c.own.simple(ctx, guard)
	}
}
