package relay

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/go-aftercommit/aftercommit/internal/lent"
)

var _ lent.Owner = (*loan)(nil)

// Enter implements lent.Owner.
func (l *loan) Enter() error {
	if l.uses.Ended() {
		return errOver
	}
	return nil
}

// Leave implements lent.Owner.
func (l *loan) Leave(err error) error { return err }

// Exec implements lent.Owner.
func (l *loan) Exec(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	l.look(query)
	if e, ok := l.base.(driver.ExecerContext); ok {
		return e.ExecContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

// Query implements lent.Owner.
func (l *loan) Query(ctx context.Context, query string, args []driver.NamedValue) (rows driver.Rows, end func(error) error, err error) {
	l.look(query)
	if q, ok := l.base.(driver.QueryerContext); ok {
		rows, err = q.QueryContext(ctx, query, args)
		return rows, l.Leave, err
	}
	return nil, nil, driver.ErrSkip
}

// Prepare implements lent.Owner.
func (l *loan) Prepare(ctx context.Context, query string) (st driver.Stmt, ran func(error), err error) {
	l.look(query)
	if p, ok := l.base.(driver.ConnPrepareContext); ok {
		st, err = p.PrepareContext(ctx, query)
	} else {
		st, err = l.base.Prepare(query)
	}
	return st, func(error) {}, err
}

// Begin implements lent.Owner.
func (l *loan) Begin(ctx context.Context, opts driver.TxOptions) (tx driver.Tx, end func(func() error) error, err error) {
	b, ok := l.base.(driver.ConnBeginTx)
	switch {
	case ok:
		tx, err = b.BeginTx(ctx, opts)
	case opts != (driver.TxOptions{}):
		err = errors.New("relay: the driver has neither isolation levels nor read-only transactions: begin with nil options")
	default:
		tx, err = l.base.Begin() //nolint:staticcheck // what there is
	}
	return tx, l.finish, err
}

// finish ends a transaction of the borrower's by f. What was open at the end of the loan was
// rolled back with it.
func (l *loan) finish(f func() error) error {
	if err := l.Enter(); err != nil {
		return err
	}
	return f()
}

// CheckNamedValue implements lent.Owner.
func (l *loan) CheckNamedValue(v *driver.NamedValue) error {
	if c, ok := l.base.(driver.NamedValueChecker); ok {
		return c.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// Close implements lent.Owner. It leaves the connection open. One that was taken is given
// back, unless later statements may need its session.
func (l *loan) Close() error {
	l.mu.Lock()
	giveBack := l.giveBack
	if giveBack == nil || l.kept.Load() || l.uses.Ended() {
		l.mu.Unlock()
		return nil
	}
	l.base, l.giveBack = nil, nil
	l.mu.Unlock()
	giveBack(NothingLeft)
	return nil
}
