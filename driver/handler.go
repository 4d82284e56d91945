package driver

import (
	"context"
	"database/sql"
	"fmt"
	"runtime/debug"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// handler calls the hook's handler of a database. No panic of that reaches the app.
type handler struct {
	hook   hooks.Handler
	driver string // the name in its notices
}

// connect has a connection prepared. In database/sql's call of Connect a panic would keep the
// connection's place in the pool for good.
func (h *handler) connect(ctx context.Context, lent *sql.DB) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("driver: the hook panicked while preparing a connection: %v\n%s", v, debug.Stack())
		}
	}()
	return h.hook.Connect(ctx, lent)
}

// flush has events written.
func (h *handler) flush(ctx context.Context, f hooks.Flush) (written bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			written, err = false, fmt.Errorf("driver: the hook panicked while writing audit events: %v", v)
		}
	}()
	return h.hook.Flush(ctx, f)
}

// end reports how a transaction has ended, and returns what is known of that then.
func (h *handler) end(ctx context.Context, e hooks.Ended) (outcome hooks.Outcome) {
	defer func() {
		if v := recover(); v != nil {
			outcome = e.Outcome
			h.failed(e.Events, "panic", fmt.Errorf("driver: the hook panicked after the transaction: %v\n%s", v, debug.Stack()))
		}
	}()
	return h.hook.End(ctx, e)
}

// notify tells the handler's observers, whatever the handler does.
func (h *handler) notify(n hooks.Notice) {
	n.Driver = h.driver
	defer func() { _ = recover() }()
	h.hook.Notify(n)
}

// failed reports events that were not written.
func (h *handler) failed(events []hooks.Event, reason string, err error) {
	h.notify(hooks.Notice{Kind: hooks.NoticeFailed, Events: ids(events), Count: len(events), Reason: reason, Err: err})
}

// lose reports events that could not be written, of what has committed all the same.
func (h *handler) lose(events []hooks.Event, err error) {
	if len(events) == 0 {
		return
	}
	h.notify(hooks.Notice{Kind: hooks.NoticeLost, Events: ids(events), Count: len(events), Reason: "write_failed", Err: err})
}

func ids(events []hooks.Event) []uuid.UUID {
	out := make([]uuid.UUID, len(events))
	for i := range events {
		out[i] = events[i].ID
	}
	return out
}
