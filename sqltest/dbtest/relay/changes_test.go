package relay_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// captured is a world with a table t (id, v) whose row changes the sink gets. Their names in the sink are the keys.
type captured struct {
	*world
	changes *changes.Store

	mu      sync.Mutex
	entries []journal.Entry // all that the sink was called with
	calls   []int
	refused map[string]error // what it names, and why
}

func newCaptured(t *testing.T, e dbtest.Engine) *captured {
	t.Helper()
	c := &captured{world: newWorld(t, e)}
	c.changes = changes.NewStore(c.db, hooks.Postgres, nil)
	c.run("CREATE TABLE t (id text PRIMARY KEY, v text, secret text)")
	c.capture()
	return c
}

func (c *captured) capture() {
	c.Helper()
	installer := capture.NewInstaller(c.db, hooks.Postgres, nil)
	c.must(installer.Migrate(ctx))
	plan, err := installer.Plan(ctx, capture.Table{Name: "t", Mask: []string{"secret"}})
	c.must(err)
	c.must(installer.Apply(ctx, plan))
}

// eachCaptured runs f on each of PostgreSQL's drivers.
func eachCaptured(t *testing.T, f func(c *captured), engines ...dbtest.Engine) {
	t.Helper()
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) { f(newCaptured(t, e)) }, engines...)
}

// run executes statements as a session that nothing wraps.
func (c *captured) run(queries ...string) {
	c.Helper()
	for _, q := range queries {
		if _, err := c.db.ExecContext(ctx, q); err != nil {
			c.Fatalf("%s: %v", q, err)
		}
	}
}

func (c *captured) row(id string) { c.Helper(); c.run("INSERT INTO t VALUES ('" + id + "')") }

func (c *captured) target() relay.Target {
	t := c.world.target()
	t.Changes = changes.NewSource(nil)
	t.Deliver = func(ctx context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
		c.mu.Lock()
		c.entries, c.calls = append(c.entries, entries...), append(c.calls, len(entries))
		failed := make(map[uuid.UUID]relay.Failure)
		for _, e := range entries {
			if err := c.refused[e.Target.ID]; err != nil {
				failed[e.ID] = *failure(err)
			}
		}
		c.mu.Unlock()
		r := c.sink.deliver(ctx, db, slices.DeleteFunc(slices.Clone(entries), func(e journal.Entry) bool { _, is := failed[e.ID]; return is }))
		if r.Err == nil && len(failed) > 0 {
			r.Failed = failed
		}
		return r
	}
	return t
}

func (c *captured) begins(cfg relay.Config) *relay.Relay {
	c.Helper()
	cfg.Targets = []relay.Target{c.target()}
	return c.start(cfg)
}

// seen returns what the sink was called with.
func (c *captured) seen() []journal.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.entries)
}

// TestChangesArrive: a transaction's changes come behind its events, and those of a transaction without events come, too. What
// was rolled back does not.
func TestChangesArrive(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		r := c.begins(relay.Config{})
		both := c.begin()
		both.exec("INSERT INTO t VALUES ('r1', 'new')")
		both.record("a", "b")
		both.exec("UPDATE t SET v = 'paid', secret = 'x' WHERE id = 'r1'")
		both.exec("SAVEPOINT s")
		both.exec("INSERT INTO t VALUES ('undone')")
		both.exec("ROLLBACK TO s")
		both.record("c")
		both.commit()
		c.run("BEGIN; INSERT INTO t VALUES ('never'); ROLLBACK")
		c.run("SET application_name = 'psql'; INSERT INTO t VALUES ('r2'); RESET application_name")
		c.commit("d")
		c.run("DELETE FROM t WHERE id = 'r2'", "TRUNCATE t")
		c.drain(r)
		c.want("a b c r1 r1 r2 d r2 ")
		entries := c.seen()
		update := entries[4]
		var d changes.Diff
		c.must(json.Unmarshal(update.Change, &d))
		if update.Tx != entries[0].Tx || update.Action != "row.updated" || update.Target.Type != "t" || d.Op != changes.Update || len(d.Fields) != 2 ||
			*d.Fields[0].Old.Text != "new" || *d.Fields[0].New.Text != "paid" || d.Fields[1].New.Kind != changes.KindMasked {
			t.Errorf("%+v", update)
		}
		if strings.Contains(string(update.Change), `"x"`) {
			t.Errorf("what is masked has arrived: %s", update.Change)
		}
		if other := entries[5]; other.Application != "psql" || other.Role == "" || other.Action != "row.inserted" || !other.Actor.IsZero() {
			t.Errorf("%+v", other)
		}
		if got := entries[8].Action; got != "row.truncated" {
			t.Error(got)
		}
		ids := make(map[uuid.UUID]bool)
		for _, e := range entries {
			ids[e.ID] = true
			if (e.Change == nil) != (e.Action == "thing.happened") {
				t.Errorf("%+v", e)
			}
		}
		if len(ids) != len(entries) {
			t.Errorf("%d IDs of %d entries", len(ids), len(entries))
		}
	}, dbtest.PostgresEngines()...)
}

// TestChangesCommittedLate: a transaction that ends long after others which began later.
func TestChangesCommittedLate(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		r := c.begins(relay.Config{})
		late, prepared := c.begin(), c.begin()
		late.exec("INSERT INTO t VALUES ('late')")
		prepared.exec("INSERT INTO t VALUES ('prepared')")
		prepared.exec("PREPARE TRANSACTION 'two phases'")
		c.row("r1")
		c.drain(r)
		c.row("r2")
		c.drain(r)
		late.commit()
		c.drain(r)
		c.run("COMMIT PREPARED 'two phases'")
		c.drain(r)
		c.want("r1 r2 late prepared")
	}, dbtest.PQ)
}

// TestChangesGoOn: what was committed while no relay was there comes with the next one, and nothing from before the
// forwarder was registered.
func TestChangesGoOn(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		r := c.begins(relay.Config{})
		c.row("r1")
		c.drain(r)
		c.must(r.Stop(ctx))
		c.row("r2")
		c.commit("a")
		c.row("r3")
		r = c.begins(relay.Config{})
		c.drain(r)
		c.want("r1 r2 a r3")
		c.must(r.Stop(ctx))
		const later = "later/default"
		c.must(c.store.Register(ctx, c.db, later))
		c.row("r4")
		target := c.target()
		target.Name = later
		c.sink = &sink{}
		c.drain(c.start(relay.Config{Targets: []relay.Target{target}}))
		c.want("r4")
	}, dbtest.PQ)
}

// TestChangesOfALargeTransaction come in parts, in order, once.
func TestChangesOfALargeTransaction(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		const n, batch = 5000, 100
		large := c.begin()
		large.record("a")
		large.exec(fmt.Sprintf("INSERT INTO t SELECT 'r' || pg_catalog.lpad(i::text, 5, '0') FROM pg_catalog.generate_series(1, %d) i", n))
		large.commit()
		c.row("last")
		c.drain(c.begins(relay.Config{Batch: batch}))
		want := []string{"a"}
		for i := range n {
			want = append(want, fmt.Sprintf("r%05d", i+1))
		}
		c.want(strings.Join(append(want, "last"), " "))
		if most := slices.Max(c.calls); most > batch {
			t.Errorf("a call has %d entries", most)
		}
	}, dbtest.PQ)
}

// TestChangesOfABacklog: where events and changes are read in parts of different lengths, none is passed over.
func TestChangesOfABacklog(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		var want []string
		for i := range 30 {
			few, many := 1+i%3, 1+i%17
			both := c.begin()
			for j := range few {
				want = append(want, fmt.Sprintf("e%d.%d", i, j))
				both.record(want[len(want)-1])
			}
			both.exec(fmt.Sprintf("INSERT INTO t SELECT 'r%d.' || i FROM pg_catalog.generate_series(1, %d) i", i, many))
			both.commit()
			for j := range many {
				want = append(want, fmt.Sprintf("r%d.%d", i, j+1))
			}
		}
		c.drain(c.begins(relay.Config{Batch: 3}))
		c.want(strings.Join(want, " "))
	}, dbtest.PQ)
}

// TestChangesThatAreLarge: a call has 4 MiB of them, and one more.
func TestChangesThatAreLarge(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		c.run("INSERT INTO t SELECT 'r' || i, pg_catalog.repeat('x', 60000) FROM pg_catalog.generate_series(1, 200) i") // 12 MB
		c.drain(c.begins(relay.Config{}))
		if n := len(strings.Fields(c.sink.all())); n != 200 || slices.Max(c.calls) > 71 {
			t.Errorf("%d changes, in calls of %v", n, c.calls)
		}
	}, dbtest.PQ)
}

// TestChangesOfOthersInBetween: each transaction's changes are complete, and in the order of the rows' locks.
func TestChangesOfOthersInBetween(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		c.run("INSERT INTO t VALUES ('r', '0')")
		r := c.begins(relay.Config{Batch: 7})
		const writers, each = 4, 25
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for range each {
					if _, err := c.db.ExecContext(ctx, "UPDATE t SET v = v::int + 1 WHERE id = 'r'"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		c.drain(r)
		last := make(map[string]bool)
		for _, e := range c.seen() {
			var d changes.Diff
			c.must(json.Unmarshal(e.Change, &d))
			i := slices.IndexFunc(d.Fields, func(f changes.DiffField) bool { return f.Name == "v" })
			last[*d.Fields[i].New.Text] = true
		}
		if len(last) != writers*each+1 {
			t.Errorf("%d changes, want %d", len(last), writers*each+1)
		}
	}, dbtest.PQ)
}

// TestChangeIsTriedAgain, as the same one, and then is a dead letter that can be replayed.
func TestChangeIsTriedAgain(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		c.sink.refuse = func(name string) error {
			if name == "bad" {
				return errTransient
			}
			return nil
		}
		c.row("r1")
		c.row("bad")
		c.commit("a")
		c.row("r2")
		r := c.begins(relay.Config{})
		c.drain(r)
		c.want("r1 a r2")
		for attempt := 1; attempt < 5; attempt++ {
			c.until("it is tried", func() bool { f := c.failures(false); return len(f) == 1 && f[0].Attempts == attempt })
			c.row(fmt.Sprint("after", attempt)) // the sink is up
			c.drain(r)
			c.clock.pass(time.Hour)
			c.row(fmt.Sprint("before", attempt+1))
		}
		c.until("it is discarded", func() bool { return len(c.failures(true)) == 1 })
		c.sink.set(func(s *sink) { s.refuse = nil })
		n, err := c.store.Replay(ctx, c.db, relay.Selection{Forwarder: name, Reason: "error"}, false)
		c.must(err)
		if n != 1 {
			t.Errorf("%d are replayed", n)
		}
		c.must(r.Stop(ctx))
		c.begins(relay.Config{}) // which looks for it at once
		c.until("it is delivered", func() bool { return contains(c.sink.all(), "bad") })
		c.until("it is settled", func() bool { return len(c.failures(true))+len(c.failures(false)) == 0 })
		ids := make(map[uuid.UUID]bool)
		for _, e := range c.seen() {
			if e.Target.ID == "bad" {
				ids[e.ID] = true
			}
		}
		if len(ids) != 1 {
			t.Errorf("it came with %d IDs", len(ids))
		}
	}, dbtest.PQ)
}

// TestChangesWaitForTheSink, and one that it refuses does not keep the others waiting, although there is nothing else.
func TestChangesWaitForTheSink(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		c.sink.whole = errTransient
		for i := range 20 {
			c.row(fmt.Sprint("r", i))
		}
		r := c.begins(relay.Config{})
		c.until("it is suspended", func() bool { return len(c.sink.told(hooks.NoticeSuspended)) == 1 })
		c.sink.set(func(s *sink) {
			s.whole = nil
			s.refuse = func(name string) error {
				if name == "r0" {
					return errTransient
				}
				return nil
			}
		})
		c.until("the others are delivered", func() bool {
			c.clock.pass(time.Second)
			return len(strings.Fields(c.sink.all())) >= 19
		})
		c.drain(r)
		got := strings.Fields(c.sink.all())
		slices.Sort(got)
		if n := len(slices.Compact(slices.Clone(got))); n != 19 || slices.Contains(got, "r0") {
			t.Errorf("delivered %v", got)
		}
	}, dbtest.PQ)
}

// TestChangesWithoutTables: events wait with the changes, an error says what to do, and nothing is lost.
func TestChangesWithoutTables(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		c := &captured{world: newWorld(t, e)}
		c.changes = changes.NewStore(c.db, hooks.Postgres, nil)
		c.run("CREATE TABLE t (id text PRIMARY KEY, v text, secret text)")
		r := c.begins(relay.Config{})
		c.commit("a")
		c.until("it says what to do", func() bool {
			err := r.Trouble(name)
			return err != nil && strings.Contains(err.Error(), "name the tables to capture with Hub.Keep and capture.Of, or run capture.Installer.Migrate")
		})
		c.want("")
		c.capture()
		c.row("r1")
		c.until("they are delivered", func() bool { return c.sink.all() == "a r1" })
		c.run("ALTER TABLE threadline.audit_changes RENAME TO gone")
		c.commit("b")
		c.until("it says so again", func() bool { return r.Trouble(name) != nil })
		c.run("ALTER TABLE threadline.gone RENAME TO audit_changes")
		c.row("r2")
		c.until("they are delivered", func() bool { return c.sink.all() == "a r1 b r2" })
	}, dbtest.PQ)
}

// restored inserts changes of another cluster, with the numbers that so many transactions from now will have, from first to last.
func (c *captured) restored(first, last int) {
	c.run(fmt.Sprintf("INSERT INTO threadline.audit_changes (xid, tx_started_at, captured_at, lsn, table_id, shape_id, depth, op, key, new_row, system)"+
		" SELECT (pg_current_xact_id()::text::int8 + i)::text::xid8, '2020-01-01', '2020-01-01', '0/1', table_id, id, 1, 'I', '(restored)', '(restored,,)', 1"+
		" FROM threadline.audit_shapes, generate_series(%d, %d) i", first, last))
}

// TestChangesOfAnotherCluster, which were restored here, are not taken for those of transactions with the same numbers.
func TestChangesOfAnotherCluster(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		c.restored(0, 50)
		r := c.begins(relay.Config{})
		for i := range 60 {
			c.row(fmt.Sprint("r", i))
		}
		c.drain(r)
		if got := c.sink.all(); contains(got, "restored") || len(strings.Fields(got)) != 60 {
			t.Errorf("delivered [%s]", got)
		}
	}, dbtest.PQ)
}

// TestChangeThatIsGone, because somebody has deleted it, is a dead letter and keeps nothing waiting.
func TestChangeThatIsGone(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		c.sink.refuse = func(name string) error {
			if name == "r1" {
				return errTransient
			}
			return nil
		}
		c.row("r1")
		c.commit("a")
		r := c.begins(relay.Config{})
		c.drain(r)
		c.until("it has failed", func() bool { return len(c.failures(false)) == 1 })
		c.run("DELETE FROM threadline.audit_changes WHERE key = '(r1)'")
		c.clock.pass(time.Hour)
		c.row("r2")
		c.until("it is discarded", func() bool { return len(c.failures(true)) == 1 })
		c.drain(r)
		c.want("a r2")
	}, dbtest.PQ)
}
