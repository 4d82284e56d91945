package relay_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ngrok/sqlmw"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// copyTo dumps the world's database and restores it into an empty one.
func (w *world) copyTo(dsn string) *world {
	w.Helper()
	bin := dbtest.RequirePostgres(w.T)
	var stderr bytes.Buffer
	dump := exec.CommandContext(ctx, filepath.Join(bin, "pg_dump"), "--dbname="+w.dsn)
	dump.Stderr = &stderr
	text, err := dump.Output()
	if err != nil {
		w.Fatalf("pg_dump: %v\n%s", err, stderr.String())
	}
	restore := exec.CommandContext(ctx, filepath.Join(bin, "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname="+dsn)
	restore.Stdin = bytes.NewReader(text)
	if out, failed := restore.CombinedOutput(); failed != nil {
		w.Fatalf("psql: %v\n%s", failed, out)
	}
	c := &world{T: w.T, e: w.e, dsn: dsn, sink: &sink{}, clock: &clock{now: time.Now()}}
	c.db = dbtest.Open(w.T, w.e.Driver, dsn)
	c.j, err = journal.New(w.e.Dialect, nil)
	w.must(err)
	w.must(c.j.Connect(ctx, c.one()))
	c.store, err = relay.New(w.e.Dialect, nil)
	w.must(err)
	return c
}

// awaitDecision checks that a relay over the world delivers nothing, and says why.
func (w *world) awaitDecision() {
	w.Helper()
	w.until("it is told", func() bool {
		told := w.sink.told(hooks.NoticeSuspended)
		return len(told) == 1 && told[0] == "place 0"
	})
	w.sink.set(func(s *sink) {
		for _, n := range s.notices {
			if n.Kind == hooks.NoticeSuspended && !errors.As(n.Err, new(*relay.PlaceError)) {
				w.Errorf("told as %v, want a PlaceError", n.Err)
			}
		}
	})
	w.ticks(5)
	w.want("")
	if s := w.state(); !s.Elsewhere {
		w.Errorf("%+v does not say that the cursor is from elsewhere", s)
	}
}

// TestRestored: a relay over a restored dump waits for a decision, and then skips
// or replays; on the same server, or on one whose transactions have lower numbers.
func TestRestored(t *testing.T) {
	fresh := dbtest.Start(t, nil)
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, replay := range []bool{false, true} {
			for where, dsn := range map[string]func(testing.TB) string{"same server": e.DSN, "new server": fresh.Database} {
				t.Run(fmt.Sprintf("%s, replay=%v", where, replay), func(t *testing.T) {
					w := newWorld(t, e)
					restored(w, w.copyFor(dsn(t)), replay)
				})
			}
		}
	}, dbtest.PostgresEngines()...)
}

// copyFor makes a copy with a, b and c of which c was not delivered.
func (w *world) copyFor(dsn string) *world {
	w.Helper()
	_, err := w.db.ExecContext(ctx, "DO $$ BEGIN FOR i IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")
	w.must(err)
	r := w.start(relay.Config{})
	w.commit("a")
	w.drain(r)
	// Longer ago than what is replayed because clocks may differ.
	w.set(w.entries()["a"].Key, "recorded_at = recorded_at - interval '61 s'")
	w.commit("b")
	w.drain(r)
	w.must(r.Stop(ctx))
	w.commit("c")
	return w.copyTo(dsn)
}

// restored has a sink in the same database, which gets each entry once whatever becomes of
// a call. Another one gets some again if the result of a call could not be written.
func restored(w, c *world, replay bool) {
	w.Helper()
	l := newLedger(c)
	target := l.target()
	target.Timeout = lasting
	r := c.start(relay.Config{Targets: []relay.Target{target}})
	c.awaitDecision()
	if got := l.rows(); got != "" {
		c.Errorf("delivered [%s] before the decision", got)
	}
	c.commit("meanwhile")
	n, err := c.store.Resume(ctx, c.db, name, replay)
	c.must(err)
	c.clock.pass(time.Hour)
	c.commit("new")
	c.drain(r)
	want := []string{"new"} // at least
	if replay {
		want = append(want, "c", "meanwhile")
	}
	if n < 2 {
		c.Errorf("Resume = %d, want c and meanwhile at least", n)
	}
	for _, e := range want {
		c.until(e+" is delivered", func() bool { return contains(l.rows(), e) })
	}
	if s := c.state(); s.Elsewhere || s.Behind != 0 {
		c.Errorf("%+v after Resume", s)
	}
	// Numbers of restored transactions come again here.
	_, err = c.db.ExecContext(ctx, "DO $$ BEGIN FOR i IN 1..6000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")
	c.must(err)
	c.commit("last")
	c.drain(r)
	c.until("what was replayed is settled", func() bool { return c.state().Retrying == 0 })
	got := map[string]int{}
	for _, e := range strings.Fields(l.rows()) {
		got[e]++
	}
	for _, e := range append(want, "last") {
		if got[e] == 0 {
			c.Errorf("%s did not come; all: %s", e, l.rows())
		}
	}
	for e, n := range got {
		if n > 1 || !replay && e != "new" && e != "last" || e == "a" {
			c.Errorf("%s came %d times; all: %s", e, n, l.rows())
		}
	}
	// A forwarder that is new to the copy gets what is committed from now on.
	c.must(c.store.Register(ctx, c.db, "late/default"))
	late := c.target()
	late.Name = "late/default"
	c.commit("only")
	c.drain(c.start(relay.Config{Targets: []relay.Target{late}}))
	c.until("only is delivered to both", func() bool { return contains(l.rows(), "only") && contains(c.sink.all(), "only") })
	if got := strings.ReplaceAll(c.sink.all(), "only", ""); strings.TrimSpace(got) != "" {
		c.Errorf("the new one got [%s] too", got)
	}
}

// TestAnotherEnvironment: a name tells a copy where the server cannot.
func TestAnotherEnvironment(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a")
		var err error
		w.store, err = relay.New(w.e.Dialect, &relay.Options{Environment: "staging"})
		w.must(err)
		r := w.start(relay.Config{Lease: brisk})
		w.awaitDecision()
		_, err = w.store.Resume(ctx, w.db, name, false)
		w.must(err)
		w.commit("b")
		w.drain(r)
		w.want("b")
	})
}

// TestAnotherEnvironmentBeside: a program with another environment says so also while one
// with the right one delivers.
func TestAnotherEnvironmentBeside(t *testing.T) {
	each(t, func(w *world) {
		r := w.start(relay.Config{Lease: brisk})
		w.commit("a")
		w.drain(r)
		other := *w
		other.sink, other.db = &sink{}, dbtest.Open(w.T, w.e.Driver, w.dsn)
		var err error
		other.store, err = relay.New(w.e.Dialect, &relay.Options{Environment: "staging"})
		w.must(err)
		other.start(relay.Config{Lease: brisk})
		other.awaitDecision()
		w.commit("b")
		w.drain(r)
		w.want("a b")
	})
}

// TestMovedWhileTaken: a cursor that comes to belong to another place just before its lease
// is taken delivers nothing.
func TestMovedWhileTaken(t *testing.T) {
	each(t, func(w *world) {
		bare, moved := w.db, false
		move := func() {
			_, err := bare.ExecContext(ctx, "UPDATE "+w.own("cursors")+" SET place = 'elsewhere'")
			w.must(err)
			moved = true
		}
		w.db = dbtest.Open(t, dbtest.Wrap(t, w.e.Driver, func(d driver.Driver) driver.Driver {
			return sqlmw.Driver(d, aheadOf{text: "RETURNING fence", do: move})
		}), w.dsn)
		w.db.SetMaxOpenConns(1)
		w.commit("a")
		w.clock.pass(time.Minute)
		cfg := relay.Config{Targets: []relay.Target{w.target()}, Clock: w.clock}
		_, err := relay.CatchUp(ctx, w.store, w.db, cfg, relay.Share{})
		if w.want(""); !moved {
			w.Errorf("no lease was taken: %v", err)
		}
	})
}

// aheadOf does something before a query that contains a text.
type aheadOf struct {
	sqlmw.NullInterceptor
	text string
	do   func()
}

func (a aheadOf) ConnQueryContext(c context.Context, conn driver.QueryerContext, query string, args []driver.NamedValue) (context.Context, driver.Rows, error) {
	if strings.Contains(query, a.text) {
		a.do()
	}
	rows, err := conn.QueryContext(c, query, args)
	return c, rows, err
}
