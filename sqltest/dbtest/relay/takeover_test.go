package relay_test

import (
	"database/sql"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// The tables as the last version before the table journal made them.
var (
	//go:embed testdata/postgres_v4.sql.txt
	postgresV4 string
	//go:embed testdata/sqlite_v2.sql.txt
	sqliteV2 string
)

// older is a database that programs of both versions use.
type older struct {
	*world
	db  *sql.DB // as programs of the earlier version have it
	ids map[string]uuid.UUID
}

func eachOlder(t *testing.T, f func(o *older)) {
	t.Helper()
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) { f(newOlder(t, e)) })
}

func newOlder(t *testing.T, e dbtest.Engine) *older {
	t.Helper()
	dsn := e.DSN(t)
	o := &older{db: dbtest.Open(t, e.Driver, dsn), ids: make(map[string]uuid.UUID)}
	script := postgresV4
	if e.Dialect == hooks.SQLite {
		script = sqliteV2
	}
	if _, err := o.db.ExecContext(ctx, script); err != nil {
		t.Fatal(err)
	}
	o.world = worldAt(t, e, dsn, nil)
	o.register(name)
	return o
}

// register registers a forwarder as a program of the earlier version does.
func (o *older) register(forwarder string) {
	o.Helper()
	place, err := o.store.Place(ctx, o.db)
	o.must(err)
	columns, values := "", ""
	if o.e.Dialect == hooks.SQLite {
		place = ""
		columns, values = ", done, registered_at, moved_at", ", 0, '', ''"
	}
	o.exec("INSERT INTO " + o.own("forwarders") + " (name, place" + columns + ") VALUES ('" + forwarder + "', '" + place + "'" + values + ")")
}

// table is that of the events.
func (o *older) table() string {
	if o.e.Dialect == hooks.SQLite {
		return o.own("events")
	}
	return o.own("audit_events")
}

// write writes events in a transaction, as a program of the earlier version does.
func (o *older) write(names ...string) {
	o.Helper()
	var rows []string
	for _, n := range names {
		o.ids[n] = uuid.Must(uuid.NewV7())
		rows = append(rows, fmt.Sprintf("('%s', 'thing.happened', 'success', 'thing', '%s', 'Żółw', false", o.ids[n], n))
	}
	at := "'" + time.Now().UTC().Format("2006-01-02T15:04:05.000000Z") + "'"
	columns, more := "role, occurred_at", ", 'app', "+at+")"
	if o.e.Dialect == hooks.SQLite {
		columns, more = "tx_id, tx_started_at, recorded_at, occurred_at", ", 7, "+at+", "+at+", "+at+")"
	}
	o.exec("INSERT INTO " + o.table() + " (id, action, outcome, target_type, target_id, actor_name, captured, " + columns + ") VALUES " + strings.Join(rows, more+", ") + more)
}

// fail notes that a relay of the earlier version has failed to deliver an event.
func (o *older) fail(forwarder, event, state string, attempts int, next time.Time) {
	o.Helper()
	at := "'" + next.UTC().Format("2006-01-02T15:04:05.000000Z") + "'"
	o.exec(fmt.Sprintf("INSERT INTO %s (forwarder, event_id, state, attempts, next_at, reason, error, first_at, last_at) VALUES ('%s', '%s', '%s', %d, %s, 'error', 'it said no', %[6]s, %[6]s)",
		o.own("failures"), forwarder, o.ids[event], state, attempts, at))
}

// passed moves the cursor of the earlier version past all that is there, as its relay does
// with a lease that has a fence.
func (o *older) passed(forwarder string) {
	o.Helper()
	done := "pg_current_snapshot(), tick = NULL, high = 0, seq = 0"
	if o.e.Dialect == hooks.SQLite {
		done = "(SELECT max(seq) FROM " + o.table() + ")"
	}
	o.exec("UPDATE " + o.own("forwarders") + " SET done = " + done + " WHERE name = '" + forwarder + "'")
}

// hold gives the lease to a relay of the earlier version, or takes it away.
func (o *older) hold(until string) {
	o.Helper()
	o.exec("UPDATE " + o.own("forwarders") + " SET holder = 'old', fence = fence + 1, lease_until = '" + until + "'")
}

func (o *older) fence() (n int) {
	o.Helper()
	o.must(o.db.QueryRowContext(ctx, "SELECT fence FROM "+o.own("forwarders")+" WHERE name = '"+name+"'").Scan(&n))
	return n
}

// came waits until these have come, in whatever order, and nothing else has.
func (o *older) came(names ...string) {
	o.Helper()
	sorted := func(names []string) string { slices.Sort(names); return strings.Join(names, " ") }
	o.until("all have come: "+strings.Join(names, " "), func() bool {
		o.clock.pass(2 * time.Second)
		return len(strings.Fields(o.sink.all())) >= len(names)
	})
	o.ticks(5)
	o.until("nothing is to be tried again", func() bool { return o.state().Retrying == 0 })
	if got, want := sorted(strings.Fields(o.sink.all())), sorted(names); got != want {
		o.Errorf("delivered [%s], want [%s]", got, want)
	}
}

// TestTakeOver: what a relay of the earlier version has yet to deliver, and what it has
// failed to, comes once; what it has delivered, or knows to be delivered, does not.
func TestTakeOver(t *testing.T) {
	eachOlder(t, func(o *older) {
		o.write("delivered", "retried", "dead", "purged")
		o.fail(name, "purged", "retrying", 1, time.Now())
		o.exec("DELETE FROM " + o.table() + " WHERE target_id = 'purged'")
		o.fail(name, "retried", "retrying", 3, time.Now())
		o.fail(name, "dead", "discarded", 5, time.Now())
		o.passed(name)
		o.write("a", "settled")
		o.exec("INSERT INTO " + o.own("settled") + " (forwarder, event_id) VALUES ('" + name + "', '" + o.ids["settled"].String() + "')")
		o.write("b")
		o.commit("new")
		o.start(relay.Config{})
		o.came("retried", "a", "b", "new")
		o.write("later") // by a program that has not been replaced yet
		o.came("retried", "a", "b", "new", "later")
		var left int
		o.must(o.db.QueryRowContext(ctx, "SELECT count(*) FROM "+o.own("failures")).Scan(&left))
		if left != 0 {
			o.Errorf("%d failures are left in the tables of the earlier version", left)
		}
		dead := o.failures(true)
		if len(dead) != 1 || dead[0].EventID != o.ids["dead"] || dead[0].Attempts != 5 || dead[0].Error != "it said no" {
			o.Errorf("discarded %+v", dead)
		}
		if n := o.replay(relay.Selection{IDs: []uuid.UUID{o.ids["dead"], o.ids["a"]}}); n != 2 {
			o.Errorf("%d are replayed, want what was moved", n)
		}
		o.came("retried", "a", "b", "new", "later", "dead", "a")
	})
}

// TestTakeOverKeepsTheEntry: what comes is what was written, in the same transaction.
func TestTakeOverKeepsTheEntry(t *testing.T) {
	eachOlder(t, func(o *older) {
		o.write("a", "b")
		tx := "xid::text"
		if o.e.Dialect == hooks.SQLite {
			tx = "tx_id"
		}
		var want int64
		o.must(o.db.QueryRowContext(ctx, "SELECT "+tx+" FROM "+o.table()+" WHERE target_id = 'a'").Scan(&want))
		o.start(relay.Config{})
		o.came("a", "b")
		entries := o.entries()
		for _, n := range []string{"a", "b"} {
			e := entries[n]
			if e.ID != o.ids[n] || e.Action != "thing.happened" || e.Actor.Name != "Żółw" || e.Tx.ID != want || e.Unreadable != "" || e.Tx.StartedAt.IsZero() {
				o.Errorf("%+v, want transaction %d", e, want)
			}
		}
	})
}

// TestTakeOverFromAHolder: a relay of the earlier version that has the lease keeps it. One that
// has let it run out loses it, and moves nothing any more; one that takes it back goes on from
// where this one has stopped.
func TestTakeOverFromAHolder(t *testing.T) {
	eachOlder(t, func(o *older) {
		minutes := time.Now().Add(5 * time.Minute).UTC().Format("2006-01-02T15:04:05.000000Z")
		o.hold(minutes)
		o.write("a", "b")
		o.start(relay.Config{})
		o.commit("new")
		o.came("new")
		fence := o.fence()
		o.hold(past)
		o.came("new", "a", "b")
		if o.fence() < fence+2 {
			o.Errorf("the fence is %d, and was %d", o.fence(), fence)
		}
		o.hold(minutes) // it takes the lease back
		o.write("c")
		o.came("new", "a", "b")
		o.passed(name) // it has delivered c
		o.write("d")
		o.hold(past)
		o.came("new", "a", "b", "d")
		o.hold(future) // by a clock that was ahead
		o.write("e")
		o.came("new", "a", "b", "d", "e")
	})
}

// TestTakeOverForEach: each forwarder gets what it has not got, though the row is moved once.
func TestTakeOverForEach(t *testing.T) {
	eachOlder(t, func(o *older) {
		const second = "second/default"
		o.register(second)
		o.must(o.store.Register(ctx, o.db, second))
		o.write("a")
		o.passed(second)
		o.write("b")
		other := o.target()
		got := &sink{}
		other.Name, other.Deliver = second, got.deliver
		o.start(relay.Config{Targets: []relay.Target{o.target(), other}})
		o.came("a", "b")
		o.until("the second has got its own", func() bool { o.clock.pass(2 * time.Second); return got.all() == "b" })
		o.ticks(5)
		if all := got.all(); all != "b" {
			o.Errorf("the second has got [%s]", all)
		}
		if n := len(o.entries()); n != 2 {
			o.Errorf("the journal has %d entries, want 2", n)
		}
		const third = "third/default" // what was moved is old for it
		o.must(o.store.Register(ctx, o.db, third))
		if n := o.behind(third); n != 0 {
			o.Errorf("a new forwarder is %d behind", n)
		}
		o.write("c")
		o.came("a", "b", "c")
		if n := o.behind(third); n != 0 {
			o.Errorf("a new forwarder is %d behind, after another row was moved", n)
		}
		o.commit("new")
		if n := o.behind(third); n != 1 {
			o.Errorf("a new forwarder is %d behind, want 1", n)
		}
	})
}

// behind is how far a forwarder is.
func (o *older) behind(forwarder string) int64 {
	o.Helper()
	states, err := o.store.States(ctx, o.db)
	o.must(err)
	for _, s := range states {
		if s.Forwarder == forwarder {
			return s.Behind
		}
	}
	o.Fatalf("%s is not registered", forwarder)
	return 0
}

// TestTakeOverBesidePurge: a row that one forwarder has is not purged while another is given it.
func TestTakeOverBesidePurge(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		o := newOlder(t, e)
		const other = "other/default"
		o.register(other)
		o.must(o.store.Register(ctx, o.db, other))
		o.write("a")
		o.start(relay.Config{})
		o.came("a")
		two := &sink{}
		o.besideRetries(func() {
			o.start(relay.Config{Targets: []relay.Target{{Name: other, MaxAttempts: 5, Timeout: lasting, Deliver: two.deliver}}})
		})
		o.until("the other one has it", func() bool { return two.all() == "a" })
	}, dbtest.PostgresEngines()...)
}

// TestTakeOverMany: batch by batch, also where a relay of the earlier version has stopped
// within a tick; what waits beyond an open transaction comes when that has ended.
func TestTakeOverMany(t *testing.T) {
	eachOlder(t, func(o *older) {
		want := make(map[string]bool)
		for i := range 3 {
			var names []string
			for j := range relay.DefaultBatch/2 + 1 {
				n := fmt.Sprintf("%d.%d", i, j)
				names, want[n] = append(names, n), true
			}
			o.write(names...)
		}
		o.start(relay.Config{})
		o.came(slices.Collect(maps.Keys(want))...)
	})
}

// TestTakeOverOfWhatCannotBeRead: it is a dead letter.
func TestTakeOverOfWhatCannotBeRead(t *testing.T) {
	eachOlder(t, func(o *older) {
		o.write("a", "bad", "b")
		o.exec("UPDATE " + o.table() + " SET metadata = '[1]' WHERE target_id = 'bad'")
		o.start(relay.Config{})
		o.came("a", "b")
		dead := o.failures(true)
		if len(dead) != 1 || dead[0].Reason != relay.ReasonUnreadable || dead[0].EventID != o.ids["bad"] {
			o.Errorf("discarded %+v", dead)
		}
	})
}

// TestTakeOverInACopy: where the cursor of the earlier version belongs to another database,
// nothing is delivered until an operator decides.
func TestTakeOverInACopy(t *testing.T) {
	for _, replay := range []bool{false, true} {
		t.Run(fmt.Sprintf("replay=%v", replay), func(t *testing.T) {
			eachOlder(t, func(o *older) {
				o.write("a", "b")
				const copied = "copied/default"
				o.register(copied)
				o.exec("UPDATE " + o.own("forwarders") + " SET place = 'elsewhere' WHERE name = '" + copied + "'")
				o.must(o.store.Register(ctx, o.db, copied))
				target := o.target()
				target.Name = copied
				o.start(relay.Config{Targets: []relay.Target{target}})
				o.commit("new")
				o.until("it is told", func() bool { return len(o.sink.told(hooks.NoticeSuspended)) == 1 })
				o.ticks(5)
				o.want("")
				n, err := o.store.Resume(ctx, o.db, copied, replay)
				o.must(err)
				if n < 3 {
					o.Errorf("%d are replayed or skipped, want 3", n)
				}
				o.commit("last")
				o.write("last_too")
				if replay {
					o.came("a", "b", "new", "last", "last_too")
				} else {
					o.came("last", "last_too")
				}
			})
		})
	}
}

// TestTakeOverWithoutRights: a relay whose role may not move anything says so, and delivers
// what is new.
func TestTakeOverWithoutRights(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		o := newOlder(t, e)
		role := "relay_" + strings.ReplaceAll(uuid.NewString(), "-", "")
		o.exec("CREATE ROLE " + role)
		o.Cleanup(func() { o.exec("DROP OWNED BY " + role + "; DROP ROLE " + role) })
		o.exec("GRANT USAGE ON SCHEMA aftercommit TO " + role)
		o.exec("GRANT SELECT ON ALL TABLES IN SCHEMA aftercommit TO " + role)
		o.exec("GRANT ALL ON aftercommit.cursors, aftercommit.retries, aftercommit.acknowledged, aftercommit.workers, aftercommit.forwarders, aftercommit.failures, aftercommit.settled TO " + role)
		o.write("a")
		logs, seen := observer.New(zap.WarnLevel)
		r := relay.Start(o.store, dbtest.Open(t, e.Driver, o.dsn+" options='-c role="+role+"'"), relay.Config{
			Targets: []relay.Target{o.target()}, Lease: lasting, Clock: o.clock, Log: zap.New(logs),
		})
		o.Cleanup(func() { o.must(r.Stop(ctx)) })
		o.commit("new")
		o.came("new")
		if n := seen.FilterMessageSnippet(`GRANT INSERT ON "aftercommit".journal, "aftercommit".journal_purges TO`).Len(); n != 1 {
			o.Errorf("%d warnings, want one: %v", n, seen.All())
		}
	}, dbtest.PostgresEngines()...)
}

// TestSwapUnderARelay: a relay that runs then does not complain of a table that has gone.
func TestSwapUnderARelay(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		o := newOlder(t, e)
		o.write("a")
		logs, seen := observer.New(zap.InfoLevel)
		r := relay.Start(o.store, o.world.db, relay.Config{Targets: []relay.Target{o.target()}, Lease: lasting, Clock: o.clock, Log: zap.New(logs)})
		o.Cleanup(func() { o.must(r.Stop(ctx)) })
		o.came("a")
		o.swap()
		o.ticks(5)
		o.commit("new")
		o.came("a", "new")
		o.exec("DROP TABLE aftercommit.audit_events_before CASCADE")
		o.ticks(5)
		if seen.FilterMessageSnippet("waits").Len() > 0 {
			o.Errorf("logged %v", seen.All())
		}
	}, dbtest.PostgresEngines()...)
}

// TestRetireEarlier: a forwarder that only programs of the earlier version had can be retired.
func TestRetireEarlier(t *testing.T) {
	eachOlder(t, func(o *older) {
		const gone = "gone/default"
		o.register(gone)
		o.write("a")
		o.fail(gone, "a", "retrying", 1, time.Now())
		o.must(o.store.Retire(ctx, o.db, gone))
		var left int
		o.must(o.db.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM "+o.own("forwarders")+" WHERE retired_at IS NULL AND name = '"+gone+"') + (SELECT count(*) FROM "+o.own("failures")+")").Scan(&left))
		if left != 0 {
			o.Error("it is still there")
		}
		if err := o.store.Retire(ctx, o.db, gone); err == nil {
			o.Error("to retire it again is no error")
		}
	})
}
