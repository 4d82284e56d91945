package relay_test

import (
	"fmt"
	"strings"
	"testing"

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
	read := func() (n int64) {
		exec("SELECT pg_stat_force_next_flush()")
		exec("SELECT 1") // after which it has been done
		w.must(w.db.QueryRowContext(ctx, `SELECT sum(n) FROM (
			SELECT seq_tup_read AS n FROM pg_stat_user_tables WHERE relname = 'audit_events'
			UNION ALL SELECT idx_tup_read FROM pg_stat_user_indexes WHERE relname = 'audit_events') parts`).Scan(&n))
		return n
	}
	exec(`INSERT INTO aftercommit.audit_events (id, role, occurred_at, action, outcome, target_type, target_id, captured)
		SELECT gen_random_uuid(), 'app', now(), 'order.placed', 'success', 'order', 'old', false FROM generate_series(1, 20000)`)
	catchUp()
	exec("VACUUM ANALYZE aftercommit.audit_events")
	w.sink.got = nil

	before := read()
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
	if n := read() - before; n > old/100 {
		t.Errorf("%d entries were read beside %d old ones, for four that are new", n, old)
	}
}

// TestBacklog: what has come together is read about once, batch by batch, also by a
// server that has no statistics of it.
func TestBacklog(t *testing.T) {
	const backlog, batch = 20_000, 100
	w := newWorld(t, dbtest.PQ)
	db := dbtest.Open(t, w.e.Driver, w.dsn)
	db.SetMaxOpenConns(1)
	exec := func(query string) {
		_, err := db.ExecContext(ctx, query)
		w.must(err)
	}
	exec("ALTER TABLE aftercommit.audit_events SET (autovacuum_enabled = off)")
	exec(fmt.Sprintf(`INSERT INTO aftercommit.audit_events (id, role, occurred_at, action, outcome, target_type, target_id, captured)
		SELECT gen_random_uuid(), 'app', now(), 'order.placed', 'success', 'order', 'old', false FROM generate_series(1, %d)`, backlog))
	_, err := relay.CatchUp(ctx, w.store, db, relay.Config{Targets: []relay.Target{w.target()}, Batch: batch}, relay.Share{})
	w.must(err)
	if n := len(w.sink.got); n != backlog {
		t.Errorf("%d entries were delivered, want %d", n, backlog)
	}
	exec("SELECT pg_stat_force_next_flush()")
	exec("SELECT 1") // after which it has been done
	var read int64
	w.must(w.db.QueryRowContext(ctx, "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'audit_events_pkey'").Scan(&read))
	if read > 12*backlog {
		t.Errorf("%d entries were read for a backlog of %d", read, backlog)
	}
}

// TestGaps: entries that are far from each other are delivered like others.
func TestGaps(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		long := w.begin()
		long.record("a0", "a1", "a2")
		want := []string{"a0", "a1", "a2"}
		for i, gap := range []int64{1, 10, 100, 1_000, 10_000, 1 << 40, 1 << 62} {
			_, err := w.db.ExecContext(ctx, fmt.Sprintf("SELECT setval(pg_get_serial_sequence('aftercommit.audit_events', 'seq'), %d + (SELECT last_value FROM aftercommit.audit_events_seq_seq))", gap))
			w.must(err)
			n := fmt.Sprint("b", i)
			long.record(n)
			want = append(want, n)
		}
		long.commit()
		w.drain(w.start(relay.Config{Batch: 2}))
		w.want(strings.Join(want, " "))
	}, dbtest.PostgresEngines()...)
}
