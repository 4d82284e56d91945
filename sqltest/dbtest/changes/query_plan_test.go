package changes_test

import (
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestPagesArePlanned reads the second page of each kind of query over 100,000 changes of two tables: none reads the
// changes one after the other, and none fetches more of them than it looks at.
func TestPagesArePlanned(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE u (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "u"})
		w.exec("INSERT INTO t VALUES (1, 0)", "INSERT INTO u VALUES (1, 0)")
		// 500 rows of each table, 20 changes a transaction, a transaction a second.
		w.exec(`INSERT INTO threadline.audit_changes (xid, tx_started_at, captured_at, lsn, table_id, shape_id, depth, op, new_tid, key, new_row)
			SELECT (1000000 + n / 20)::text::xid8, s.at, s.at + n % 20 * interval '1 ms', '1/0'::pg_lsn + n, c.table_id, c.shape_id, 1, 'I', '(0,1)', concat('(', n % 1000, ')'), concat('(', n % 1000, ',', n, ')')
			FROM generate_series(0, 99999) n, LATERAL (SELECT '2026-01-01 00:00+00'::timestamptz + n / 20 * interval '1 s' AS at) s,
				LATERAL (SELECT c.* FROM threadline.audit_changes c, threadline.audit_shapes h WHERE h.id = c.shape_id AND h.shape ->> 'table' = CASE n % 2 WHEN 0 THEN 't' ELSE 'u' END LIMIT 1) c`,
			"ANALYZE threadline.audit_changes")
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		const limit = 10
		// PostgreSQL sorts those of equal times in groups of 32 and more.
		const few, looked = 200, 2 * 2 * (changes.MaxLooked + 100)
		for _, p := range []struct {
			name string
			q    changes.Query
			most int
		}{
			{"all", changes.Query{}, few},
			{"oldest first", changes.Query{OldestFirst: true}, few},
			{"a table", changes.Query{Tables: []string{"t"}}, few},
			{"times", changes.Query{From: start.Add(time.Hour / 4), To: start.Add(time.Hour / 2)}, few},
			{"times, oldest first", changes.Query{From: start.Add(time.Hour / 4), To: start.Add(time.Hour / 2), OldestFirst: true}, few},
			{"a transaction", changes.Query{XID: 1000100, TxStartedAt: start.Add(100 * time.Second)}, few},
			{"a transaction, the oldest first", changes.Query{XID: 1000100, TxStartedAt: start.Add(100 * time.Second), OldestFirst: true}, few},
			{"a row", changes.Query{Tables: []string{"t"}, Key: []string{"8"}}, 500},
			{"an operation", changes.Query{Ops: []changes.Op{changes.Insert}}, looked},
			{"a rare operation", changes.Query{Ops: []changes.Op{changes.Delete}}, looked},
			{"a field", changes.Query{Fields: []string{"a"}}, looked},
			{"a rare value", changes.Query{New: []changes.FieldValue{{Field: "a", Text: "7"}}}, looked},
			{"a text", changes.Query{Text: []string{"99"}}, looked},
			{"an actor", changes.Query{ActorType: hooks.User, ActorID: "7"}, looked},
			{"no actor, oldest first", changes.Query{Unattributed: true, OldestFirst: true}, looked},
			{"not", changes.Query{Not: []changes.Query{{Tables: []string{"u"}}}}, looked},
		} {
			p.q.Limit = limit
			page, err := w.store.Page(ctx, p.q)
			w.must(err)
			if p.q.Cursor = page.Next; p.q.Cursor == "" {
				w.Errorf("%s: one page only", p.name)
				continue
			}
			if scanned, fetched := w.reads(p.q); scanned != 0 || fetched > p.most || fetched == 0 {
				w.Errorf("%s: %d changes read one after the other, %d by indexes, want at most %d", p.name, scanned, fetched, p.most)
			}
		}
	}, dbtest.PostgresEngines()[0])
}

// reads is how many changes a page of a query reads without and with an index.
func (w *world) reads(q changes.Query) (scanned, fetched int) {
	w.Helper()
	return w.readsIn(func(store *changes.Store) error {
		_, err := store.Page(ctx, q)
		return err
	})
}

// readsIn is how many changes a call reads.
func (w *world) readsIn(call func(*changes.Store) error) (scanned, fetched int) {
	w.Helper()
	n := w.countIn("seq_tup_read, idx_tup_fetch", "pg_stat_user_tables", call)
	return n[0], n[1]
}

// countIn is what a call adds to two columns of a view of statistics of the table of changes.
func (w *world) countIn(columns, view string, call func(*changes.Store) error) (n [2]int) {
	w.Helper()
	count := func() (n [2]int) {
		w.Helper()
		w.must(w.db.QueryRowContext(ctx, "SELECT "+columns+" FROM "+view+" WHERE relname = 'audit_changes'").Scan(&n[0], &n[1]))
		return n
	}
	w.db.SetMaxIdleConns(0)
	w.awaitAlone()
	before := count()
	db := dbtest.Open(w.T, "postgres", w.dsn)
	w.must(call(changes.NewStore(db, hooks.Postgres, nil)))
	w.must(db.Close())
	w.awaitAlone()
	after := count()
	return [2]int{after[0] - before[0], after[1] - before[1]}
}

// awaitAlone waits until the other sessions have ended. They have then reported their statistics.
func (w *world) awaitAlone() {
	w.Helper()
	w.await("SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'")
}
