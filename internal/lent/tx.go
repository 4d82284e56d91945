package lent

import "database/sql/driver"

// tx is a transaction of the borrower's.
type tx struct {
	base  driver.Tx
	uses  *Uses
	end   func(func() error) error
	leave func(error) error
}

func (t *tx) Commit() error   { return t.finish(t.base.Commit) }
func (t *tx) Rollback() error { return t.finish(t.base.Rollback) }

func (t *tx) finish(f func() error) error {
	t.uses.Lock()
	defer t.uses.Unlock()
	return t.leave(t.end(f))
}

// noTx is one within a transaction of the owner's.
type noTx struct{}

func (noTx) Commit() error   { return nil }
func (noTx) Rollback() error { return nil }
