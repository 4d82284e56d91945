package bench

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// pastTime is how long a made history is, from pastBegan on.
const pastTime = 360 * 24 * time.Hour

var pastBegan = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// Transactions of a made history.
const (
	firstPast = 1_000_000
	largePast = 900_000 // in the middle, with a hundredth of as many changes as all others
	hotPast   = 500_000 // the first of those of row -1 of t, which has 10,000 changes
	hotTimes  = 10_000
)

// makePast makes a history of n changes: of the rows of t and u, each of which was inserted and then updated 99 times, in
// transactions of 20 changes and an action by one of 50 actors.
func (w *world) makePast(n int) {
	w.Helper()
	w.must(threadline.NewStore(w.bare, hooks.Postgres, nil).Migrate(ctx))
	installer := capture.NewInstaller(w.bare, hooks.Postgres, nil)
	w.must(installer.Migrate(ctx))
	for _, t := range []string{"t", "u"} {
		w.exec("CREATE TABLE "+t+" (id bigint PRIMARY KEY, name text, status text, amount numeric, quantity int, note text, placed timestamptz, open boolean)",
			fmt.Sprintf("INSERT INTO %s SELECT n, concat('name ', n), 'new', 12.5, 3, 'as soon as possible', '2025-01-01', true FROM generate_series(-1, %d) n", t, n/200-1))
	}
	plan, err := installer.Plan(ctx, capture.Table{Name: "t"}, capture.Table{Name: "u"})
	w.must(err)
	w.must(installer.Apply(ctx, plan))
	w.exec("UPDATE threadline.audit_captures SET noted_at = '"+pastBegan.Format(time.RFC3339)+"'::timestamptz - interval '1 day'", // or nothing would be known of the rows before
		"UPDATE t SET note = 'soon' WHERE id = -1", "UPDATE u SET note = 'soon' WHERE id = -1",
		"CREATE TABLE made AS SELECT DISTINCT ON (c.table_id) c.*, h.shape ->> 'table' AS name FROM threadline.audit_changes c JOIN threadline.audit_shapes h ON h.id = c.shape_id",
		"UPDATE t SET note = 'as soon as possible' WHERE id = -1", "UPDATE u SET note = 'as soon as possible' WHERE id = -1", "TRUNCATE threadline.audit_changes")
	// keep inserts changes: their xid, begun, at, lsn, first (of the transaction), tab, id and op are those of a query.
	keep := func(query string, args ...any) {
		w.exec(`INSERT INTO threadline.audit_changes (xid, tx_started_at, captured_at, lsn, table_id, shape_id, depth, op, old_tid, new_tid, key, changed, old_row, new_row, system, role, application)
			SELECT c.xid::text::xid8, c.begun, c.at, '0/0'::pg_lsn + c.lsn, m.table_id, m.shape_id, 1, c.op::"char", CASE c.op WHEN 'U' THEN '(0,1)'::tid END, '(0,1)', concat('(', c.id, ')'),
				CASE c.op WHEN 'U' THEN '3 ' END, CASE c.op WHEN 'U' THEN '(,,old,,,,,)' END,
				CASE c.op WHEN 'U' THEN concat('(,,', c.lsn, ',,,,,)') ELSE concat('(', c.id, ',"name ', c.id, '",new,12.5,3,"as soon as possible","2025-01-01 00:00:00+00",t)') END,
				CASE WHEN c.first THEN m.system END, CASE WHEN c.first THEN m.role END, CASE WHEN c.first THEN m.application END
			FROM (` + fmt.Sprintf(query, args...) + `) c JOIN made m ON m.name = c.tab`)
	}
	began, second := pastBegan.Format(time.RFC3339), pastTime.Seconds()/float64(n/20) // between transactions
	w.exec("SET synchronous_commit = off")
	keep(`SELECT %[2]d + n / 20 AS xid, s.begun, s.begun + n %% 20 * interval '1 ms' AS at, 2 * n AS lsn, n %% 20 = 0 AS first, CASE n %% 2 WHEN 0 THEN 't' ELSE 'u' END AS tab, n %% %[1]d / 2 AS id, CASE WHEN n < %[1]d THEN 'I' ELSE 'U' END AS op
		FROM generate_series(0, %[3]d::bigint) n CROSS JOIN LATERAL (SELECT '%[4]s'::timestamptz + n / 20 * %[5]f * interval '1 s' AS begun) s`, n/100, firstPast, n-1, began, second)
	keep(`SELECT %[1]d AS xid, s.begun, s.begun + n * interval '10 us' AS at, %[2]d + 2 * n + 1 AS lsn, n = 0 AS first, CASE n %% 2 WHEN 0 THEN 't' ELSE 'u' END AS tab, n / 2 AS id, 'U' AS op
		FROM generate_series(0, %[3]d::bigint) n CROSS JOIN (SELECT '%[4]s'::timestamptz + %[5]f * interval '1 s' AS begun) s`, largePast, n, n/100-1, began, pastTime.Seconds()/2)
	keep(`SELECT %[1]d + n AS xid, s.begun, s.begun AS at, n * %[2]d + 1 AS lsn, true AS first, 't' AS tab, -1 AS id, CASE n WHEN 0 THEN 'I' ELSE 'U' END AS op
		FROM generate_series(0, %[3]d::bigint) n CROSS JOIN LATERAL (SELECT '%[4]s'::timestamptz + n * %[5]f * interval '1 s' AS begun) s`, hotPast, 2*n/hotTimes, hotTimes-1, began, pastTime.Seconds()/hotTimes)
	w.exec(fmt.Sprintf(`INSERT INTO threadline.audit_actions (id, name, outcome, actor_type, actor_id, target_type, target_id, tenant_id, correlation_id, captured, occurred_at, recorded_at, seq, tx_id, tx_started_at)
		SELECT gen_random_uuid(), concat('t.verb', n %% 50), 'success', 'user', n %% 50, 't', n * 20 %% %d / 2, n %% 50, n, false, s.begun, s.begun + interval '50 ms', n, %d + n, s.begun
		FROM generate_series(0, %d) n CROSS JOIN LATERAL (SELECT '%s'::timestamptz + n * %f * interval '1 s' AS begun) s`, n/100, firstPast, n/20-1, began, second),
		`INSERT INTO threadline.audit_contexts (id, tx_id, tx_started_at, actor_type, actor_id, tenant_id, correlation_id, events, occurred_at, first_recorded_at, last_recorded_at)
		SELECT gen_random_uuid(), tx_id, tx_started_at, actor_type, actor_id, tenant_id, correlation_id, 1, recorded_at, recorded_at, recorded_at FROM threadline.audit_actions`,
		"DROP TABLE made", "VACUUM ANALYZE")
}

// BenchmarkHistory is what questions about row changes cost the server, over 10⁵ changes; with AFTERCOMMIT_LONG over 10⁷: for how many
// milliseconds a session is busy (pg_stat_database.active_time, of PostgreSQL 14), how many rows of the history it reads, and how
// many blocks of anything.
func BenchmarkHistory(b *testing.B) {
	counts := []int{100_000}
	if long() {
		counts = append(counts, 10_000_000)
	}
	for _, n := range counts {
		b.Run(fmt.Sprintf("changes=%d", n), func(b *testing.B) {
			w := newWorld(b)
			w.makePast(n)
			w.askPast(n)
		})
	}
}

// asker is a session's stores.
type asker struct {
	*changes.Store
	trail *trail.Reader
}

// question is one that people ask.
type question struct {
	name string
	ask  func(*asker) error
}

func rowAsOf(at time.Time, key string) func(*asker) error {
	return func(a *asker) error { _, err := a.RowAsOf(ctx, "t", at, key); return err }
}

func history(key string) func(*asker) error {
	return func(a *asker) error { _, err := a.History(ctx, "t", key); return err }
}

func trails(q trail.Query) func(*asker) error {
	q.Limit = 50
	return func(a *asker) error { _, err := a.trail.Page(ctx, q); return err }
}

// pages asks for the second page.
func (w *world) pages(q changes.Query) func(*asker) error {
	w.Helper()
	q.Limit = 50
	if q.XID != 0 {
		q.Limit = 5
	}
	page, err := changes.NewStore(w.bare, hooks.Postgres, nil).Page(ctx, q)
	w.must(err)
	if q.Cursor = cmp.Or(page.Next, page.Follow); q.Cursor == "" {
		w.Fatalf("%+v has one page only", q)
	}
	return func(a *asker) error { _, err := a.Page(ctx, q); return err }
}

// rowAfter asks for a row after the nth of its changes.
func (w *world) rowAfter(key string, nth int) func(*asker) error {
	w.Helper()
	list, err := changes.NewStore(w.bare, hooks.Postgres, nil).History(ctx, "t", key)
	w.must(err)
	return func(a *asker) error { _, err := a.RowAfter(ctx, list[nth]); return err }
}

// questions are about a history of n changes.
func (w *world) questions(n int) []question {
	w.Helper()
	middle, late := pastBegan.Add(pastTime/2), pastBegan.Add(pastTime*99/100)
	row := fmt.Sprint(n / 400)
	in := time.Duration(n/40) * (pastTime / time.Duration(n/20))
	tx := changes.Query{XID: firstPast + int64(n/40), TxStartedAt: pastBegan.Add(in)}
	return []question{
		{"Page of all", w.pages(changes.Query{})},
		{"Page of all, the oldest first", w.pages(changes.Query{OldestFirst: true})},
		{"Page of a table", w.pages(changes.Query{Tables: []string{"t"}})},
		{"Page of a time", w.pages(changes.Query{From: middle, To: late})},
		{"Page of a row", w.pages(changes.Query{Tables: []string{"t"}, Key: []string{row}})},
		{"Page of a row with 10,000 changes", w.pages(changes.Query{Tables: []string{"t"}, Key: []string{"-1"}})},
		{"Page of a transaction", w.pages(tx)},
		{"Page of a large transaction", w.pages(changes.Query{XID: largePast, TxStartedAt: middle})},
		{"Page of an operation", w.pages(changes.Query{Ops: []changes.Op{changes.Update}})},
		{"Page of a rare operation", w.pages(changes.Query{Ops: []changes.Op{changes.Delete}})},
		{"Page of a rare value", w.pages(changes.Query{New: []changes.FieldValue{{Field: "status", Text: "-7"}}})},
		{"Page of a text", w.pages(changes.Query{Text: []string{"99"}})},
		{"Page of an actor", w.pages(changes.Query{ActorType: hooks.User, ActorID: "7"})},
		{"Page of an unknown actor", func(a *asker) error {
			_, err := a.Page(ctx, changes.Query{ActorType: hooks.User, ActorID: "-7", Limit: 50})
			return err
		}},
		{"Page of a correlation", func(a *asker) error {
			_, err := a.Page(ctx, changes.Query{CorrelationID: fmt.Sprint(n / 40), Limit: 50})
			return err
		}},
		{"Page without a table", w.pages(changes.Query{Not: []changes.Query{{Tables: []string{"u"}}}})},
		{"Following", func(a *asker) error {
			_, err := a.Page(ctx, changes.Query{OldestFirst: true, From: late, Limit: 50})
			return err
		}},
		{"trail, all", trails(trail.Query{})},
		{"trail, a table", trails(trail.Query{Tables: []string{"t"}})},
		{"trail, a row", trails(trail.Query{Tables: []string{"t"}, Key: []string{row}})},
		{"trail, an actor", trails(trail.Query{ActorType: hooks.User, ActorID: "7"})},
		{"trail, a target that is no table", func(a *asker) error {
			_, err := a.trail.Page(ctx, trail.Query{Tables: []string{"invoice"}})
			if errors.Is(err, changes.ErrNotCaptured) {
				return nil
			}
			return err
		}},
		{"trail, a table and a target that is none", trails(trail.Query{Tables: []string{"t", "invoice"}, From: middle})},
		{"History of a row", history(row)},
		{"History of a row with 10,000 changes", history("-1")},
		{"RowAsOf the middle", rowAsOf(middle, row)},
		{"RowAsOf the last time", rowAsOf(late, row)},
		{"RowAsOf the middle of 10,000 changes", rowAsOf(middle, "-1")},
		{"RowAsOf the last of 10,000 changes", rowAsOf(late, "-1")},
		{"RowAsOf the first of 10,000 changes", rowAsOf(pastBegan.Add(pastTime/100), "-1")},
		{"RowAfter", w.rowAfter(row, 50)},
		{"RowAfter of 10,000 changes", w.rowAfter("-1", 5000)},
		{"RowAfter the last of 10,000 changes", w.rowAfter("-1", 9990)},
		{"Transaction", func(a *asker) error { _, err := a.Transaction(ctx, tx.XID, tx.TxStartedAt, 100); return err }},
		{"Transaction, the first 100 of a large one", func(a *asker) error { _, err := a.Transaction(ctx, largePast, middle, 100); return err }},
		{"Breaks", func(a *asker) error { _, err := a.Breaks(ctx, "t"); return err }},
		{"TableAsOf, the first row", func(a *asker) error {
			for row, err := range a.TableAsOf(ctx, "t", middle) {
				if row == nil {
					return err
				}
				break // whether it is known what the row was, or not
			}
			return nil
		}},
	}
}

// askPast asks what people ask, and prints a table.
func (w *world) askPast(n int) {
	w.Helper()
	w.Logf("%-44s %9s %8s %8s", "", "ms", "rows", "blocks")
	for _, q := range w.questions(n) {
		const calls = 8
		var list []cost
		for range 3 {
			once, often := w.session(q.ask, 1), w.session(q.ask, 1+calls)
			list = append(list, cost{(often.ms - once.ms) / calls, (often.rows - once.rows) / calls, (often.blocks - once.blocks) / calls})
		}
		slices.SortFunc(list, func(a, b cost) int { return cmp.Compare(a.ms, b.ms) })
		w.Logf("%-44s %9.2f %8.0f %8.0f", q.name, list[1].ms, list[1].rows, list[1].blocks)
		if b, ok := w.TB.(*testing.B); ok {
			report(b, "ms/"+q.name, list[1].ms)
		}
	}
}

// cost is what a session has taken.
type cost struct{ ms, rows, blocks float64 }

// session asks on a connection of its own, and closes it, because the server counts what a session has taken when that ends.
func (w *world) session(ask func(*asker) error, calls int) cost {
	w.Helper()
	before := w.spent()
	db := dbtest.Open(w, "postgres", w.dsn)
	db.SetMaxOpenConns(1)
	a := &asker{Store: changes.NewStore(db, hooks.Postgres, nil)}
	a.trail = trail.NewReader(threadline.NewStore(db, hooks.Postgres, nil), a.Store)
	for range calls {
		w.must(ask(a))
	}
	w.must(db.Close())
	after := w.spent()
	return cost{after.ms - before.ms, after.rows - before.rows, after.blocks - before.blocks}
}

// spent is what sessions that have ended have taken.
func (w *world) spent() (c cost) {
	w.Helper()
	c.ms = w.active()
	w.must(w.bare.QueryRowContext(ctx, `SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables WHERE schemaname = 'threadline'`).Scan(&c.rows))
	w.must(w.bare.QueryRowContext(ctx, "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()").Scan(&c.blocks))
	return c
}
