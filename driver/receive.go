package driver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// receive takes what hooks.Record, OnCommit, OnRollback or Wrapped sent. The functions are
// the app's own work and no part of the trail, so that the mode off keeps them.
func (c *conn) receive(ctx context.Context) (driver.Result, error) {
	p := hooks.ParcelFrom(ctx)
	if p == nil {
		return driver.RowsAffected(0), nil // the same comment, but hooks has not sent it
	}
	if p.IsEmpty() {
		p.Accept()
		return driver.RowsAffected(0), nil
	}
	// While the mode is off, catchUp does what calm would do, for functions alone.
	if c.alert && (c.mode() != hooks.Off || c.db.reg.modeNow() != hooks.Off) {
		if c.tx.Suspected() && !c.bad && !c.is.beginsUnseen {
			if err := c.recheckOrRefuse(ctx); err != nil {
				return nil, err
			}
		}
		if err := c.calm(ctx); err != nil {
			return nil, err
		}
	}
	if c.mode() == hooks.Off {
		if c.nested() { // the one below may not be off
			return driver.RowsAffected(0), c.opt.simple(ctx, hooks.Statement)
		}
		if p.Event != nil {
			p.Accept()
			return driver.RowsAffected(0), nil
		}
		if err := c.catchUp(ctx); err != nil {
			return nil, err
		}
	}
	err := c.setWitness(ctx)
	switch {
	case err != nil:
	case p.Event != nil:
		err = c.receiveEvent(ctx, *p.Event, p.OwnID)
	case c.tx.Open():
		err = c.tx.AddFunc(txn.Func{OnCommit: p.OnCommit, OnRollback: p.OnRollback, Ctx: context.WithoutCancel(ctx)})
	case p.OnCommit != nil:
		c.db.handler.callback(ctx, p.OnCommit)
	default:
		err = errors.New("driver: OnRollback outside any transaction: there is nothing left to roll back")
	}
	if err != nil {
		return nil, err
	}
	p.Accept()
	return driver.RowsAffected(0), nil
}

// receiveEvent takes an event that hooks.Prepare has checked and copied; what the
// contexts add is checked here. ownID says that the caller chose its ID.
func (c *conn) receiveEvent(ctx context.Context, e hooks.Event, ownID bool) error {
	metadata := e.Metadata
	e.Metadata = nil
	c.db.attribute(&e, c.origin(ctx))
	if err := hooks.Validate(e); err != nil {
		return err
	}
	e.Metadata = metadata
	if c.tx.Open() {
		if ownID && c.tx.Has(e.ID) {
			return &hooks.InvalidError{
				Field:  "id",
				Reason: fmt.Sprintf("%s is that of an event which this transaction has recorded already: leave it empty, or give each event an ID of its own", e.ID),
			}
		}
		return c.tx.Add(e)
	}
	if err := c.ready(ctx); err != nil {
		return err
	}
	did := c.writeOwn(ctx, []hooks.Event{e}, c.db.reg.modeNow(), false)
	c.deliver(ctx)
	return did.once()
}

// parcelStmt answers handles that prepare whatever they execute.
type parcelStmt struct{ c *conn }

var (
	_ driver.StmtExecContext  = (*parcelStmt)(nil)
	_ driver.StmtQueryContext = (*parcelStmt)(nil)
)

func (s *parcelStmt) Close() error  { return nil }
func (s *parcelStmt) NumInput() int { return 0 }

func (s *parcelStmt) Exec([]driver.Value) (driver.Result, error) {
	return s.c.receive(context.Background())
}

func (s *parcelStmt) Query([]driver.Value) (driver.Rows, error) {
	_, err := s.c.receive(context.Background())
	return noRows{}, err
}

func (s *parcelStmt) ExecContext(ctx context.Context, _ []driver.NamedValue) (driver.Result, error) {
	return s.c.receive(ctx)
}

func (s *parcelStmt) QueryContext(ctx context.Context, _ []driver.NamedValue) (driver.Rows, error) {
	_, err := s.c.receive(ctx)
	return noRows{}, err
}
