package relay_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// several are the forwarders of a program, and theirs that of another.
var several = []string{name, "b/default", "c/default", "d/default"}

const theirs = "e/default"

// shared is a database with the forwarders of two programs. By its clock, which stands
// still, no process takes a lease because it has been free for long.
func shared(t *testing.T, f func(w *world)) {
	t.Helper()
	sharedOn(t, f, dbtest.PostgresEngines()...)
}

func sharedOn(t *testing.T, f func(w *world), engines ...dbtest.Engine) {
	t.Helper()
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		for _, n := range append(several[1:len(several):len(several)], theirs) {
			w.must(w.store.Register(ctx, w.db, n))
		}
		f(w)
	}, engines...)
}

// has waits until that many of several have each holder.
func (w *world) has(want map[string]int) {
	w.Helper()
	var n map[string]int
	defer func() {
		if w.Failed() {
			w.Logf("they have %v, want %v", n, want)
		}
	}()
	w.until("each has its forwarders", func() bool {
		n = make(map[string]int)
		all := w.holders()
		for _, name := range several {
			n[all[name]]++
		}
		return maps.Equal(n, want)
	})
}

// meet waits until processes have learnt of each other, and acted upon it.
func (w *world) meet(holders ...string) {
	w.Helper()
	for range 2 {
		for _, h := range holders {
			w.beats(h)
		}
		w.ticks(10 * (len(several) + 1))
	}
}

// TestOtherSinksBeside: a process gives no lease up for the sake of one with other sinks,
// whichever was first.
func TestOtherSinksBeside(t *testing.T) {
	shared(t, func(w *world) {
		_, first := w.beside("x", several...)
		w.has(map[string]int{"x": 4})
		w.beside("y", theirs)
		w.meet("x", "y")
		w.has(map[string]int{"x": 4})
		w.must(first.Stop(ctx))
		w.beside("again", several...)
		w.has(map[string]int{"again": 4})
		if h := w.holders()[theirs]; h != "y" {
			w.Errorf("%q has the lease of the other program's, want y", h)
		}
	})
}

// TestTwoBesideOtherSinks: processes of one program halve its sinks, whatever another
// program has, and one takes all over once the other has stopped or died.
func TestTwoBesideOtherSinks(t *testing.T) {
	shared(t, func(w *world) {
		w.beside("y", theirs)
		w.beside("x", several...)
		_, second := w.beside("second", several...)
		w.has(map[string]int{"x": 2, "second": 2})
		w.meet("x", "second", "y")
		w.has(map[string]int{"x": 2, "second": 2})
		w.must(second.Stop(ctx))
		w.has(map[string]int{"x": 4})
		// One that has sent a heartbeat, and then died with the leases.
		_, err := w.db.ExecContext(ctx, "INSERT INTO aftercommit.workers (name, seen_at, forwarders) SELECT 'dead', clock_timestamp() + interval '1 second', forwarders FROM aftercommit.workers WHERE name = 'x'")
		w.must(err)
		_, err = w.db.ExecContext(ctx, "UPDATE aftercommit.cursors SET holder = 'dead', fence = fence + 1, lease_until = clock_timestamp() + interval '1 second' WHERE name <> '"+theirs+"'")
		w.must(err)
		w.has(map[string]int{"x": 4})
	})
}

// TestSharedInPart: what only one process has stays there when another comes that has
// something in common with it.
func TestSharedInPart(t *testing.T) {
	shared(t, func(w *world) {
		w.beside("x", several[:3]...)
		w.beside("y", several[2], several[3], theirs)
		w.until("each has its own", func() bool {
			all := w.holders()
			return all[several[0]] == "x" && all[several[1]] == "x" && all[several[2]] != "" && all[several[3]] == "y" && all[theirs] == "y"
		})
	})
}

// TestStrayBeside: nor for a process of another environment, which takes nothing.
func TestStrayBeside(t *testing.T) {
	shared(t, func(w *world) {
		w.beside("x", several...)
		w.has(map[string]int{"x": 4})
		stray := *w
		var err error
		stray.store, err = relay.New(w.e.Dialect, &relay.Options{Environment: "staging"})
		w.must(err)
		stray.beside("stray", several...)
		w.meet("x", "stray")
		w.has(map[string]int{"x": 4})
	})
}

// TestEarlierVersionBeside: a process that does not register all that it has may have any.
// If it takes none another process does, and gives up none of those that it has for that.
func TestEarlierVersionBeside(t *testing.T) {
	const y = `{"forwarders":{"e/default":{}},"complete":true}` // all have to be compared
	for what, registers := range map[string]string{"nothing": "NULL", "no text": "''", "some": `'{"forwarders":{}}'`} {
		t.Run(what, func(t *testing.T) {
			shared(t, func(w *world) {
				_, err := w.db.ExecContext(ctx, "INSERT INTO aftercommit.workers (name, seen_at, forwarders) VALUES ('old', clock_timestamp(), "+registers+"), ('y', clock_timestamp(), '"+y+"')")
				w.must(err)
				w.besideFor(lasting, "x", several...)
				w.has(map[string]int{"x": 2, "": 2})
				for range 2 {
					w.beats("x") // it has seen which are free
					w.ticks(50)
					w.has(map[string]int{"x": 2, "": 2})
					w.clock.pass(lasting + time.Second) // they are free for long enough
					w.has(map[string]int{"x": 4})
					w.ticks(50)
					w.has(map[string]int{"x": 4})
					w.clock.pass(10*lasting + time.Second) // another process may have started
					w.has(map[string]int{"x": 2, "": 2})
				}
			})
		})
	}
}

// TestOtherSinksOnSQLite: there a share is all sinks divided by all processes, and one that
// the other process does not have is taken after a lease, and kept for ten.
func TestOtherSinksOnSQLite(t *testing.T) {
	sharedOn(t, func(w *world) {
		w.besideFor(lasting, "y", theirs)
		w.until("the other program has its own", func() bool { return w.holders()[theirs] == "y" })
		w.besideFor(lasting, "x", several...)
		w.has(map[string]int{"x": 3, "": 1})
		w.ticks(100)
		w.has(map[string]int{"x": 3, "": 1})
		w.clock.pass(lasting + time.Second)
		w.has(map[string]int{"x": 4})
		w.ticks(100)
		w.has(map[string]int{"x": 4})
		w.clock.pass(10*lasting + time.Second)
		w.has(map[string]int{"x": 3, "": 1})
	}, dbtest.SQLite)
}

// quiet makes a process that has registered several and says nothing, and starts another. The
// last heartbeat of the first one was so many leases ago.
func (w *world) quiet(leases float64, leased ...string) {
	w.Helper()
	_, r := w.besideFor(lasting, "x", several...)
	w.has(map[string]int{"x": 4})
	var text string
	w.must(w.db.QueryRowContext(ctx, "SELECT forwarders FROM aftercommit.workers WHERE name = 'x'").Scan(&text))
	w.must(r.Stop(ctx))
	_, err := w.db.ExecContext(ctx, "INSERT INTO aftercommit.workers (name, seen_at, forwarders) VALUES ('quiet', clock_timestamp(), '"+text+"')")
	w.must(err)
	w.lastSeen(leases)
	for _, n := range leased {
		_, err = w.db.ExecContext(ctx, "UPDATE aftercommit.cursors SET holder = 'quiet', fence = fence + 1, lease_until = '"+past+"' WHERE name = '"+n+"'")
		w.must(err)
	}
	w.besideFor(lasting, "x", several...)
}

func (w *world) lastSeen(leases float64) {
	w.Helper()
	_, err := w.db.ExecContext(ctx, fmt.Sprintf("UPDATE aftercommit.workers SET seen_at = clock_timestamp() - interval '%f s' WHERE name = 'quiet'", leases*lasting.Seconds()))
	w.must(err)
}

// TestQuietProcess: a process without a lease counts for three leases after its last heartbeat.
func TestQuietProcess(t *testing.T) {
	shared(t, func(w *world) {
		w.quiet(2.5)
		w.has(map[string]int{"x": 2, "": 2})
		w.beats("x")
		w.has(map[string]int{"x": 2, "": 2})
		w.lastSeen(3.1)
		w.has(map[string]int{"x": 4})
	})
}

// TestAboveTheShare: a process takes above its share what has been free for a lease, and not
// before: by then each process with fewer has looked.
func TestAboveTheShare(t *testing.T) {
	shared(t, func(w *world) {
		w.quiet(0)
		w.has(map[string]int{"x": 2, "": 2})
		w.ticks(20)
		w.clock.pass(lasting - time.Second)
		w.ticks(20)
		w.has(map[string]int{"x": 2, "": 2})
		w.clock.pass(time.Second)
		w.has(map[string]int{"x": 4})
	})
}

// TestLeaseThatRanOut: one that has not renewed its leases is dead, and does not count any more.
func TestLeaseThatRanOut(t *testing.T) {
	shared(t, func(w *world) {
		w.quiet(0.9, several[:2]...)
		w.has(map[string]int{"x": 4})
		if at := w.seen("quiet"); at != "" {
			t.Errorf("it still counts, as of %s", at)
		}
	})
}
