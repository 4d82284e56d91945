package relay_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestOldEntriesCostNothing: delivery, and the look at how it stands, read what is
// new, and not the rest of the journal, even where a single transaction has
// written all of that.
func TestOldEntriesCostNothing(t *testing.T) {
	const old = 20_000
	w := newWorld(t, dbtest.PQ)
	db := dbtest.Open(t, w.e.Driver, w.dsn)
	db.SetMaxOpenConns(1)
	exec := func(query string) {
		_, err := db.ExecContext(ctx, query)
		w.must(err)
	}
	catchUp := func() {
		_, err := relay.CatchUp(ctx, w.store, db, relay.Config{Targets: []relay.Target{w.target()}}, relay.Share{})
		w.must(err)
	}
	exec(rows("old", old))
	catchUp()
	exec("VACUUM ANALYZE aftercommit.journal")
	w.sink.got = nil

	before := w.read(db)
	w.commit("a", "b")
	w.commit("c")
	catchUp()
	states, err := w.store.States(ctx, db)
	w.must(err)
	if states[0].Behind != 0 {
		t.Errorf("states %+v", states)
	}
	w.commit("d")
	if states, err = w.store.States(ctx, db); err != nil || states[0].Behind != 1 {
		t.Errorf("states %+v, %v; want one entry behind", states, err)
	}
	w.want("a b c")
	if n := w.read(db) - before; n > old/100 {
		t.Errorf("%d entries were read beside %d old ones, for four that are new", n, old)
	}
}

// read is how many entries the server has read so far for db, which has one connection.
func (w *world) read(db *sql.DB) (n int64) {
	w.Helper()
	for _, query := range []string{"SELECT pg_stat_force_next_flush()", "SELECT 1"} { // after which it has been done
		_, err := db.ExecContext(ctx, query)
		w.must(err)
	}
	w.must(db.QueryRowContext(ctx, `SELECT sum(n) FROM (
		SELECT seq_tup_read AS n FROM pg_stat_user_tables WHERE relname = 'journal'
		UNION ALL SELECT idx_tup_read FROM pg_stat_user_indexes WHERE relname = 'journal') parts`).Scan(&n))
	return n
}

// TestBacklog: what has come together is read about once, batch by batch, also by a
// server that has no statistics of it.
func TestBacklog(t *testing.T) {
	const backlog, batch = 100_000, 500
	w := newWorld(t, dbtest.PQ)
	db := dbtest.Open(t, w.e.Driver, w.dsn)
	db.SetMaxOpenConns(1)
	exec := func(query string) {
		_, err := db.ExecContext(ctx, query)
		w.must(err)
	}
	exec("ALTER TABLE aftercommit.journal SET (autovacuum_enabled = off)")
	exec(rows("old", backlog))
	_, err := relay.CatchUp(ctx, w.store, db, relay.Config{Targets: []relay.Target{w.target()}, Batch: batch}, relay.Share{})
	w.must(err)
	if n := len(w.sink.got); n != backlog {
		t.Errorf("%d entries were delivered, want %d", n, backlog)
	}
	exec("SELECT pg_stat_force_next_flush()")
	exec("SELECT 1") // after which it has been done
	var read int64
	w.must(w.db.QueryRowContext(ctx, "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'journal_xid_key'").Scan(&read))
	if read > 12*backlog {
		t.Errorf("%d entries were read for a backlog of %d", read, backlog)
	}
}

// TestAway: a forwarder that was away while many transactions wrote the journal gets
// all of them, once, in order, and reads each row about once. Another one does not
// wait for it.
func TestAway(t *testing.T) {
	txs, size := 2_000, 10
	if long() {
		txs, size = 100_000, 100
	}
	w := newWorld(t, dbtest.PQ)
	w.exec("ALTER TABLE aftercommit.journal SET (autovacuum_enabled = off)")
	w.exec(fmt.Sprintf(`DO $$ BEGIN FOR tx IN 0..%d LOOP
			INSERT INTO aftercommit.journal (key, role, events, format, document)
			SELECT format('00000000-0000-7000-8000-%%s', lpad(to_hex(n), 12, '0'))::uuid, 'app', 1, 1,
				format('[{"id":"%%s","occurred_at":"2026-01-02T03:04:05Z","action":"order.placed","outcome":"success","target":{"type":"order","id":"%%s"}}]', gen_random_uuid(), n)
			FROM generate_series(tx * %[2]d, (tx + 1) * %[2]d - 1) n;
			COMMIT;
		END LOOP; END $$`, txs-1, size))
	const present = "present/default"
	w.must(w.store.Register(ctx, w.db, present))
	w.commit("new")
	states, err := w.store.States(ctx, w.db)
	w.must(err)
	total := txs*size + 1
	if !slices.ContainsFunc(states, func(s relay.State) bool { return s.Forwarder == name && s.Behind == int64(total) }) {
		t.Errorf("states %+v, want %d behind", states, total)
	}

	next, served := 0, make(chan struct{})
	away := w.target()
	away.Deliver = func(_ context.Context, _ *sql.DB, entries []journal.Entry) (r relay.Result) {
		if next >= total/2 {
			<-served // the other one has its entry, though half of this is to come
		}
		for _, e := range entries {
			want := strconv.Itoa(next)
			if next == total-1 {
				want = "new"
			}
			if e.Target.ID != want {
				t.Errorf("%s was delivered, want %s", e.Target.ID, want)
			}
			next++
		}
		return r
	}
	other := w.target()
	other.Name = present
	other.Deliver = func(_ context.Context, _ *sql.DB, entries []journal.Entry) (r relay.Result) {
		if len(entries) != 1 || entries[0].Target.ID != "new" {
			t.Errorf("the other forwarder got %d entries, the first is %s", len(entries), entries[0].Target.ID)
		}
		close(served)
		return r
	}
	w.db.SetMaxIdleConns(0) // so that each connection's numbers are complete when it ends
	before := w.read(w.db)
	w.drain(w.start(relay.Config{Targets: []relay.Target{away, other}, Batch: 500}))
	if next != total {
		t.Errorf("%d entries were delivered, want %d", next, total)
	}
	if n := w.read(w.db) - before; n > 5*int64(total) {
		t.Errorf("%d rows were read for %d entries", n, total)
	}
	before = w.read(w.db)
	w.ticks(3)
	if n := w.read(w.db) - before; n > int64(total)/10 {
		t.Errorf("%d rows were read to find nothing new", n)
	}
}

// TestProbing: what is tried while a sink is down is found without reading what
// waits, or what is old.
func TestProbing(t *testing.T) {
	const old, backlog = 20_000, 20_000
	w := newWorld(t, dbtest.PQ)
	w.db.SetMaxOpenConns(1)
	exec := func(query string) {
		_, err := w.db.ExecContext(ctx, query)
		w.must(err)
	}
	exec("ALTER TABLE aftercommit.journal SET (autovacuum_enabled = off)")
	insert := func(n int, name string) {
		exec(rows(name, n))
	}
	insert(old, "old")
	w.must(w.store.Retire(ctx, w.db, name))
	w.must(w.store.Register(ctx, w.db, name))
	for range 10 {
		insert(backlog/10, "bad")
	}
	p := newScenario(w)
	var before int64
	p.after(time.Second, func() { before = w.read(w.db) })
	p.after(time.Hour, func() {
		if n := w.read(w.db) - before; n > backlog {
			t.Errorf("%d entries were read in an hour for some probes of %d that wait behind %d", n, backlog, old)
		}
	})
	p.perform(100)
	if p.calls < 100 {
		t.Errorf("%d calls in an hour, of entries that the sink never accepts", p.calls)
	}
}

// rows inserts rows of an event each, by one transaction.
func rows(name string, n int) string {
	return fmt.Sprintf(`INSERT INTO aftercommit.journal (key, role, events, format, document)
		SELECT gen_random_uuid(), 'app', 1, 1, format('[{"id":"%%s","occurred_at":"2026-01-02T03:04:05Z","action":"order.placed","outcome":"success","target":{"type":"order","id":"%s"}}]', gen_random_uuid())
		FROM generate_series(1, %d)`, name, n)
}

// TestGaps: entries that are far from each other are delivered like others: between their
// transactions many write nothing to the journal. Gaps cost few queries.
func TestGaps(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		var want []string
		for i, gap := range []int{0, 1, 10, 100, 1_000, 10_000} {
			w.exec(fmt.Sprintf("DO $$ BEGIN FOR i IN 1..%d LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$", gap))
			n := fmt.Sprint("b", i)
			w.commit(n, n+"+")
			want = append(want, n, n+"+")
		}
		m := &meter{Connector: w.connector()}
		db := sql.OpenDB(m)
		defer db.Close()
		db.SetMaxOpenConns(1)
		_, err := relay.CatchUp(ctx, w.store, db, relay.Config{Targets: []relay.Target{w.target()}, Batch: 3}, relay.Share{})
		w.must(err)
		w.want(strings.Join(want, " "))
		t.Logf("%d statements", m.transactions.Load())
		if n := m.transactions.Load(); n > 40 {
			t.Errorf("%d statements for %d entries, want at most 40", n, len(want))
		}
	}, dbtest.PostgresEngines()...)
}
