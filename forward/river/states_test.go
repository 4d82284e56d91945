package river_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// behind checks how the forwarder stands, in events.
func (w *world) behind(behind, retrying, discarded int64) {
	w.Helper()
	states, err := river.States(ctx, w.bare, w.e.Dialect, "")
	w.must(err)
	if behind+retrying+discarded == 0 && len(states) == 0 {
		return
	}
	if len(states) != 1 || states[0].Forwarder != forwarder || states[0].Behind != behind || states[0].Retrying != retrying || states[0].Discarded != discarded ||
		states[0].Oldest.IsZero() != (behind == 0) {
		w.Errorf("states: %+v, want %d, %d, %d", states, behind, retrying, discarded)
	}
}

// TestStates: what waits is counted in events, whether anything works the queue or not, and
// since when the oldest does.
func TestStates(t *testing.T) {
	each(t, func(w *world) {
		w.behind(0, 0, 0)
		w.start(forward.Async, forward.RelayElsewhere, forward.MaxAttempts(1))
		w.commit(1, 2)
		w.commit(3)
		w.behind(3, 0, 0)
		w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET created_at = "+w.past("2 hours")+" WHERE id = 1"))
		states, err := river.States(ctx, w.bare, w.e.Dialect, "")
		w.must(err)
		if age := time.Since(states[0].Oldest); age < 119*time.Minute || age > 121*time.Minute {
			t.Errorf("the oldest waits since %v, not for two hours", states[0].Oldest)
		}
		w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET state = 'retryable' WHERE id = 2"))
		w.behind(2, 1, 0)
		w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET state = 'available'"))
		w.sink.answer = func(_ context.Context, _ int, entries []journal.Entry) error {
			if len(entries) > 1 || entries[0].Target.ID == "2" {
				return errors.New("bad")
			}
			return nil
		}
		w.work()
		w.untilJobs("discarded 1, completed 1")
		w.behind(0, 0, 1)
		// A process that works jobs has the same in its Status, and the app nothing.
		w.asked("worker", relay.State{Forwarder: forwarder, Discarded: 1})
		w.asked(w.driver)
		w.must(w.bare.ExecContext(ctx, "DELETE FROM river_job"))
		w.asked("worker", relay.State{Forwarder: forwarder})
		w.must(w.bare.ExecContext(ctx, "ALTER TABLE river_job RENAME TO elsewhere"))
		for _, d := range w.hub.Status(ctx).Databases {
			if (d.JobsErr != nil) != (d.Driver == "worker") {
				t.Errorf("%s: %v", d.Driver, d.JobsErr)
			}
		}
		w.must(w.bare.ExecContext(ctx, "ALTER TABLE elsewhere RENAME TO river_job"))
	})
}

// asked checks what a database's Status says of jobs.
func (w *world) asked(driver string, want ...relay.State) {
	w.Helper()
	for _, d := range w.hub.Status(ctx).Databases {
		if d.Driver != driver {
			continue
		}
		if !errors.Is(d.Err, forward.ErrNotAsked) || !strings.Contains(d.Err.Error(), "river.States") || d.JobsErr != nil || !reflect.DeepEqual(d.Jobs, want) {
			w.Errorf("%s: %v, %v, jobs %+v, want %+v", driver, d.Err, d.JobsErr, d.Jobs, want)
		}
		return
	}
	w.Errorf("%s has no status", driver)
}

// other is a sink of another program.
type other struct{ sink }

const otherForwarder = "river_test.other/default"

// TestStatesOfOthers: the process that works jobs has in its Status those that no process
// works, too.
func TestStatesOfOthers(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere)
		w.commit(1, 2)
		w.must(w.db.Close())
		w.hub = forward.New(&forward.Options{Logger: zap.NewNop(), Queue: river.New(w.river)})
		w.hub.Register(&other{}, forward.Async)
		w.work()
		w.until("the workers have a status", func() bool { return len(w.jobStates()) > 0 }, func() string { return "none" })
		jobs := w.jobStates()
		if len(jobs) != 2 || jobs[0] != otherForwarder+" 0" || jobs[1] != forwarder+" 2" {
			t.Errorf("jobs: %v", jobs)
		}
	})
}

// TestStatesElsewhere: jobs that wait for Resume are marked in Status, and in States if they
// are another database's.
func TestStatesElsewhere(t *testing.T) {
	each(t, func(w *world) {
		w.placeIn("it's 100%", 1, 2)
		stop := w.worksIn("it's 100%")
		w.untilJobs("completed 1, completed 1")
		w.elsewhere("own", false, false)
		stop()
		w.placeIn("it's 100%", 3)
		w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET state = 'retryable', scheduled_at = "+w.after("1 hour")+" WHERE state <> 'completed'"))
		stop = w.worksIn("staging")
		w.elsewhere("another environment's", true, false)
		if w.e.Dialect == hooks.Postgres {
			w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET args = jsonb_set(args, '{at}', '\"1/2 staging\"')"))
			w.elsewhere("another database's", true, true)
		}
		stop()
		w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET state = 'discarded', finalized_at = scheduled_at WHERE state = 'retryable'"))
		stop = w.worksIn("staging")
		defer stop()
		w.elsewhere("dead letters", false, false)
	})
}

// elsewhere checks Elsewhere in the Status of the process that works the jobs, and in States.
func (w *world) elsewhere(what string, status, states bool) {
	w.Helper()
	var got []relay.State
	w.until("the workers have a status", func() bool { got = w.hub.Status(ctx).Databases[0].Jobs; return len(got) > 0 }, func() string { return "none" })
	if got[0].Elsewhere != status {
		w.Errorf("%s: Status has %+v", what, got)
	}
	all, err := river.States(ctx, w.bare, w.e.Dialect, "")
	w.must(err)
	if len(all) > 0 && all[0].Elsewhere != states || len(all) == 0 && states {
		w.Errorf("%s: States has %+v", what, all)
	}
}

// jobStates returns what Status has of jobs: each forwarder, and how far behind it is.
func (w *world) jobStates() (all []string) {
	for _, d := range w.hub.Status(ctx).Databases {
		for _, s := range d.Jobs {
			all = append(all, fmt.Sprint(s.Forwarder, " ", s.Behind))
		}
	}
	return all
}
