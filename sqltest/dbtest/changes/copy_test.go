package changes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// copied is an app whose timeline, and with it its row changes, is in another database.
type copied struct {
	*app
	hub      *forward.Hub
	logs     *observer.ObservedLogs
	there    *world
	timeline *threadline.Store
}

// copyTo starts an app over the world's database, whose timeline is in the database of dsn. register registers other forwarders.
func (w *world) copyTo(dsn string, register func(*forward.Hub), opts ...forward.RegisterOption) *copied {
	w.Helper()
	c := &copied{there: w.elsewhere(dsn)}
	c.timeline = threadline.NewStore(c.there.db, hooks.Postgres, nil)
	w.must(c.timeline.Migrate(ctx))
	w.must(c.there.installer().Migrate(ctx))
	var core zapcore.Core
	core, c.logs = observer.New(zapcore.WarnLevel)
	c.hub = forward.New(&forward.Options{Logger: zap.New(core), Timeout: dbtest.Patience})
	c.hub.Register(threadline.NewForwarder(&threadline.ForwarderOptions{Store: c.timeline}), forward.Async, append(opts, forward.WithChanges(changes.NewSource(nil)))...)
	register(c.hub)
	name := dbtest.Name(w.e.Driver)
	w.e.Register(name, c.hub, driver.Capture(driver.AllTables()), driver.WriteTimeout(dbtest.Patience))
	c.app = &app{w, dbtest.Open(w.T, name, w.dsn)}
	w.must(c.db.PingContext(ctx))
	return c
}

// drain waits until all is delivered.
func (c *copied) drain() {
	c.Helper()
	until, cancel := context.WithTimeout(ctx, dbtest.Patience)
	defer cancel()
	c.must(c.hub.Drain(until))
	for _, l := range c.logs.FilterField(zap.String("forwarder", "threadline.Forwarder/default")).All() {
		c.Errorf("%s: %v", l.Message, l.ContextMap()["error"])
	}
}

// textOf are the rows of a table, as text. Who made a transaction is in its first change, and there also in others: it is in
// what is asked.
func (w *world) textOf(table string) string {
	w.Helper()
	return w.text("SELECT string_agg(r, E'\n' ORDER BY r) FROM (SELECT (to_jsonb(t) - '{system,role,application,client}'::text[])::text COLLATE \"C\" AS r FROM threadline." + table + " t) x")
}

func (c *copied) same(table string) {
	c.Helper()
	if here, there := c.textOf(table), c.there.textOf(table); here != there {
		c.Errorf("%s is\n%s\nthere\n%s", table, here, there)
	}
}

// told is all that a store says of a table and a row of it.
func told(t *testing.T, s *changes.Store, at []time.Time, table string, keys ...string) (lines []string) {
	t.Helper()
	say := func(what string, v any, err error) { lines = append(lines, fmt.Sprintf("%s: %+v %v", what, v, err)) }
	line := func(c changes.Change) string {
		who := strings.Split(c.By.String(), ", ")
		slices.Sort(who) // contexts are in no order
		return fmt.Sprintf("%d %s %s %s %s.%s %v %v %v %v %v by %s %v", c.XID, c.TxStartedAt.UTC(), c.CapturedAt.UTC(), c.Op, c.Schema, c.Table, c.Key, c.FormerKey, c.Fields, c.Drifted, c.Nested, who, c.By.State)
	}
	all := func(list []changes.Change) (lines []string) {
		for _, c := range list {
			lines = append(lines, line(c))
		}
		return lines
	}
	for _, key := range keys {
		history, err := s.History(ctx, table, key)
		say("history "+key, strings.Join(all(history), "\n"), err)
		for _, at := range at {
			row, err := s.RowAsOf(ctx, table, at, key)
			say("as of "+key, row, err)
		}
	}
	breaks, err := s.Breaks(ctx, table)
	say("breaks", breaks, err)
	var list []changes.Change
	for c, failed := range s.Each(ctx, changes.Query{}) {
		if err = failed; err == nil {
			list = append(list, c)
		}
	}
	say("each", strings.Join(all(list), "\n"), err)
	for _, c := range list {
		tx, failed := s.Transaction(ctx, c.XID, c.TxStartedAt, 1000)
		if failed != nil {
			tx = &changes.Transaction{}
		}
		say("transaction", strings.Join(all(tx.Changes), "\n")+fmt.Sprint(tx.Lost, tx.More), failed)
	}
	for row, failed := range s.TableAsOf(ctx, table, at[len(at)-1]) {
		if row != nil { // there is an error at the end of it there, since it does not know of rows without changes
			say("table", row, failed)
		}
	}
	names, err := s.Captured(ctx)
	say("captured", names, err)
	return lines
}

// TestCopied: with a timeline in another database, row changes are there as they are in the app's: the same rows, so that all
// that is asked there has the same answer, of whatever happened to the tables, and of who did it.
func TestCopied(t *testing.T) {
	with(t, func(w *world) {
		t := w.T
		c := w.copyTo(w.e.DSN(t), func(*forward.Hub) {})
		w.exec(`CREATE TABLE orders (id int PRIMARY KEY, state text, card text, secret text, note text, total numeric)`)
		tables := []capture.Table{{Name: "orders", Mask: []string{"card"}, Hash: []string{"secret"}, Exclude: []string{"note"}}}
		w.capture(tables...)
		at := []time.Time{time.Now().Add(-time.Hour)}
		mark := func() { at = append(at, w.now()) }
		c.tx([]string{"alice"}, "INSERT INTO orders VALUES (1, E'new \\\\ \"x\"\n\té€😀', '4111', 's', 'n', 1.00)", "INSERT INTO orders VALUES (2, (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 3000) n), NULL, NULL, '', 'NaN')")
		mark()
		c.tx([]string{"alice", "bob"}, "UPDATE orders SET state = 'paid' WHERE id = 1", "UPDATE orders SET id = 3, total = 2.50, secret = 't' WHERE id = 2")
		mark()
		w.exec("UPDATE orders SET card = '4222', state = NULL WHERE id = 1", "DELETE FROM orders WHERE id = 3")
		w.exec("INSERT INTO orders VALUES (4, 'by hand')")
		c.drain()
		w.exec("ALTER TABLE orders ADD more int[]", "UPDATE orders SET more = '{1,NULL}' WHERE id = 1")
		w.capture(tables...)
		mark()
		w.lose("UPDATE orders SET more = '{2}' WHERE id = 1")
		w.exec("BEGIN; SAVEPOINT a; UPDATE orders SET state = 'lost' WHERE id = 1; ROLLBACK TO a; UPDATE orders SET state = 'kept' WHERE id = 1; COMMIT")
		mark()
		w.exec("TRUNCATE orders", "INSERT INTO orders VALUES (1, 'again')")
		mark()
		c.drain()
		for _, table := range []string{"audit_changes", "audit_shapes", "audit_captures", "audit_gaps"} {
			c.same(table)
		}
		// The app's database does not know who, since the timeline is there.
		w.must(threadline.NewStore(w.db, hooks.Postgres, nil).Migrate(ctx))
		w.must(threadline.NewStore(w.db, hooks.Postgres, nil).Record(ctx, c.journal()))
		here, there := told(t, w.store, at, "orders", "1", "2", "3", "4", "5"), told(t, c.there.store, at, "orders", "1", "2", "3", "4", "5")
		for i := range max(len(here), len(there)) {
			if i >= len(here) || i >= len(there) || here[i] != there[i] {
				t.Fatalf("here: %s\nthere: %s", strings.Join(here[min(i, len(here)):min(i+1, len(here))], ""), strings.Join(there[min(i, len(there)):min(i+1, len(there))], ""))
			}
		}
	}, dbtest.PostgresEngines()[0])
}

// now is the database's clock.
func (w *world) now() (at time.Time) {
	w.Helper()
	w.must(w.db.QueryRowContext(ctx, "SELECT clock_timestamp()").Scan(&at))
	return at
}

// journal are the entries of the app's journal.
func (c *copied) journal() (entries []journal.Entry) {
	c.Helper()
	j, err := journal.New(hooks.Postgres, nil)
	c.must(err)
	for e, err := range j.Each(ctx, c.world.db, journal.Query{}) {
		c.must(err)
		entries = append(entries, e)
	}
	return entries
}

// changed are entries of all changes that there are, as a forwarder gets them, and that it needs to find them.
func (w *world) changed() (entries []journal.Entry) {
	w.Helper()
	rows, err := w.db.QueryContext(ctx, "SELECT xid::text::bigint, pg_wal_lsn_diff(lsn, '0/0')::bigint, tx_started_at, captured_at FROM threadline.audit_changes ORDER BY xid, lsn")
	w.must(err)
	defer rows.Close()
	for rows.Next() {
		var xid, lsn int64
		e := journal.Entry{Event: hooks.Event{ID: uuid.New()}, Change: []byte("{}")}
		w.must(rows.Scan(&xid, &lsn, &e.Tx.StartedAt, &e.RecordedAt))
		e.Tx.ID = xid
		e.Position = journal.ChangePosition(xid, uint64(lsn))
		entries = append(entries, e)
	}
	w.must(rows.Err())
	return entries
}

// TestCopiedAgain: what comes again changes nothing, whatever is missing in between; of a transaction that comes in part the rest is
// known, such as who made it; and a change that is gone is named.
func TestCopiedAgain(t *testing.T) {
	with(t, func(w *world) {
		t := w.T
		there := w.elsewhere(w.e.DSN(t))
		w.must(there.installer().Migrate(ctx))
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("SET application_name = 'by hand'; BEGIN; INSERT INTO t SELECT n, n FROM generate_series(1, 3) n; COMMIT", "UPDATE t SET a = 0 WHERE id = 1")
		source, entries := changes.NewSource(nil), w.changed()
		w.must(source.Copy(ctx, w.db, entries[2:3], there.store))
		there.wantStory("insert id: NULL → 3; a: NULL → 3;", "t", "3")
		there.wantBy("3", changes.Unknown, "by hand") // without a journal it is not certain that there were no events
		w.must(source.Copy(ctx, w.db, entries, there.store))
		before := there.textOf("audit_changes")
		w.must(source.Copy(ctx, w.db, entries, there.store))
		w.must(source.Copy(ctx, w.db, nil, there.store))
		if again := there.textOf("audit_changes"); again != before || again != w.textOf("audit_changes") {
			t.Errorf("before\n%s\nagain\n%s", before, again)
		}
		there.wantStory("insert id: NULL → 1; a: NULL → 1;\nupdate a: 1 → 0;", "t", "1")

		w.exec("DELETE FROM threadline.audit_changes WHERE op = 'U'", "TRUNCATE t")
		entries = append(w.changed(), entries[3])
		err := source.Copy(ctx, w.db, entries, there.store)
		var partial *forward.PartialError
		if !errors.As(err, &partial) || len(partial.Failed) != 1 || partial.Failed[entries[4].ID] == nil {
			t.Errorf("of a change that is gone: %v", err)
		}
		there.wantBreaks("began t: its capture began\ntruncated t: all rows were removed by TRUNCATE, or those of a partition", "t")
	}, dbtest.PostgresEngines()[0])
}

// TestCopiedFromOne: a schema takes the changes of one database, and none are captured in it; and the app's own has them already. A
// database that was restored from it goes on.
func TestCopiedFromOne(t *testing.T) {
	with(t, func(w *world) {
		t := w.T
		one := capture.Table{Name: "t"}
		make := []string{"CREATE TABLE t (id int PRIMARY KEY, a int)", "INSERT INTO t VALUES (1, 1)"}
		w.exec(make[0])
		w.capture(one)
		w.exec(make[1])
		there, second, restored := w.elsewhere(w.e.DSN(t)), w.elsewhere(w.e.DSN(t)), w.elsewhere(w.e.DSN(t))
		source := changes.NewSource(nil)
		refused := func(why string, err error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("%v, want %s", err, why)
			}
		}
		refused("run capture.Installer.Migrate there", source.Copy(ctx, w.db, w.changed(), there.store))
		refused("run capture.Installer.Migrate there", there.store.Copyable(ctx))
		w.must(there.installer().Migrate(ctx))
		w.must(there.store.Copyable(ctx))
		refused("from PostgreSQL to PostgreSQL", source.Copy(ctx, w.db, nil, changes.NewStore(there.db, hooks.SQLite, nil)))
		refused("is the app's own", source.Copy(ctx, w.db, w.changed(), w.store))
		w.must(source.Copy(ctx, w.db, w.changed(), there.store))

		w.must(second.installer().Migrate(ctx))
		second.exec(make[0])
		second.capture(one)
		second.exec(make[1])
		refused("has the row changes of another database", source.Copy(ctx, second.db, second.changed(), there.store))
		refused("has row changes that were captured there", source.Copy(ctx, w.db, w.changed(), second.store))
		there.exec(make[0])
		_, err := there.installer().Plan(ctx, one)
		refused("has copies of another database's row changes", err)
		refused("has copies of another database's row changes", there.installer().Remove(ctx, "t"))

		w.dumpTo(restored)
		restored.must(restored.installer().Migrate(ctx))
		restored.capture(one)
		restored.exec("UPDATE t SET a = 2")
		w.must(source.Copy(ctx, restored.db, restored.changed(), there.store))
		// The table of that name that is there has nothing to do with it.
		there.exec("INSERT INTO t VALUES (1, 7), (2, 8)")
		there.wantStory("insert id: NULL → 1; a: NULL → 1;\nupdate a: 1 → 2;", "t", "1")
		there.wantBreaks("began t: its capture began\nrestored t: it was restored into another database", "public.t")
		row, err := there.store.RowAsOf(ctx, "t", time.Now(), "2")
		if !errors.Is(err, changes.ErrBroken) || !strings.Contains(err.Error(), "in the app's database alone") {
			t.Errorf("a row that no change names: %v, %v", row, err)
		}
		_, err = there.store.Page(ctx, changes.Query{OldestFirst: true})
		refused("these changes are copies", err)
		_, err = there.store.History(ctx, "u", "1")
		refused("u: the table was never captured in the app", err)
	}, dbtest.PostgresEngines()[0])
}

// TestCopiedRights: an error says which rights the role lacks that reads here; and the role that writes there needs no right to
// change what is there.
func TestCopiedRights(t *testing.T) {
	with(t, func(w *world) {
		t := w.T
		there, role := w.elsewhere(w.e.DSN(t)), dbtest.Name("copies")
		w.must(there.installer().Migrate(ctx))
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", `CREATE ROLE "`+role+`" LOGIN`)
		t.Cleanup(func() {
			there.exec(`DROP OWNED BY "` + role + `"`)
			w.exec(`DROP OWNED BY "`+role+`"`, `DROP ROLE "`+role+`"`)
		})
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1)")
		const tables = "threadline.audit_changes, threadline.audit_shapes, threadline.audit_captures, threadline.audit_gaps, threadline.audit_copies, threadline.audit_eventless"
		there.exec(`GRANT USAGE ON SCHEMA threadline TO "`+role+`"`, `GRANT INSERT ON `+tables+` TO "`+role+`"`,
			`GRANT SELECT ON threadline.audit_captures, threadline.audit_copies TO "`+role+`"`, `GRANT UPDATE ON threadline.audit_copies TO "`+role+`"`)
		from, to := dbtest.Open(t, w.e.Driver, w.dsn+" user="+role), dbtest.Open(t, w.e.Driver, there.dsn+" user="+role)
		source, store := changes.NewSource(nil), changes.NewStore(to, hooks.Postgres, nil)
		err := source.Copy(ctx, from, w.changed(), store)
		if err == nil {
			t.Fatal("it may read the row changes")
		}
		_, grant, _ := strings.Cut(err.Error(), "run as their owner: ")
		grant, _, _ = strings.Cut(grant, ": ")
		w.exec(grant)
		for range 2 {
			w.must(source.Copy(ctx, from, w.changed(), store))
		}
		there.wantStory("insert id: NULL → 1; a: NULL → 1;", "t", "1")
	}, dbtest.PostgresEngines()[0])
}

// TestCopiedLater: while the other database cannot take row changes, as without their tables, they wait, and none is discarded.
func TestCopiedLater(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		c := w.copyTo(w.e.DSN(w.T), func(*forward.Hub) {})
		c.drain()
		c.there.exec("ALTER TABLE threadline.audit_changes RENAME TO away")
		c.tx([]string{"alice"}, "INSERT INTO t VALUES (1, 1)")
		said := func() *observer.ObservedLogs {
			return c.logs.FilterField(zap.String("forwarder", "threadline.Forwarder/default"))
		}
		for deadline := time.Now().Add(dbtest.Patience); said().Len() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				w.Fatal("it does not say that it cannot")
			}
		}
		if text := fmt.Sprint(said().All()[0].ContextMap()["error"]); !strings.Contains(text, "run capture.Installer.Migrate there") {
			w.Errorf("it says %s", text)
		}
		c.there.exec("ALTER TABLE threadline.away RENAME TO audit_changes")
		until, cancel := context.WithTimeout(ctx, dbtest.Patience)
		defer cancel()
		w.must(c.hub.Drain(until))
		if n := w.text("SELECT count(*) FROM aftercommit.retries"); n != "0" {
			w.Errorf("%s attempts were counted against the changes", n)
		}
		c.there.wantStory("insert id: NULL → 1; a: NULL → 1;", "t", "1")
	}, dbtest.PostgresEngines()[0])
}
