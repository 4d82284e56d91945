package driver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// callbackTime is how long Commit waits for a function of OnCommit or
// OnRollback.
const callbackTime = 5 * time.Second

// handler calls the hook's handler of a database, and the functions that wait for the end
// of a transaction. No panic of theirs reaches the app.
type handler struct {
	hook   hooks.Handler
	driver string // the name in its notices
}

// connect lets the hook prepare a connection. A panic within database/sql's call of Connect
// would take up a place in the pool for good.
func (h *handler) connect(ctx context.Context, lent *sql.DB) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("driver: the hook panicked while preparing a connection: %v\n%s", v, debug.Stack())
		}
	}()
	return h.hook.Connect(ctx, lent)
}

// flush lets the hook write events.
func (h *handler) flush(ctx context.Context, f hooks.Flush) (written bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			written, err = false, fmt.Errorf("driver: the hook panicked while writing audit events: %v", v)
		}
	}()
	return h.hook.Flush(ctx, f)
}

// end reports how a transaction has ended, and returns the outcome, which the hook may have
// found out where it was unknown.
func (h *handler) end(ctx context.Context, e hooks.Ended) (outcome hooks.Outcome) {
	defer func() {
		if v := recover(); v != nil {
			outcome = e.Outcome
			h.failed(e.Events, "panic", fmt.Errorf("driver: the hook panicked after the transaction: %v\n%s", v, debug.Stack()))
		}
	}()
	return h.hook.End(ctx, e)
}

// notify reports to the hook's observers. Nothing waits for an answer, so a panic is ignored.
func (h *handler) notify(n hooks.Notice) {
	n.Driver = h.driver
	defer func() { _ = recover() }()
	h.hook.Notify(n)
}

// failed reports events that were not written.
func (h *handler) failed(events []hooks.Event, reason string, err error) {
	h.notify(hooks.Notice{Kind: hooks.NoticeFailed, Events: ids(events), Count: len(events), Reason: reason, Err: err})
}

// lose reports events that could not be written although their transaction has committed.
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

// takenBack reports what a ROLLBACK TO took back while the transaction goes on: to
// observers at once, functions too.
func (h *handler) takenBack(back txn.TakenBack) {
	if len(back.Events) > 0 {
		h.notify(hooks.Notice{Kind: hooks.NoticeRolledBack, Events: ids(back.Events), Count: len(back.Events), Reason: "savepoint"})
	}
	for _, f := range back.Funcs {
		if f.OnRollback != nil {
			h.callback(f.Ctx, f.OnRollback)
		}
	}
}

// callFuncs calls what waited for the end of a transaction.
func (h *handler) callFuncs(funcs []txn.Func, outcome hooks.Outcome) {
	for _, f := range funcs {
		switch {
		case outcome == hooks.Unknown:
			h.notify(hooks.Notice{Kind: hooks.NoticeCallback, Count: 1, Reason: "unknown"})
		case outcome == hooks.Committed && f.OnCommit != nil:
			h.callback(f.Ctx, f.OnCommit)
		case outcome == hooks.RolledBack && f.OnRollback != nil:
			h.callback(f.Ctx, f.OnRollback)
		}
	}
}

// callback runs f in a goroutine, so that a Commit that has taken effect returns even if f
// panics or hangs.
func (h *handler) callback(ctx context.Context, f func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callbackTime)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				done <- fmt.Errorf("driver: a function of OnCommit or OnRollback panicked: %v\n%s", v, debug.Stack())
			}
			close(done)
		}()
		f(ctx)
	}()
	n := hooks.Notice{Kind: hooks.NoticeCallback, Count: 1}
	select {
	case err := <-done:
		if err == nil {
			return
		}
		n.Reason, n.Err = "panic", err
	case <-ctx.Done():
		n.Reason, n.Err = "timeout", errors.New("driver: a function of OnCommit or OnRollback did not return in time and was left behind; "+
			"one that uses the *sql.Conn or *sql.Tx of its transaction waits for the Commit that waits for it: let it use the *sql.DB")
	}
	h.notify(n)
}
