package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// sink is down until it is set up.
type sink struct {
	mu   sync.Mutex
	up   bool
	slow bool // it takes a commit's share of time for each call of several entries
	got  []string
}

func (s *sink) Forward(_ context.Context, entries []journal.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slow && len(entries) > 1 {
		time.Sleep(100 * time.Millisecond)
	}
	if !s.up {
		return errors.New("the sink is down")
	}
	for i := range entries {
		s.got = append(s.got, entries[i].Target.ID)
	}
	return nil
}

func (s *sink) come() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up = true
}

// take returns what has come since the last call.
func (s *sink) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

// waiting is an app whose sink, and others, have missed n events.
func waiting(t *testing.T, n int, others ...*sink) (*world, *forward.Hub, *sql.DB, *sink) {
	t.Helper()
	return waitingFor(t, zap.NewNop(), n, others...)
}

// waitingFor is waiting with a logger.
func waitingFor(t *testing.T, log *zap.Logger, n int, others ...*sink) (*world, *forward.Hub, *sql.DB, *sink) {
	t.Helper()
	w, s := newWorld(t), &sink{}
	hub := forward.New(&forward.Options{Logger: log, Grace: time.Nanosecond})
	hub.Register(s, forward.Auto)
	for i, other := range others {
		hub.Register(other, forward.Auto, forward.ID(fmt.Sprint(i)))
	}
	w.name = dbtest.Name("sqlite")
	driver.Register(w.name, "sqlite", hub, driver.WriteTimeout(dbtest.Patience))
	db := w.open("_pragma=busy_timeout(5000)", "_pragma=journal_mode(WAL)")
	tx, err := db.BeginTx(ctx, nil)
	w.must(err)
	for i := range n {
		w.must(hooks.Record(ctx, tx, hooks.Event{Action: "order.noted", Target: hooks.Target{ID: fmt.Sprint(i)}}))
	}
	w.must(tx.Commit())
	if got := s.take(); len(got) > 0 {
		t.Fatalf("the sink has got %d events while it was down", len(got))
	}
	return w, hub, db, s
}

// TestCommitPaysAShare: when a sink comes back, no commit delivers all that has waited;
// several do, in order, each beside its own events.
func TestCommitPaysAShare(t *testing.T) {
	const missed, share = 1200, 500
	w, _, db, s := waiting(t, missed)
	s.come()
	next := 0
	for commit := 0; next < missed; commit++ {
		w.must(hooks.Record(ctx, db, hooks.Event{Action: "order.noted", Target: hooks.Target{ID: "own"}}))
		got := s.take()
		if len(got) == 0 || got[0] != "own" || len(got) > share+1 {
			t.Fatalf("commit %d delivered %d events, want its own one and at most %d others", commit, len(got), share)
		}
		for _, id := range got[1:] {
			if id == "own" {
				continue // of an earlier commit, whose delivery is not noted yet
			}
			if id != fmt.Sprint(next) {
				t.Fatalf("commit %d delivered %s, want %d", commit, id, next)
			}
			next++
		}
		if commit > missed {
			t.Fatalf("after %d commits, %d of %d are delivered", commit, next, missed)
		}
	}
}

// TestCommitsReportLagOnce: what one commit's share has found out the next one's
// remembers, such as that a lag was reported less than ten seconds ago.
func TestCommitsReportLagOnce(t *testing.T) {
	const missed = 1200
	began := time.Now()
	core, logs := observer.New(zap.WarnLevel)
	w, _, db, s := waitingFor(t, zap.New(core), missed)
	w.must(w.bare.ExecContext(ctx, "UPDATE aftercommit_journal SET recorded_at = '2020' || substr(recorded_at, 5)"))
	s.come()
	commits := 0
	for got := 0; got < missed; got += len(s.take()) - 1 {
		w.must(hooks.Record(ctx, db, hooks.Event{Action: "order.noted"}))
		if commits++; commits > missed {
			t.Fatal("commits do not deliver what was missed")
		}
	}
	lags := logs.FilterMessage("aftercommit: a forwarder is behind").Len()
	if most := 1 + int(time.Since(began)/(10*time.Second)); lags == 0 || lags > most {
		t.Errorf("%d commits have reported %d lags, want 1 to %d", commits, lags, most)
	}
}

// TestSlowSinksTakeTurns: a call that takes the whole time of a share is the only one of
// its commit, and that of the next commit is the other sink's.
func TestSlowSinksTakeTurns(t *testing.T) {
	const missed, share = 400, 50
	second := &sink{slow: true}
	w, _, db, first := waiting(t, missed, second)
	first.slow = true
	first.come()
	second.come()
	for a, b := 0, 0; a < missed && b < missed; {
		w.must(hooks.Record(ctx, db, hooks.Event{Action: "order.noted", Target: hooks.Target{ID: "own"}}))
		one, other := len(first.take())-1, len(second.take())-1
		if one < 0 || other < 0 || one+other > share {
			t.Fatalf("a commit delivered %d and %d events beside its own, want %d at most", one, other, share)
		}
		a, b = a+one, b+other
		if one+other > 0 && max(a, b) > 4*share && min(a, b) == 0 {
			t.Fatalf("%d and %d events were delivered: they take no turns", a, b)
		}
	}
}

// late is a sink that returns when its time is over.
type late struct{ calls int }

func (l *late) Forward(ctx context.Context, _ []journal.Entry) error {
	l.calls++
	<-ctx.Done()
	return ctx.Err()
}

// TestSuspendedSinkIsNotCalled: neither with a commit's own events, nor with those that
// it has missed.
func TestSuspendedSinkIsNotCalled(t *testing.T) {
	w, l := newWorld(t), &late{}
	hub := forward.New(&forward.Options{Logger: zap.NewNop(), Grace: time.Nanosecond})
	hub.Register(l, forward.Auto, forward.Timeout(time.Millisecond))
	w.name = dbtest.Name("sqlite")
	driver.Register(w.name, "sqlite", hub, driver.WriteTimeout(dbtest.Patience))
	db := w.open("_pragma=busy_timeout(5000)", "_pragma=journal_mode(WAL)")
	record := func() { w.must(hooks.Record(ctx, db, hooks.Event{Action: "order.noted"})) }
	for range 3 {
		record()
	}
	before := l.calls
	if record(); before < 3 || l.calls != before {
		t.Errorf("%d calls before it was suspended, %d after that", before, l.calls-before)
	}
}

// TestSettleDeliversTheRest, at once.
func TestSettleDeliversTheRest(t *testing.T) {
	const missed = 1200
	w, hub, _, s := waiting(t, missed)
	s.come()
	w.must(hub.Settle(ctx))
	got := s.take()
	for i := range got {
		if got[i] != fmt.Sprint(i) {
			t.Fatalf("event %d is %s", i, got[i])
		}
	}
	if len(got) != missed {
		t.Errorf("%d events delivered, want %d", len(got), missed)
	}
}
