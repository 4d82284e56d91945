package river_test

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// in starts an app in an environment, whose jobs are worked elsewhere. Its warnings are in
// the logs that it returns.
func (w *world) in(environment string) *observer.ObservedLogs {
	w.Helper()
	core, logs := observer.New(zap.WarnLevel)
	w.must(w.open(&forward.Options{Logger: zap.New(core), Relay: forward.RelayElsewhere, Queue: river.New(w.river), Environment: environment}, forward.Async))
	return logs
}

// placeIn has an app in an environment place orders, each in a transaction.
func (w *world) placeIn(environment string, ids ...int) {
	w.Helper()
	w.in(environment)
	for _, id := range ids {
		w.commit(id)
	}
	w.must(w.db.Close())
}

// resume is river.Resume, which returns an error that says want, or nothing.
func (w *world) resume(environment string, replay bool, jobs int, want string) {
	w.Helper()
	n, err := river.Resume(ctx, w.bare, w.e.Dialect, "", forwarder, environment, replay)
	if n != jobs || (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		w.Errorf("Resume = %d, %v, want %d, %q", n, err, jobs, want)
	}
}

// suspended returns the notices that the sink is suspended.
func (w *world) suspended() (all []hooks.Notice) {
	w.sink.mu.Lock()
	defer w.sink.mu.Unlock()
	for _, n := range w.sink.notices {
		if n.Kind == hooks.NoticeSuspended {
			all = append(all, n)
		}
	}
	return all
}

// waitFor checks that the jobs wait for a decision, which one notice and one line ask for.
func (w *world) waitFor(logs *observer.ObservedLogs, jobs string, words ...string) {
	w.Helper()
	w.untilJobs(jobs)
	all := w.suspended()
	if len(all) != 1 || all[0].Reason != "place" || all[0].Forwarder != forwarder || all[0].Dispatch != "async" {
		w.Fatalf("notices: %+v", all)
	}
	var place *relay.PlaceError
	if !errors.As(all[0].Err, &place) {
		w.Errorf("the notice has %v", all[0].Err)
	}
	for _, word := range append(words, "river.Resume") {
		if !strings.Contains(all[0].Err.Error(), word) {
			w.Errorf("%q is not in: %v", word, all[0].Err)
		}
	}
	if lines := logs.FilterMessage("aftercommit: jobs wait").All(); len(lines) != 1 || lines[0].ContextMap()["error"] != all[0].Err.Error() {
		w.Errorf("lines: %+v", lines)
	}
	if n, _ := w.sink.count(func(n hooks.Notice) bool { return n.Kind == hooks.NoticeFailed }); n != 0 {
		w.Errorf("%d events have failed", n)
	}
}

// TestOtherEnvironment: jobs of another environment wait for a decision, beside those of
// this one, and no attempt counts.
func TestOtherEnvironment(t *testing.T) {
	for _, envs := range [][2]string{{"production", "staging"}, {"", "staging"}, {"production", ""}, {"Łódź", "staging"}} {
		for _, replay := range []bool{true, false} {
			if !replay && envs[0] != "production" {
				continue
			}
			t.Run(fmt.Sprintf("%s-%s-%v", envs[0], envs[1], replay), func(t *testing.T) {
				each(t, func(w *world) {
					w.placeIn(envs[0], 1, 2)
					logs := w.in(envs[1])
					w.commit(3)
					w.work()
					w.waitFor(logs, "scheduled 0, scheduled 0, completed 1", fmt.Sprintf("%q", envs[1]), "Options.Environment")
					w.delivered("3")
					w.resume(envs[1], replay, 2, "")
					if replay {
						w.untilJobs("completed 1, completed 1, completed 1")
						w.resume(envs[1], replay, 0, "nothing to decide")
						return
					}
					w.untilJobs("cancelled 0, cancelled 0, completed 1")
					w.resume(envs[1], replay, 0, "nothing to decide")
					w.delivered("3")
					w.retry(2) // dead letters of another place wait, too
					w.untilJobs("scheduled 0, scheduled 0, completed 1")
					w.delivered("3")
					w.resume(envs[1], false, 2, "")
					w.resume(envs[1], true, 0, "") // they are this place's now
					w.retry(2)
					w.untilJobs("completed 1, completed 1, completed 1")
				})
			})
		}
	}
}

// TestDiedElsewhere: a job whose process died in its last attempt is not discarded in a
// copy, which knows nothing of that sink.
func TestDiedElsewhere(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere, forward.MaxAttempts(1))
		w.commit(1)
		w.must(w.db.Close())
		w.attempting("20 minutes")
		logs := w.in("staging")
		w.work()
		w.waitFor(logs, "scheduled 1")
		w.told(hooks.NoticeDiscarded, 0, "")
		w.resume("staging", true, 1, "")
		w.untilJobs("completed 2")
		w.delivered("1")
	})
}

// TestRunningElsewhere: Resume does not take a job from an attempt that runs. With replay it
// is this place's once the attempt is over; without, it is cancelled then.
func TestRunningElsewhere(t *testing.T) {
	for _, replay := range []bool{true, false} {
		t.Run(fmt.Sprint(replay), func(t *testing.T) {
			each(t, func(w *world) {
				w.placeIn("production", 1)
				w.attempting("1 minute")
				w.resume("staging", replay, 1, "")
				if got := w.jobs(); got != "running 1" {
					w.Fatalf("jobs: %s", got)
				}
				w.attempting("20 minutes") // its process is dead
				w.in("staging")
				w.work()
				if replay {
					w.untilJobs("completed 2")
					w.delivered("1")
					return
				}
				w.untilJobs("cancelled 1")
				w.delivered("")
			})
		})
	}
}

// TestResumeRetryable: with replay a job that was to be tried again later is worked at once.
func TestResumeRetryable(t *testing.T) {
	each(t, func(w *world) {
		w.placeIn("production", 1)
		w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET state = 'retryable', attempt = 3, scheduled_at = "+w.after("1 hour")))
		w.resume("staging", true, 1, "")
		if got := w.jobs(); got != "available 3" {
			t.Fatalf("jobs: %s", got)
		}
		w.in("staging")
		w.work()
		w.untilJobs("completed 4")
		w.delivered("1")
	})
}

// TestResumeTwice: an operator who has given up a job that runs may still have it replayed.
func TestResumeTwice(t *testing.T) {
	each(t, func(w *world) {
		w.placeIn("production", 1)
		w.attempting("1 minute")
		w.resume("staging", false, 1, "")
		w.resume("staging", true, 1, "")
		w.attempting("20 minutes") // its process is dead
		w.in("staging")
		w.work()
		w.untilJobs("completed 2")
		w.delivered("1")
	})
}

// TestResumeNotes: a job that Resume has cancelled keeps what is left of it, and why.
func TestResumeNotes(t *testing.T) {
	each(t, func(w *world) {
		w.in("production")
		w.commit(1, 2, 3)
		w.commit(4)
		w.must(w.db.Close())
		events := func(job int) (ids []string) {
			var text string
			w.must(w.bare.QueryRowContext(ctx, w.e.Rebind("SELECT "+w.json("args", "events")+" FROM river_job WHERE id = ?"), job).Scan(&text))
			w.must(json.Unmarshal([]byte(text), &ids))
			return ids
		}
		first, second := events(1), events(2)
		set := `{"left": ["` + first[1] + `"], "refused": ["` + first[0] + `"], "why": "earlier"}`
		if w.e.Dialect == hooks.SQLite {
			w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET metadata = jsonb_set(metadata, '$.aftercommit_note', jsonb('"+set+"')) WHERE id = 1"))
		} else {
			w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET metadata = jsonb_set(metadata, '{aftercommit_note}', '"+set+"') WHERE id = 1"))
		}
		w.must(w.bare.ExecContext(ctx, "UPDATE river_job SET state = 'running', attempt = 1, attempted_at = "+w.past("1 minute")+" WHERE id = 2"))
		w.resume("staging", false, 2, "")
		for job, want := range map[int][]string{1: {first[1], first[0]}, 2: second} {
			var text string
			w.must(w.bare.QueryRowContext(ctx, w.e.Rebind("SELECT "+w.json("metadata", "aftercommit_note")+" FROM river_job WHERE id = ?"), job).Scan(&text))
			var note struct {
				Left    []string
				Refused []string
				Why     string
			}
			w.must(json.Unmarshal([]byte(text), &note))
			if !slices.Equal(note.Left, want) || note.Refused != nil || !strings.Contains(note.Why, "Resume without replay") || !strings.Contains(note.Why, "production, and this is ") || !strings.HasSuffix(note.Why, " staging") {
				t.Errorf("job %d notes %s, want %v left", job, text, want)
			}
		}
		w.resume("staging", true, 1, "") // the dead letter, too
		w.retry(1)
		w.in("staging")
		w.work()
		w.until("job 1 is completed", func() bool { return strings.HasPrefix(w.jobs(), "completed 1") }, w.jobs)
		w.delivered("1 2") // and not 3, which was accepted
	})
}

// json is a member of a column as text.
func (w *world) json(column, key string) string {
	if w.e.Dialect == hooks.SQLite {
		return "json(" + column + " -> '$." + key + "')"
	}
	return "(" + column + " -> '" + key + "')::text"
}

// TestJobsWithoutPlace: those that an earlier version has enqueued are delivered.
func TestJobsWithoutPlace(t *testing.T) {
	each(t, func(w *world) {
		w.placeIn("production", 1)
		remove := "UPDATE river_job SET args = args - 'at'"
		if w.e.Dialect == hooks.SQLite {
			remove = "UPDATE river_job SET args = jsonb_remove(args, '$.at')"
		}
		w.must(w.bare.ExecContext(ctx, remove))
		w.in("staging")
		w.work()
		w.untilJobs("completed 1")
		w.delivered("1")
	})
}

// TestCopy: a copy of a database delivers no job that it has from its original, in whatever
// state that was, and every job that is enqueued in the copy.
func TestCopy(t *testing.T) {
	eachOf(t, func(w *world) {
		w.placeIn("production", 1, 2)
		c := w.copy()
		logs := c.in("production") // the operator has not named it
		c.commit(3)
		c.work()
		c.waitFor(logs, "scheduled 0, scheduled 0, completed 1", "another database", "copy")
		c.delivered("3")
		c.resume("production", true, 2, "")
		c.untilJobs("completed 1, completed 1, completed 1")

		w.in("production")
		w.work()
		w.untilJobs("completed 1, completed 1")
	}, dbtest.PostgresEngines()...)
}

// copy makes a copy of the world's database on the same server.
func (w *world) copy() *world {
	w.Helper()
	admin := dbtest.Open(w, w.e.Driver, dbtest.Shared(w).DSN("postgres"))
	var original string
	w.must(w.bare.QueryRowContext(ctx, "SELECT current_database()").Scan(&original))
	w.must(w.bare.Close())
	name := strings.ToLower(dbtest.Name("copy"))
	w.must(admin.ExecContext(ctx, `CREATE DATABASE "`+name+`" TEMPLATE "`+original+`"`))
	w.Cleanup(func() { w.must(admin.ExecContext(ctx, `DROP DATABASE "`+name+`" WITH (FORCE)`)) })
	w.bare = dbtest.Open(w, w.e.Driver, w.dsn)
	dsn := dbtest.Shared(w).DSN(name)
	return &world{T: w.T, e: w.e, dsn: dsn, bare: dbtest.Open(w, w.e.Driver, dsn), sink: &sink{}, river: w.river}
}

// TestRoleKnowsItsPlace: with the grants of the README's Roles, and those for River.
func TestRoleKnowsItsPlace(t *testing.T) {
	eachOf(t, func(w *world) {
		owner := w.dsn
		dsn, grant := w.role()
		grant("GRANT INSERT, SELECT ON river_job TO $app", "GRANT USAGE ON SEQUENCE river_job_id_seq TO $app", "GRANT SELECT ON river_migration TO $app")
		w.dsn = dsn
		w.placeIn("production", 1)
		logs := w.in("staging")
		w.commit(2)
		w.dsn = owner
		w.work()
		w.waitFor(logs, "scheduled 0, completed 1", `"production"`, `"staging"`)
		w.delivered("2")
		w.must(w.db.Close())
	}, dbtest.PostgresEngines()...)
}

// moving is a driver whose connections lead to another database from now on.
type moving struct {
	sqldriver.Driver
	dsn atomic.Pointer[string]
}

func (m *moving) Open(string) (sqldriver.Conn, error) { return m.Driver.Open(*m.dsn.Load()) }

// TestMovedToAnotherDatabase: an app and a program that works jobs, whose address leads to a
// copy from now on, enqueue and work there what belongs there.
func TestMovedToAnotherDatabase(t *testing.T) {
	eachOf(t, func(w *world) {
		w.placeIn("production", 1)
		c := w.copy()
		m := &moving{Driver: w.bare.Driver()}
		m.dsn.Store(&w.dsn)
		c.e.Driver = dbtest.Name("moving")
		sql.Register(c.e.Driver, m)
		logs := c.in("production")
		c.db.SetMaxIdleConns(0)
		c.commit(2)
		if got := w.jobs(); got != "available 0, available 0" {
			t.Fatalf("jobs: %s", got)
		}
		m.dsn.Store(&c.dsn)
		c.commit(3)
		c.work()
		c.waitFor(logs, "scheduled 0, completed 1")
		c.delivered("3")
	}, dbtest.PostgresEngines()...)
}
