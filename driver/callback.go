package driver

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// callbackTime is how long Commit waits for a function of OnCommit or
// OnRollback.
const callbackTime = 5 * time.Second

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

// callback runs f beside the caller, so that neither a panic nor a hang of it
// can keep a commit that has happened from returning.
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
