package driver

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// receive takes what hooks.Record, OnCommit, OnRollback or Wrapped sent. The functions are
// the app's own work and no part of the trail, so that the mode off keeps them.
func (c *conn) receive(ctx context.Context) (driver.Result, error) {
	p := hooks.ParcelFrom(ctx)
	if p == nil {
		return driver.RowsAffected(0), nil // somebody else's comment
	}
	if p.IsEmpty() {
		p.Accept()
		return driver.RowsAffected(0), nil
	}
	// While the mode is off, catchUp does what calm would do, for functions alone.
	if c.alert && (c.mode() != hooks.Off || c.db.reg.modeNow() != hooks.Off) {
		if c.behind && !c.bad && !c.mysql() {
			if err := c.lookOrWait(ctx); err != nil {
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
	case c.open:
		err = c.add(item{onCommit: p.OnCommit, onRollback: p.OnRollback, ctx: context.WithoutCancel(ctx)}, 64)
	case p.OnCommit != nil:
		c.callback(ctx, p.OnCommit)
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
	if c.open {
		if ownID && c.tx.has(e.ID) {
			return &hooks.InvalidError{
				Field:  "id",
				Reason: fmt.Sprintf("%s is that of an event which this transaction has recorded already: leave it empty, or give each event an ID of its own", e.ID),
			}
		}
		c.tx.story.record(e.Target)
		return c.add(item{event: e}, sizeOf(&e))
	}
	if err := c.ready(ctx); err != nil {
		return err
	}
	err := c.writeOwn(ctx, []hooks.Event{e}, c.db.reg.modeNow())
	c.deliver(ctx)
	return err
}

// add puts an item into the transaction, within its limits.
func (c *conn) add(it item, size int) error {
	t, cfg := &c.tx, &c.db.reg.cfg
	if len(t.items) >= cfg.maxEvents {
		return fmt.Errorf("driver: the transaction holds %d events, its limit: commit in smaller parts, or raise driver.Limits", len(t.items))
	}
	if t.bytes+size > cfg.maxBytes {
		return fmt.Errorf("driver: the transaction's events would hold %d bytes, more than its limit of %d: commit in smaller parts, or raise driver.Limits", t.bytes+size, cfg.maxBytes)
	}
	t.bytes += size
	t.items = append(t.items, it)
	return nil
}

// has reports whether the transaction has recorded an event with that ID.
func (t *txn) has(id uuid.UUID) bool {
	return slices.ContainsFunc(t.items, func(it item) bool { return it.isEvent() && it.event.ID == id })
}

// sizeOf estimates what an event takes in memory, in bytes.
func sizeOf(e *hooks.Event) int {
	n := 512 + len(e.Action) + len(e.Comment) + len(e.Reason) + len(e.UserAgent) +
		len(e.Actor.ID) + len(e.Actor.Name) + len(e.Target.ID) + len(e.Target.Name)
	if len(e.Metadata) > 0 {
		n += sizeOfJSON(e.Metadata)
	}
	return n
}

// sizeOfJSON estimates the length of a decoded value as JSON.
func sizeOfJSON(v any) int {
	n := 4
	switch v := v.(type) {
	case string:
		n += len(v)
	case json.Number:
		n += len(v)
	case []any:
		for _, w := range v {
			n += sizeOfJSON(w)
		}
	case map[string]any:
		for k, w := range v {
			n += len(k) + sizeOfJSON(w)
		}
	}
	return n
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
