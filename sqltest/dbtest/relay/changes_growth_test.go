package relay_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// lone is a database of one connection, of which read says what it has read.
func (c *captured) lone() *sql.DB {
	c.Helper()
	db := dbtest.Open(c.T, c.e.Driver, c.dsn)
	db.SetMaxOpenConns(1)
	c.run("ALTER TABLE threadline.audit_changes SET (autovacuum_enabled = off)")
	return db
}

// readChanges is how many entries of the index of transactions the server has read so far for db.
func (c *captured) readChanges(db *sql.DB) (n int64) {
	c.Helper()
	for _, query := range []string{"SELECT pg_stat_force_next_flush()", "SELECT 1"} { // after which it has been done
		_, err := db.ExecContext(ctx, query)
		c.must(err)
	}
	c.must(db.QueryRowContext(ctx, "SELECT i.idx_tup_read + t.seq_tup_read FROM pg_stat_user_indexes i JOIN pg_stat_user_tables t USING (relid) WHERE i.indexrelname = 'audit_changes_pkey'").Scan(&n))
	return n
}

func (c *captured) catchUp(db *sql.DB, batch int) {
	c.Helper()
	_, err := relay.CatchUp(ctx, c.store, db, relay.Config{Targets: []relay.Target{c.target()}, Batch: batch}, relay.Share{})
	c.must(err)
}

// TestChangesAreCaughtUp also where there are no events.
func TestChangesAreCaughtUp(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		db := c.lone()
		c.row("r1")
		c.catchUp(db, 100)
		c.row("r2")
		c.row("r3")
		c.catchUp(db, 1)
		c.want("r1 r2 r3")
	}, dbtest.PQ)
}

// TestChangesBehindAPooler: nothing is prepared, which a transaction pooler may lose.
func TestChangesBehindAPooler(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		p := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
		prepared := p.Watch(func(query string) bool { return strings.Contains(query, "$1") })
		read := p.Watch(func(query string) bool { return strings.Contains(query, "audit_shapes") })
		c.row("r1")
		c.commit("a")
		c.catchUp(dbtest.Open(t, c.e.Driver, dbtest.Via(c.dsn, p.Addr())), 100)
		c.want("r1 a")
		if got := prepared.Queries(); len(got) > 0 || len(read.Queries()) == 0 {
			t.Errorf("with arguments: %q", got)
		}
	}, dbtest.PostgresEngines()...)
}

// TestChangesInFlight are not read again and again: those that a transaction has written so far, which others overtake.
func TestChangesInFlight(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		const n, others = 2000, 20
		db := c.lone()
		c.catchUp(db, 100)
		large := c.begin()
		large.exec(fmt.Sprintf("INSERT INTO t SELECT 'r' || i FROM pg_catalog.generate_series(1, %d) i", n))
		before := c.readChanges(db)
		want := make([]string, others)
		for i := range want {
			want[i] = fmt.Sprint("e", i)
			c.commit(want[i])
			c.catchUp(db, 100)
		}
		c.want(strings.Join(want, " "))
		if read := c.readChanges(db) - before; read > 3*n {
			t.Errorf("%d entries were read beside %d of a transaction in flight", read, n)
		}
		large.exec("ROLLBACK")
		c.must(large.conn.Close())
	}, dbtest.PQ)
}

// TestDueChangesAreFound by the index, without statistics too: those that are tried again, and those that are replayed.
func TestDueChangesAreFound(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		const n, bad = 20_000, 100
		db := c.lone()
		names := make([]string, bad)
		for i := range names {
			names[i] = fmt.Sprint("r", (i+1)*n/bad)
		}
		c.refuse(errTransient, names...)
		c.catchUp(db, 500)
		c.run(fmt.Sprintf("INSERT INTO t SELECT 'r' || i FROM pg_catalog.generate_series(1, %d) i", n))
		c.catchUp(db, 500)
		if failed := c.failures(false); len(failed) != bad {
			t.Fatalf("%d are to be tried again", len(failed))
		}
		for _, statistics := range []string{"SELECT 1", "ANALYZE threadline.audit_changes"} {
			c.refuse(permanent{errTransient}, names...)
			c.run(statistics, "UPDATE aftercommit.retries SET next_at = first_at, state = 'retrying'")
			before := c.readChanges(db)
			c.catchUp(db, 500)
			if read, failed := c.readChanges(db)-before, c.failures(true); read > 20*bad || len(failed) != bad {
				t.Errorf("%s: for %d changes %d entries were read, and discarded are %d", statistics, bad, read, len(failed))
			}
			before = c.readChanges(db)
			for _, sel := range []relay.Selection{
				{Forwarder: name, Discarded: true, To: time.Now().Add(time.Hour)},
				{Forwarder: name, Positions: []journal.Position{c.failures(true)[0].Position, c.failures(true)[1].Position}},
				{Forwarder: name, IDs: []uuid.UUID{c.failures(true)[0].EventID}},
			} {
				if many, err := c.operator("").Replay(ctx, db, sel, true); many == 0 || err != nil {
					t.Errorf("%s: %+v: %d, %v", statistics, sel, many, err)
				}
			}
			if read := c.readChanges(db) - before; read > 10*bad {
				t.Errorf("%s: to select them, %d entries were read", statistics, read)
			}
		}
	}, dbtest.PQ)
}

// TestChangesOfALateTransaction: what a large transaction has changed, which was in flight at the last look, is read
// about once.
func TestChangesOfALateTransaction(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		const n, batch = 20_000, 100
		db := c.lone()
		other, large := c.begin(), c.begin()
		other.exec("INSERT INTO t VALUES ('other')")
		large.exec(fmt.Sprintf("INSERT INTO t SELECT 'r' || pg_catalog.lpad(i::text, 5, '0') FROM pg_catalog.generate_series(1, %d) i", n))
		large.record("a", "b")
		c.commit("first")
		c.catchUp(db, batch)
		large.commit()
		c.run("ANALYZE threadline.audit_changes")
		before := c.readChanges(db)
		c.catchUp(db, batch)
		read := c.readChanges(db) - before
		want := []string{"first", "a", "b"}
		for i := range n {
			want = append(want, fmt.Sprintf("r%05d", i+1))
		}
		if got := c.sink.all(); got != strings.Join(want, " ") {
			t.Errorf("delivered %d of %d", len(strings.Fields(got)), len(want))
		}
		if read > 6*n {
			t.Errorf("%d entries were read for %d changes", read, n)
		}
		other.commit()
		c.row("last")
		c.catchUp(db, batch)
		if got := c.sink.all(); got != strings.Join(append(want, "other", "last"), " ") {
			t.Errorf("then delivered %d of %d", len(strings.Fields(got)), len(want)+2)
		}
	}, dbtest.PQ)
}

// TestChangesOfAnotherClusterProveNothing: where very many were restored that have the numbers of transactions yet to
// come, an entry that the sink refuses does not keep the others waiting.
func TestChangesOfAnotherClusterProveNothing(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		c.restored(10001, 20000)
		c.sink.refuse = func(name string) error {
			if name == "bad" {
				return errTransient
			}
			return nil
		}
		c.commit("bad")
		c.commit("a")
		c.row("r1")
		c.drain(c.begins(relay.Config{}))
		got := strings.Fields(c.sink.all())
		if len(got) != 2 || !contains(c.sink.all(), "a") || !contains(c.sink.all(), "r1") {
			t.Errorf("delivered %v", got)
		}
	}, dbtest.PQ)
}
