package contract_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// misbehave runs f in a world whose sink does what f says, on an app with a
// single connection, and asks that Commit says nil, the journal has the event,
// and the connection is of use afterwards.
func misbehave(t *testing.T, timeout time.Duration, during func(w *world, ctx context.Context) error, after func(w *world)) {
	t.Helper()
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		t.Helper()
		w := newWorld(t, e, setup{forward: forward.Options{Timeout: timeout}})
		w.db.SetMaxOpenConns(1)
		var calls atomic.Int32 // one that hangs is left behind
		w.sink.during = func(ctx context.Context, _ []journal.Entry) error {
			if calls.Add(1) > 1 {
				return nil
			}
			return during(w, ctx)
		}
		tx := w.begin()
		w.insert(tx, 1)
		w.record(tx, "a")
		w.within("Commit", func() { w.must(tx.Commit()) })
		if got := w.journal(); got != "a" {
			w.Errorf("journal: [%s], want [a]", got)
		}
		w.within("the next transaction", func() {
			tx := w.begin()
			w.insert(tx, 2)
			w.record(tx, "b")
			w.must(tx.Commit())
		})
		if rows, events := w.rows(), w.journal(); rows != "1 2" || events != "a b" {
			w.Errorf("rows [%s], journal [%s]; want [1 2], [a b]", rows, events)
		}
		after(w)
	})
}

// wantFailed asks that observers were told of a failed delivery, with a reason.
func wantFailed(reason string) func(w *world) {
	return func(w *world) {
		w.Helper()
		var reasons []string
		for _, n := range w.told.of(hooks.NoticeFailed) {
			reasons = append(reasons, n.Reason)
		}
		if !strings.Contains(strings.Join(reasons, " "), reason) {
			w.Errorf("failures told: %v, want %q", reasons, reason)
		}
	}
}

func TestForwarderFails(t *testing.T) {
	misbehave(t, 0, func(*world, context.Context) error { return errors.New("no") }, wantFailed("error"))
}

func TestForwarderFailsForGood(t *testing.T) {
	misbehave(t, 0, func(*world, context.Context) error {
		return forward.Permanent("schema_mismatch", errors.New("no"))
	}, wantFailed("schema_mismatch"))
}

func TestForwarderPanics(t *testing.T) {
	misbehave(t, 0, func(*world, context.Context) error { panic("the forwarder's") }, wantFailed("panic"))
}

func TestForwarderWaitsForItsContext(t *testing.T) {
	misbehave(t, 50*time.Millisecond, func(_ *world, ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}, wantFailed("timeout"))
}

// TestForwarderHangs: it does not even honour its context.
func TestForwarderHangs(t *testing.T) {
	forever := make(chan struct{})
	defer close(forever)
	misbehave(t, 50*time.Millisecond, func(*world, context.Context) error {
		<-forever
		return nil
	}, wantFailed("timeout"))
}

// TestForwarderOnExhaustedPool: it asks the app's own pool for a connection, and
// the only one is the one that is committing.
func TestForwarderOnExhaustedPool(t *testing.T) {
	misbehave(t, 50*time.Millisecond, func(w *world, ctx context.Context) error {
		_, err := w.db.ExecContext(ctx, "SELECT 1")
		return err
	}, wantFailed("timeout"))
}

// TestForwarderHoldsTheLentConnection: rows of the committing connection are
// left open, or a statement runs on it past the end. The app gets another one.
func TestForwarderHoldsTheLentConnection(t *testing.T) {
	misbehave(t, 0, func(_ *world, ctx context.Context) error {
		rows, err := forward.Conn(ctx).QueryContext(ctx, "SELECT 1 UNION ALL SELECT 2") //nolint:rowserrcheck // left open: the point
		if err == nil {
			rows.Next()
		}
		return err
	}, func(*world) {})
}

// TestForwarderBeginsOnTheLentConnection, and never ends what it began.
func TestForwarderBeginsOnTheLentConnection(t *testing.T) {
	misbehave(t, 0, func(w *world, ctx context.Context) error {
		tx, err := forward.Conn(ctx).BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, w.e.Rebind("INSERT INTO things (id) VALUES (?)"), 99)
		return err
	}, func(*world) {})
}

// TestForwarderWritesOnTheLentConnection is how a sink in the app's own database
// works, with one connection in all.
func TestForwarderWritesOnTheLentConnection(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.sink.during = func(ctx context.Context, entries []journal.Entry) error {
			tx, err := forward.Conn(ctx).BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			for range entries {
				if _, err := tx.ExecContext(ctx, w.e.Rebind("INSERT INTO lines (id) VALUES (?)"), 1); err != nil {
					return err
				}
			}
			return tx.Commit()
		}
		tx := w.begin()
		w.insert(tx, 1)
		w.record(tx, "a")
		w.must(tx.Commit())
		w.want("1", "a", "a")
		if got := w.list("SELECT id FROM lines"); got != "1" {
			w.Errorf("the sink's own rows: [%s], want [1]", got)
		}
	})
}

// TestForwarderKeepsTheLentConnection, and uses it when it is not lent any more.
func TestForwarderKeepsTheLentConnection(t *testing.T) {
	each(t, func(w *world) {
		var mine hooks.Handle
		w.sink.during = func(ctx context.Context, _ []journal.Entry) error {
			mine = forward.Conn(ctx)
			return nil
		}
		w.record(w.db, "a")
		if _, err := mine.ExecContext(ctx(), w.e.Rebind("INSERT INTO things (id) VALUES (?)"), 1); err == nil {
			w.Error("a lent connection works after its time")
		}
		w.want("", "a", "a")
	})
}

// TestForwarderWritesToTheAuditedDatabase: what a forwarder does there is audited
// too. That it does not go round in circles is its own affair.
func TestForwarderWritesToTheAuditedDatabase(t *testing.T) {
	each(t, func(w *world) {
		w.sink.during = func(ctx context.Context, entries []journal.Entry) error {
			if entries[0].Captured {
				return nil
			}
			_, err := w.db.ExecContext(ctx, "INSERT INTO orders (id) VALUES (1)")
			return err
		}
		w.record(w.db, "a")
		w.want("1", "a orders.inserted", "orders.inserted a")
	})
}

// panicking is an observer that does nothing but panic.
type panicking struct {
	mu    sync.Mutex
	calls int
}

// Observe panics.
func (p *panicking) Observe(hooks.Notice) {
	p.mu.Lock()
	p.calls++
	p.mu.Unlock()
	panic("the observer's")
}

func (p *panicking) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// TestObserverPanics: it is isolated, and stays attached.
func TestObserverPanics(t *testing.T) {
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		o := &panicking{}
		w := newWorld(t, e, setup{forward: forward.Options{Observer: o}})
		before := 0
		for _, name := range []string{"a", "b", "c"} {
			tx := w.begin()
			w.record(tx, name)
			w.must(tx.Commit())
			if now := o.count(); now <= before {
				t.Errorf("event %s: the observer was called %d times in all, and %d before", name, now, before)
			} else {
				before = now
			}
		}
		w.want("", "a b c", "a b c")
	})
}
