package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// BenchmarkChangePages: the milliseconds in which the server's session is busy (pg_stat_database.active_time, of
// PostgreSQL 14) for a second page of 50 row changes, by what is asked for, over 10⁵ changes of two tables; with
// AFTERCOMMIT_LONG over 10⁷.
func BenchmarkChangePages(b *testing.B) {
	counts := []int{100_000}
	if long() {
		counts = append(counts, 10_000_000)
	}
	for _, n := range counts {
		b.Run(fmt.Sprintf("changes=%d", n), func(b *testing.B) { benchmarkPages(b, n) })
	}
}

func benchmarkPages(b *testing.B, n int) {
	b.Helper()
	w := newWorld(b)
	installer, store := capture.NewInstaller(w.bare, hooks.Postgres, nil), changes.NewStore(w.bare, hooks.Postgres, nil)
	w.must(installer.Migrate(ctx))
	w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE u (id int PRIMARY KEY, a int)")
	plan, err := installer.Plan(ctx, capture.Table{Name: "t"}, capture.Table{Name: "u"})
	w.must(err)
	w.must(installer.Apply(ctx, plan))
	w.exec("INSERT INTO t VALUES (1, 0)", "INSERT INTO u VALUES (1, 0)",
		// 20 changes a transaction, and 100 of each row.
		fmt.Sprintf(`INSERT INTO threadline.audit_changes (xid, tx_started_at, captured_at, lsn, table_id, shape_id, depth, op, new_tid, key, new_row)
			SELECT (1000000 + n / 20)::text::xid8, s.at, s.at + n %% 20 * interval '1 ms', '1/0'::pg_lsn + n, c.table_id, c.shape_id, 1, 'I', '(0,1)', concat('(', n %% %[1]d, ')'), concat('(', n %% %[1]d, ',', n, ')')
			FROM generate_series(1, %[2]d) n, LATERAL (SELECT '2020-01-01 00:00+00'::timestamptz + n / 20 * interval '1 s' AS at) s,
				(SELECT DISTINCT ON (table_id) * FROM threadline.audit_changes) c WHERE n %% 2 = (c.table_id = (SELECT min(table_id) FROM threadline.audit_changes))::int`, n/100, n),
		"VACUUM ANALYZE threadline.audit_changes")
	start := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	middle := start.Add(time.Duration(n/40) * time.Second)
	for _, q := range []struct {
		name string
		changes.Query
	}{
		{"all", changes.Query{}},
		{"oldest", changes.Query{OldestFirst: true}},
		{"table", changes.Query{Tables: []string{"t"}}},
		{"times", changes.Query{From: start, To: middle}},
		{"row", changes.Query{Tables: []string{"t", "u"}, Key: []string{"8"}}},
		{"transaction", changes.Query{XID: 1000100, TxStartedAt: start.Add(100 * time.Second)}},
		{"operation", changes.Query{Ops: []changes.Op{changes.Insert}}},
		{"rare value", changes.Query{New: []changes.FieldValue{{Field: "a", Text: "-7"}}}},
		{"text", changes.Query{Text: []string{"99"}}},
		{"actor", changes.Query{ActorType: hooks.User, ActorID: "7"}},
	} {
		q.Limit = 50
		if q.XID != 0 {
			q.Limit = 5
		}
		page, err := store.Page(ctx, q.Query)
		w.must(err)
		q.Cursor = page.Next
		const pages = 40
		before := w.active()
		db := dbtest.Open(b, "postgres", w.dsn)
		db.SetMaxOpenConns(1)
		s := changes.NewStore(db, hooks.Postgres, nil)
		for range pages {
			_, err := s.Page(ctx, q.Query)
			w.must(err)
		}
		w.must(db.Close())
		report(b, "ms/"+strings.ReplaceAll(q.name, " ", "-"), (w.active()-before)/pages)
	}
}

// active is for how many milliseconds sessions were busy, of those that have ended.
func (w *world) active() (ms float64) {
	w.Helper()
	w.bare.SetMaxIdleConns(0)
	for until := time.Now().Add(dbtest.Patience); time.Now().Before(until); {
		var sessions int
		w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'").Scan(&sessions))
		if sessions == 1 {
			break
		}
	}
	w.must(w.bare.QueryRowContext(ctx, "SELECT active_time FROM pg_stat_database WHERE datname = current_database()").Scan(&ms))
	return ms
}
