package changes_test

import (
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// TestTrailIsPlanned reads the second page of each kind of query over 100,000 items, half of them actions: none reads
// a table from end to end, and none fetches more than it shows or looks at.
func TestTrailIsPlanned(t *testing.T) {
	withTrail(t, func(w *trailed) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE u (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "u"})
		w.means("alice", hooks.Event{Action: "t.seen"}, "INSERT INTO t VALUES (1, 0)", "INSERT INTO u VALUES (1, 0)")
		// A transaction a second, with 10 changes of 1,000 rows in two tables and then 10 actions, by 50 actors.
		w.exec(`INSERT INTO threadline.audit_changes (xid, tx_started_at, captured_at, lsn, table_id, shape_id, depth, op, new_tid, key, new_row)
			SELECT (1000000 + n / 10)::text::xid8, s.at, s.at + n % 10 * interval '1 ms', '1/0'::pg_lsn + n, c.table_id, c.shape_id, 1, 'I', '(0,1)', concat('(', n % 1000, ')'), concat('(', n % 1000, ',', n, ')')
			FROM generate_series(0, 49999) n, LATERAL (SELECT '2026-01-01 00:00+00'::timestamptz + n / 10 * interval '1 s' AS at) s,
				LATERAL (SELECT c.* FROM threadline.audit_changes c, threadline.audit_shapes h WHERE h.id = c.shape_id AND h.shape ->> 'table' = CASE n % 2 WHEN 0 THEN 't' ELSE 'u' END LIMIT 1) c`,
			`INSERT INTO threadline.audit_actions (id, name, outcome, actor_type, actor_id, target_type, target_id, tenant_id, correlation_id, captured, occurred_at, recorded_at, seq, tx_id, tx_started_at)
			SELECT gen_random_uuid(), concat('t.verb', n % 50), 'success', 'user', n / 10 % 50, CASE n % 2 WHEN 0 THEN 't' ELSE 'u' END, n % 1000, n / 10 % 50, n / 10, false, s.at, s.at + interval '50 ms', n % 10, 1000000 + n / 10, s.at
			FROM generate_series(0, 49999) n, LATERAL (SELECT '2026-01-01 00:00+00'::timestamptz + n / 10 * interval '1 s' AS at) s`,
			`INSERT INTO threadline.audit_contexts (id, tx_id, tx_started_at, actor_type, actor_id, tenant_id, correlation_id, events, occurred_at, first_recorded_at, last_recorded_at)
			SELECT gen_random_uuid(), tx_id, tx_started_at, actor_type, actor_id, tenant_id, correlation_id, count(*), min(recorded_at), min(recorded_at), max(recorded_at) FROM threadline.audit_actions WHERE tx_id >= 1000000 GROUP BY 2, 3, 4, 5, 6, 7`,
			"ANALYZE threadline.audit_changes, threadline.audit_actions, threadline.audit_contexts")
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		const limit = 10
		const few, looked = 250, 2 * 2 * (changes.MaxLooked + 100)
		for _, p := range []struct {
			name          string
			q             trail.Query
			actions, rows int // rows fetched at most
		}{
			{"all", trail.Query{}, few, few},
			{"times", trail.Query{From: start.Add(time.Hour / 4), To: start.Add(time.Hour / 2)}, few, few},
			{"a transaction", trail.Query{Tx: journal.TxKey{ID: 1000100, StartedAt: start.Add(100 * time.Second)}}, few, few},
			{"a table", trail.Query{Tables: []string{"t"}}, few, few},
			{"a row", trail.Query{Tables: []string{"t"}, Key: []string{"8"}}, few, few},
			{"an actor", trail.Query{ActorType: hooks.User, ActorID: "7"}, few, 1500},
			{"an actor of any type", trail.Query{ActorID: "7"}, 1000 + few, 1500}, // PostgreSQL sorts those of a rare one
			{"a tenant", trail.Query{TenantID: "7"}, few, looked},
			{"a correlation", trail.Query{CorrelationID: "4000"}, few, few},
			{"a text", trail.Query{Text: []string{"verb7"}}, 5 * threadline.MaxLooked / 2, looked},
			{"an operation", trail.Query{Ops: []changes.Op{changes.Insert}}, 0, looked},
			{"a rare field", trail.Query{New: []changes.FieldValue{{Field: "a", Text: "7"}}}, 0, looked},
			{"an outcome", trail.Query{Outcome: hooks.Success}, few, 0},
			{"not", trail.Query{Not: []trail.Query{{ActorID: "7"}}}, 5 * threadline.MaxLooked / 2, looked},
		} {
			p.q.Limit = limit
			page, err := w.reader.Page(ctx, p.q)
			w.must(err)
			if p.q.Cursor = page.Next; p.q.Cursor == "" {
				w.Errorf("%s: one page only", p.name)
				continue
			}
			before := w.fetched()
			db := dbtest.Open(w.T, "postgres", w.dsn)
			_, err = trail.NewReader(threadline.NewStore(db, hooks.Postgres, nil), changes.NewStore(db, hooks.Postgres, nil)).Page(ctx, p.q)
			w.must(err)
			w.must(db.Close())
			after := w.fetched()
			scanned, actions, changed := after[0]-before[0], after[1]-before[1], after[2]-before[2]
			w.Logf("%s: %d actions and %d changes by indexes", p.name, actions, changed)
			if scanned != 0 || actions > p.actions || changed > p.rows || actions+changed == 0 {
				w.Errorf("%s: %d rows read one after the other, by indexes %d actions and %d changes, want at most %d and %d", p.name, scanned, actions, changed, p.actions, p.rows)
			}
		}
	})
}

// fetched is how many rows of the trail were read without an index, how many actions with one, and how many changes.
func (w *trailed) fetched() (n [3]int) {
	w.Helper()
	w.world.db.SetMaxIdleConns(0)
	w.db.SetMaxIdleConns(0)
	w.awaitAlone()
	w.must(w.world.db.QueryRowContext(ctx, `SELECT sum(seq_tup_read), sum(idx_tup_fetch) FILTER (WHERE relname = 'audit_actions'), sum(idx_tup_fetch) FILTER (WHERE relname = 'audit_changes')
		FROM pg_stat_user_tables WHERE relname IN ('audit_actions', 'audit_changes', 'audit_contexts')`).Scan(&n[0], &n[1], &n[2]))
	return n
}
