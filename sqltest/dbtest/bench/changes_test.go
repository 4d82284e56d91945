package bench

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// BenchmarkChanges: one UPDATE of one field of 1 row or 1,000, of a table of 8 columns: with the
// trigger that keeps both rows as to_jsonb, as most audit triggers do, and with ours, by row and by statement (Table.Bulk), over
// the rate without a trigger.
func BenchmarkChanges(b *testing.B) {
	for _, rows := range []int{1, 1000} {
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("rows=%d/clients=%d", rows, clients), func(b *testing.B) { benchmarkChanges(b, rows, clients) })
		}
	}
}

func benchmarkChanges(b *testing.B, rows, clients int) {
	b.Helper()
	w := newWorld(b)
	w.exec(`CREATE TABLE row_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tab text, op text, old jsonb, new jsonb, at timestamptz DEFAULT clock_timestamp(), role text DEFAULT session_user)`,
		`CREATE INDEX ON row_log (at)`,
		`CREATE FUNCTION row_log() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO row_log (tab, op, old, new) VALUES (TG_TABLE_NAME, TG_OP, to_jsonb(OLD), to_jsonb(NEW)); RETURN NULL; END $$`)
	tables := []string{"none", "usual", "ours", "bulk"}
	for _, t := range tables {
		w.exec(fmt.Sprintf(`CREATE TABLE %s (id bigint PRIMARY KEY, name text, status text, amount numeric, quantity int, note text, placed timestamptz, open boolean)`, t),
			fmt.Sprintf(`INSERT INTO %s SELECT n, 'name ' || n, 'new', 12.50, 3, repeat('as soon as possible ', 6), now(), true FROM generate_series(1, 20000) n`, t), "ANALYZE "+t)
	}
	w.exec(`CREATE TRIGGER row_log AFTER INSERT OR UPDATE OR DELETE ON usual FOR EACH ROW EXECUTE FUNCTION row_log()`)
	for _, t := range []string{"ours", "bulk"} {
		installer := capture.NewInstaller(w.bare, hooks.Postgres, &capture.Options{Schema: "trail_" + t})
		w.must(installer.Migrate(ctx))
		plan, err := installer.Plan(ctx, capture.Table{Name: t, Bulk: t == "bulk"})
		w.must(err)
		w.must(installer.Apply(ctx, plan))
	}
	var run []func() error
	for _, t := range tables {
		run = append(run, func() error { return w.update(w.bare, t, rows) })
	}
	rates := w.alternate(clients, run...)
	report(b, "tx/s", rates[0])
	report(b, "usual/none", rates[1]/rates[0])
	report(b, "ours/none", rates[2]/rates[0])
	report(b, "ours/usual", rates[2]/rates[1])
	report(b, "bulk/none", rates[3]/rates[0])
	report(b, "bulk/usual", rates[3]/rates[1])
	report(b, "usual bytes", w.bytes("row_log"))
	report(b, "ours bytes", w.bytes("trail_ours.audit_changes"))
	report(b, "bulk bytes", w.bytes("trail_bulk.audit_changes"))
}

// update changes a field of rows that are beside each other.
func (w *world) update(db *sql.DB, table string, rows int) error {
	_, err := db.ExecContext(ctx, updateOf(w, table), updateArgs(rows)...)
	return err
}

func updateOf(w *world, table string) string {
	return w.e.Rebind("UPDATE " + table + " SET status = ? WHERE id BETWEEN ? AND ?")
}

func updateArgs(rows int) []any {
	first := 1 + rand.N(20000/rows)*rows
	return []any{fmt.Sprint(time.Now().UnixNano() % 1000), first, first + rows - 1}
}

// bytes is how many bytes a row of a table takes, with its indexes.
func (w *world) bytes(table string) float64 {
	w.Helper()
	var n float64
	w.must(w.bare.QueryRowContext(ctx, "SELECT pg_total_relation_size('"+table+"') / greatest(1, (SELECT count(*) FROM "+table+"))").Scan(&n))
	return n
}
