package river_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// worksIn lets a process in an environment work the jobs until the func that it returns is
// called. It returns once the process has noted that.
func (w *world) worksIn(environment string) (stop func()) {
	w.Helper()
	w.in(environment)
	conns := 0 // any number
	if w.e.Dialect == hooks.SQLite {
		conns = 1
	}
	before := w.queue().Workers
	stop = w.startWork(conns)
	w.until("the process is noted", func() bool {
		for key := range w.queue().Workers {
			if _, known := before[key]; !known {
				return true
			}
		}
		return false
	}, func() string { return fmt.Sprint(w.queue()) })
	return stop
}

type heartbeat struct {
	Process, Place string
	At             float64
	Stopped        bool
}

// heartbeats are those of the processes that work the jobs, by the environments.
func (w *world) heartbeats() map[string]heartbeat {
	w.Helper()
	metadata := w.queue()
	all := map[string]heartbeat{}
	for _, n := range metadata.Workers {
		_, env, _ := strings.Cut(n.Place, " ")
		all[env] = n
	}
	return all
}

type queueMetadata struct {
	Workers map[string]heartbeat `json:"aftercommit_workers"`
	Mine    string               `json:"mine"`
}

// queue is the metadata of the forwarder's queue.
func (w *world) queue() (m queueMetadata) {
	w.Helper()
	column := "metadata"
	if w.e.Dialect == hooks.SQLite {
		column = "json(metadata)"
	}
	rows, err := w.bare.QueryContext(ctx, w.e.Rebind("SELECT "+column+" FROM river_queue WHERE name = ?"), river.QueueName(forwarder))
	w.must(err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text []byte
		w.must(rows.Scan(&text))
		w.must(json.Unmarshal(text, &m))
	}
	w.must(rows.Err())
	return m
}

// setQueue sets the metadata of the forwarder's queue.
func (w *world) setQueue(m any) {
	w.Helper()
	text, err := json.Marshal(m)
	w.must(err)
	value := "?"
	if w.e.Dialect == hooks.SQLite {
		value = "jsonb(?)"
	}
	w.must(w.bare.ExecContext(ctx, w.e.Rebind("UPDATE river_queue SET metadata = "+value+" WHERE name = ?"), string(text), river.QueueName(forwarder)))
}

// refuse has the sink refuse all events for good.
func (w *world) refuse() {
	w.sink.answer = func(context.Context, int, []journal.Entry) error { return forward.Permanent("no", fmt.Errorf("no")) }
}

// TestResumeOfOthers: Resume takes no job from programs of another environment that work
// them here, or were the last to do so.
func TestResumeOfOthers(t *testing.T) {
	for _, replay := range []bool{true, false} {
		t.Run(fmt.Sprint(replay), func(t *testing.T) {
			each(t, func(w *world) {
				w.placeIn("production", 1)
				w.refuse()
				stop := w.worksIn("production")
				w.untilJobs("cancelled 1")
				w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET state = 'scheduled', finalized_at = NULL, scheduled_at = "+w.after("1 hour")))
				jobs := w.jobs()
				w.resume("staging", replay, 0, `are worked here in the environment "production"`)
				w.resume("", replay, 0, `and Resume has ""`)
				w.resume("production", replay, 0, "nothing to decide")
				stop()
				w.resume("staging", replay, 0, `were last worked here in the environment "production"`)
				if got := w.jobs(); got != jobs {
					t.Errorf("jobs: %s, want %s", got, jobs)
				}
				w.sink.answer = nil
				stop = w.worksIn("staging") // the environment is renamed
				w.resume("production", replay, 0, `are worked here in the environment "staging"`)
				w.resume("staging", replay, 1, "")
				if replay {
					w.until("the job is completed", func() bool { return strings.HasPrefix(w.jobs(), "completed") }, w.jobs)
				}
				stop()
			})
		})
	}
}

// TestResumeAfterCrash: a process that has died counts as running for a minute.
func TestResumeAfterCrash(t *testing.T) {
	each(t, func(w *world) {
		w.worksIn("production")()
		w.placeIn("production", 1)
		crashed := w.heartbeats()["production"]
		stop := w.worksIn("staging")
		defer stop()
		m := w.queue()
		crashed.At, crashed.Stopped = w.heartbeats()["staging"].At-1, false
		key := uuid.NewString()
		m.Workers[key] = crashed
		w.setQueue(m)
		w.resume("staging", false, 0, `"production" (process `+crashed.Process+`)`)
		crashed.At -= 60
		m.Workers[key] = crashed
		w.setQueue(m)
		w.resume("staging", false, 1, "")
	})
}

// TestHeartbeats: they are written beside what else a queue's metadata has, and those of
// processes that have ended are removed.
func TestHeartbeats(t *testing.T) {
	was := river.SetHeartbeatEvery(10 * time.Millisecond)
	defer river.SetHeartbeatEvery(was)
	each(t, func(w *world) {
		w.worksIn("production")()
		if n := w.heartbeats()["production"]; !n.Stopped || n.Process == "" {
			t.Errorf("the process has stopped, and its heartbeat is %+v", n)
		}
		m := w.queue()
		m.Mine = "yes"
		m.Workers[uuid.NewString()] = heartbeat{Process: "dead", Place: m.Workers[keyOf(m)].Place}
		w.setQueue(m)
		stop := w.worksIn("staging")
		defer stop()
		w.until("only the running process has one", func() bool { return len(w.queue().Workers) == 1 }, func() string { return fmt.Sprint(w.queue()) })
		first := w.heartbeats()["staging"]
		w.until("it has another one", func() bool { return w.heartbeats()["staging"].At > first.At }, func() string { return fmt.Sprint(w.heartbeats()) })
		if w.queue().Mine != "yes" {
			t.Errorf("the queue's metadata was not kept: %+v", w.queue())
		}
	})
}

func keyOf(m queueMetadata) string {
	for key := range m.Workers {
		return key
	}
	return ""
}

// TestStray: a program with a wrong environment leaves a job to a running one that it
// belongs to, without putting it off.
func TestStray(t *testing.T) {
	each(t, func(w *world) {
		w.worksIn("production")()
		stray := &sink{}
		w.sink = stray
		stopStray := w.worksIn("staging")
		defer stopStray()
		m := w.queue()
		for key, n := range m.Workers { // so the other process is known to run, whatever it does
			n.Stopped, n.At = false, w.heartbeats()["staging"].At
			m.Workers[key] = n
		}
		w.setQueue(m)
		w.sink = &sink{}
		w.placeIn("production", 1)
		w.until("the stray process has had the job", func() bool {
			stray.mu.Lock()
			defer stray.mu.Unlock()
			return len(stray.notices) > 0
		}, w.jobs)
		w.untilJobs("available 0")
		stop := w.worksIn("production")
		defer stop()
		for id := 2; id <= 20; id++ {
			w.commit(id)
		}
		w.until("all are delivered", func() bool { return strings.Count(w.jobs(), "completed") == 20 }, w.jobs)
		if stray.calls() != "" || w.deliveries(forwarder) != 20 {
			t.Errorf("the right program has delivered %d, and the stray one %q", w.deliveries(forwarder), stray.calls())
		}
		var late int
		wait := "scheduled_at - created_at > interval '30 seconds'"
		if w.e.Dialect == hooks.SQLite {
			wait = "julianday(scheduled_at) - julianday(created_at) > 30.0 / 86400"
		}
		w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM river_job WHERE "+wait).Scan(&late))
		if late > 0 {
			t.Errorf("%d jobs were put off", late)
		}
	})
}

// TestHeartbeatsAmongOtherMetadata: whatever a queue's metadata is, a process is noted there.
func TestHeartbeatsAmongOtherMetadata(t *testing.T) {
	each(t, func(w *world) {
		w.worksIn("production")()
		for _, metadata := range []any{[]int{1}, map[string]any{"aftercommit_workers": nil}, map[string]any{"aftercommit_workers": "none", "mine": "x"}} {
			w.setQueue(metadata)
			w.in("production")
			stop := w.startWork(1)
			w.until("the process is noted", func() bool { return w.runs("production") }, func() string { return fmt.Sprint(metadata) })
			stop()
		}
		if mine := w.queue().Mine; mine != "x" {
			w.Errorf("other metadata is %q", mine)
		}
	})
}

// runs reports whether a process of an environment is noted, and has not stopped.
func (w *world) runs(environment string) bool {
	w.Helper()
	var text []byte
	column := "metadata"
	if w.e.Dialect == hooks.SQLite {
		column = "json(metadata)"
	}
	w.must(w.bare.QueryRowContext(ctx, "SELECT "+column+" FROM river_queue").Scan(&text))
	var m queueMetadata
	if json.Unmarshal(text, &m) != nil {
		return false
	}
	for _, n := range m.Workers {
		if strings.HasSuffix(n.Place, " "+environment) && !n.Stopped {
			return true
		}
	}
	return false
}
