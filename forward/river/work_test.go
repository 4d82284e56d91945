package river_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river/rivertype"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
)

var errAway = errors.New("the sink is away")

// TestPermanent: cancelled after one attempt.
func TestPermanent(t *testing.T) {
	each(t, func(w *world) {
		w.sink.answer = func(context.Context, int, []journal.Entry) error {
			return forward.Permanent("schema_mismatch", errAway)
		}
		w.start(forward.Async, forward.RelayInProcess)
		w.commit(1)
		w.untilJobs("cancelled 1")
		w.delivered("1")
		w.told(hooks.NoticeFailed, 1, "schema_mismatch")
		w.told(hooks.NoticeDiscarded, 1, "schema_mismatch")
	})
}

// TestRecovers: what fails once is delivered by the next attempt. While nothing shows that
// the sink is up, no attempt counts.
func TestRecovers(t *testing.T) {
	each(t, func(w *world) {
		w.sink.answer = func(_ context.Context, call int, _ []journal.Entry) error {
			if call == 1 {
				panic("once")
			}
			return nil
		}
		w.start(forward.Async, forward.RelayInProcess)
		w.commit(1)
		w.untilJobs("completed 1")
		w.delivered("1, 1")
		w.told(hooks.NoticeSuspended, 1, "panic")
		w.told(hooks.NoticeResumed, 1, "")
		w.told(hooks.NoticeDelivered, 1, "")
		w.told(hooks.NoticeFailed, 0, "")
	})
}

// TestPartial: the next attempt has what failed and may pass alone. The job keeps what was
// refused for good, so that it can be tried once more.
func TestPartial(t *testing.T) {
	each(t, func(w *world) {
		w.sink.answer = func(_ context.Context, call int, entries []journal.Entry) error {
			failed := map[uuid.UUID]error{}
			for _, e := range entries {
				switch {
				case e.Target.ID == "1" && call == 1:
					failed[e.ID] = forward.Permanent("invalid", errAway)
				case e.Target.ID == "3" && call < 3:
					failed[e.ID] = errAway
				}
			}
			return forward.Partial(failed)
		}
		w.start(forward.Async, forward.RelayInProcess)
		w.commit(1, 2, 3)
		w.untilJobs("cancelled 2") // it has what was refused; the second attempt of three does not count
		w.delivered("1 2 3, 3, 3")
		w.told(hooks.NoticeDiscarded, 1, "invalid")
		w.told(hooks.NoticeDelivered, 2, "")
		w.retry(1)
		w.untilJobs("completed 3")
		w.delivered("1 2 3, 3, 3, 1")
	})
}

// TestFilter: what is filtered is nobody's, and its job is done.
func TestFilter(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayInProcess, forward.Filter(func(e journal.Entry) bool { return e.Target.ID != "1" }))
		w.commit(1)
		w.commit(2)
		w.untilJobs("completed 1, completed 1")
		w.delivered("2")
	})
}

// TestUnknownArgs are cancelled, and told.
func TestUnknownArgs(t *testing.T) {
	for _, tt := range []struct{ name, args string }{
		{"another forwarder", `{"forwarder": "nobody", "events": ["0199c0de-0000-7000-8000-000000000001"]}`},
		{"no events", `{"forwarder": "` + forwarder + `"}`},
		{"another type", `{"forwarder": 7}`},
		{"another thing", `[]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(w *world) {
				w.start(forward.Async, forward.RelayInProcess)
				args := "?"
				if w.e.Dialect == hooks.SQLite {
					args = "jsonb(?)"
				}
				w.must(w.bare.ExecContext(ctx, w.e.Rebind("INSERT INTO river_job (kind, queue, max_attempts, args) VALUES (?, ?, 5, "+args+")"),
					river.Kind, river.QueueName(forwarder), tt.args))
				w.untilJobs("cancelled 1")
				w.told(hooks.NoticeDiscarded, 1, "unknown_job")
				w.delivered("")
			})
		})
	}
}

// TestJournalGone: what was purged before its delivery is told, and the rest is
// delivered.
func TestJournalGone(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere)
		w.commit(1)
		w.commit(2, 3)
		w.must(w.bare.ExecContext(ctx, "DELETE FROM "+w.journal()+" WHERE events = 1"))
		w.work()
		w.untilJobs("cancelled 1, completed 1")
		w.delivered("2 3")
		w.told(hooks.NoticeDiscarded, 1, "journal_gone")
		w.told(hooks.NoticeDelivered, 2, "")
	})
}

// TestWorkElsewhere: another process works what this one commits.
func TestWorkElsewhere(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere)
		w.commit(1)
		var queues int // a client writes those that it works when it starts
		w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM river_queue").Scan(&queues))
		if got := w.jobs(); got != "available 0" || queues != 0 {
			t.Errorf("jobs: %s; %d queues are worked", got, queues)
		}
		w.work()
		w.untilJobs("completed 1")
		w.delivered("1")
	})
}

// TestNeverReturns: a call that does not return is an attempt that failed. It
// keeps its connection from nobody, and the job comes again.
func TestNeverReturns(t *testing.T) {
	each(t, func(w *world) {
		release := make(chan struct{})
		w.Cleanup(func() { close(release) })
		w.sink.answer = func(_ context.Context, call int, _ []journal.Entry) error {
			if call == 1 {
				<-release
			}
			return nil
		}
		w.start(forward.Async, forward.RelayInProcess, forward.Timeout(100*time.Millisecond), forward.MaxAttempts(100))
		w.commit(1)
		w.until("it is called", func() bool { return w.sink.calls() != "" }, w.sink.calls)
		w.commit(2)
		w.until("both jobs are done", func() bool { return strings.Count(w.jobs(), "completed") == 2 }, w.jobs)
		if got := w.sink.calls(); !strings.HasPrefix(got, "1, ") || !strings.Contains(got, "2") {
			t.Errorf("the sink was called with [%s]", got)
		}
		w.until("it is told", func() bool {
			n, _ := w.sink.count(func(n hooks.Notice) bool { return n.Kind == hooks.NoticeSuspended && n.Reason == "timeout" })
			return n > 0
		}, w.sink.calls)
	})
}

// TestDrain waits for what there is, and for no retry.
func TestDrain(t *testing.T) {
	each(t, func(w *world) {
		w.river.Config.RetryPolicy = never{}
		w.sink.answer = func(_ context.Context, _ int, entries []journal.Entry) error {
			if entries[0].Target.ID == "2" {
				return errAway
			}
			return nil
		}
		w.start(forward.Async, forward.RelayElsewhere)
		for id := range 5 {
			w.commit(id)
		}
		patient, stop := context.WithTimeout(ctx, time.Minute)
		defer stop()
		w.must(w.hub.Drain(patient)) // of nothing here
		w.must(w.db.Close())
		w.start(forward.Async, forward.RelayInProcess)
		w.must(w.hub.Drain(patient))
		if got := w.jobs(); strings.Count(got, "completed 1") != 4 || strings.Count(w.sink.calls(), "2") != 1 {
			t.Errorf("jobs: %s", got)
		}
		over, cancel := context.WithCancel(ctx)
		cancel()
		if err := w.hub.Drain(over); !errors.Is(err, context.Canceled) {
			t.Errorf("Drain = %v, want it canceled", err)
		}
	})
}

// never tries failed jobs again after the test.
type never struct{}

func (never) NextRetry(*rivertype.JobRow) time.Time { return time.Now().Add(time.Hour) }

// TestStopWaits for the delivery that is running.
func TestStopWaits(t *testing.T) {
	each(t, func(w *world) {
		begun, finish := make(chan struct{}), make(chan struct{})
		w.sink.answer = func(context.Context, int, []journal.Entry) error {
			close(begun)
			<-finish
			return nil
		}
		w.start(forward.Async, forward.RelayInProcess)
		w.commit(1)
		<-begun
		stopped := make(chan error, 1)
		go func() { stopped <- w.hub.Close(ctx) }()
		close(finish)
		w.must(<-stopped)
		if got := w.jobs(); got != "completed 1" {
			t.Errorf("jobs: %s", got)
		}
		w.commit(2) // for another process
		if got := w.jobs(); got != "completed 1, available 0" {
			t.Errorf("jobs: %s", got)
		}
	})
}

// stopInACall commits an event, and closes the Hub while the sink has its first call, which
// then ends with an error. Later calls accept all.
func (w *world) stopInACall(end func(context.Context) error, opts ...forward.RegisterOption) error {
	w.Helper()
	begun := make(chan struct{})
	w.sink.answer = func(ctx context.Context, call int, _ []journal.Entry) error {
		if call > 1 {
			return nil
		}
		close(begun)
		<-ctx.Done()
		return end(ctx)
	}
	w.start(forward.Async, forward.RelayInProcess, opts...)
	w.commit(1)
	<-begun
	over, cancel := context.WithCancel(ctx)
	cancel()
	return w.hub.Close(over)
}

// TestStopCancels a delivery that takes too long: it is no attempt, even where it
// would have been the last one, and another process makes it.
func TestStopCancels(t *testing.T) {
	each(t, func(w *world) {
		away := func(context.Context) error { return errAway } // not what River would take for the stop
		if err := w.stopInACall(away, forward.MaxAttempts(1)); !errors.Is(err, context.Canceled) {
			t.Errorf("Close: %v", err)
		}
		w.told(hooks.NoticeDiscarded, 0, "")
		if got := w.jobs(); got != "available 0" {
			t.Errorf("jobs: %s", got)
		}
		w.work()
		w.untilJobs("completed 1")
		w.delivered("1, 1")
	})
}

// TestUnreadable: an event that cannot be read goes to no sink, and fails no other.
func TestUnreadable(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere)
		w.commit(1, 2, 3)
		damaged := "jsonb_set(document::jsonb, '{1,metadata}', '[1]')::text"
		if w.e.Dialect == hooks.SQLite {
			damaged = "json_set(document, '$[1].metadata', 1)"
		}
		w.must(w.bare.ExecContext(ctx, "UPDATE "+w.journal()+" SET document = "+damaged))
		w.work()
		w.untilJobs("cancelled 1")
		w.delivered("1 3")
		w.told(hooks.NoticeDelivered, 2, "")
		w.told(hooks.NoticeFailed, 1, "unreadable")
		w.told(hooks.NoticeDiscarded, 1, "unreadable")
	})
}

// TestKilledWorker: jobs are in an attempt of processes of which one was killed
// twenty minutes ago. The next attempt at its job is another's.
func TestKilledWorker(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere)
		w.commit(1)
		w.commit(2)
		w.attempting("0 minutes")
		w.age("20 minutes", 1)
		w.work()
		w.untilJobs("completed 2, running 1")
		w.delivered("1")
	})
}

// TestRescueGoesByTheJob: programs whose sinks have other timeouts share River's tables. A
// job is in an attempt for as long as its own allows, whichever program looks.
func TestRescueGoesByTheJob(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere, forward.Timeout(3*time.Minute))
		w.commit(1)
		w.must(w.db.Close())
		w.start(forward.Async, forward.RelayElsewhere)
		w.commit(2)
		w.attempting("20 minutes")
		w.work()
		w.untilJobs("running 1, completed 2")
		w.delivered("2")
	})
}
