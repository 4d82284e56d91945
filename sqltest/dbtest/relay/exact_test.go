package relay_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// ledger is a sink in the same database, which writes a row at a time.
type ledger struct {
	w *world
	// refuse says what is wrong with an entry, after those before it were
	// written.
	refuse func(name string) *relay.Failure
	// partial refuses only that entry, and writes the others.
	partial bool
	// hang says that the call has not returned.
	hang bool
}

func newLedger(w *world) *ledger {
	w.Helper()
	(&table{}).create(w)
	return &ledger{w: w}
}

func (l *ledger) target() relay.Target {
	return relay.Target{Name: name, MaxAttempts: 5, SameDatabase: true, Deliver: l.deliver}
}

func (l *ledger) deliver(c context.Context, db *sql.DB, entries []journal.Entry) (r relay.Result) {
	if l.hang {
		return relay.Result{Hung: true, Err: &relay.Failure{Reason: "timeout", Err: errors.New("it has not returned")}}
	}
	for _, e := range entries {
		if l.refuse != nil {
			if f := l.refuse(e.Target.ID); f != nil && l.partial {
				r.Failed = map[uuid.UUID]relay.Failure{e.ID: *f}
				continue
			} else if f != nil {
				return relay.Result{Err: f}
			}
		}
		if _, err := db.ExecContext(c, fmt.Sprintf("INSERT INTO delivered (forwarder, event, seq) VALUES ('%s', '%s', '%s')", name, e.Target.ID, place(&e))); err != nil {
			return relay.Result{Err: &relay.Failure{Reason: "error", Err: err}}
		}
	}
	return r
}

// rows are the names that were written.
func (l *ledger) rows() string {
	l.w.Helper()
	text := ""
	for _, d := range (&table{name: name}).read(l.w) {
		text += d.event + " "
	}
	return text
}

func refuse(which string, permanent bool) func(string) *relay.Failure {
	return func(name string) *relay.Failure {
		if name != which {
			return nil
		}
		return &relay.Failure{Reason: "error", Permanent: permanent, Err: errTransient}
	}
}

// TestSameDatabasePartial: what a sink does not refuse is there, once, also in
// the transaction of the cursor.
func TestSameDatabasePartial(t *testing.T) {
	each(t, func(w *world) {
		l := newLedger(w)
		l.refuse, l.partial = refuse("c", false), true
		w.commit("a", "b", "c", "d")
		w.drain(w.start(relay.Config{Targets: []relay.Target{l.target()}}))
		if got := l.rows(); got != "a b d " {
			t.Errorf("the table has [%s], want a b d", got)
		}
	})
}

// TestSameDatabaseHalves: what a call that failed had written does not stay.
func TestSameDatabaseHalves(t *testing.T) {
	for _, permanent := range []bool{false, true} {
		t.Run(fmt.Sprintf("permanent=%v", permanent), func(t *testing.T) {
			each(t, func(w *world) {
				l := newLedger(w)
				l.refuse = refuse("e", permanent)
				w.commit("a", "b", "c", "d", "e", "f", "g")
				w.drain(w.start(relay.Config{Targets: []relay.Target{l.target()}}))
				want := "a b c d f g "
				if permanent {
					want = ""
				}
				if got := l.rows(); got != want {
					t.Errorf("the table has [%s], want [%s]", got, want)
				}
			})
		})
	}
}

// TestSameDatabaseAround: what is tried to find out whether the sink is up does not stay,
// and is delivered once and in order.
func TestSameDatabaseAround(t *testing.T) {
	each(t, func(w *world) {
		l := newLedger(w)
		l.refuse = func(name string) *relay.Failure {
			if refuseBad(name) == nil {
				return nil
			}
			return &relay.Failure{Reason: "error", Err: errTransient}
		}
		w.commit("bad1", "bad2", "a", "b", "c", "bad3", "d")
		w.drain(w.start(relay.Config{Targets: []relay.Target{l.target()}}))
		if got := l.rows(); got != "a b c d " {
			t.Errorf("the table has [%s], want a b c d", got)
		}
	})
}

// TestSameDatabaseOvertaken: a holder that was overtaken while it isolated a bad
// entry has delivered nothing.
func TestSameDatabaseOvertaken(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		l := newLedger(w)
		var calls atomic.Int64
		target := l.target()
		bad := refuse("b", false)
		target.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
			n := calls.Add(1)
			r := l.deliver(c, db, entries)
			for _, entry := range entries {
				if f := bad(entry.Target.ID); f != nil {
					return relay.Result{Err: f}
				}
			}
			if n == 2 { // the first alone: it was taken
				_, err := w.db.ExecContext(ctx, "UPDATE aftercommit.cursors SET holder = 'other', fence = fence + 1, lease_until = now() + interval '1 h' WHERE name = '"+name+"'")
				w.must(err)
			}
			return r
		}
		w.commit("a", "b", "c", "d")
		w.start(relay.Config{Targets: []relay.Target{target}, Lease: lasting})
		// The relay cannot move its cursor now. It says so by looking for the
		// lease again, in vain.
		w.until("it is overtaken", func() bool { return calls.Load() >= 2 })
		w.ticks(5)
		if got := l.rows(); got != "" {
			t.Errorf("an overtaken holder has delivered [%s]", got)
		}
	}, dbtest.PostgresEngines()...)
}

// TestSameDatabaseHangs: a sink that does not return is suspended as any other.
func TestSameDatabaseHangs(t *testing.T) {
	each(t, func(w *world) {
		l := newLedger(w)
		l.hang = true
		w.commit("a", "b", "c", "d")
		w.start(relay.Config{Targets: []relay.Target{l.target()}})
		w.until("it is suspended", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) == 1 })
	})
}
