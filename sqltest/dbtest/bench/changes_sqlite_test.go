package bench

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// BenchmarkSQLiteChanges is BenchmarkChanges on SQLite, in a file with a WAL and one client: the usual trigger
// keeps both rows as json_object. SQLite compiles a table's triggers with each statement, unless it is prepared.
func BenchmarkSQLiteChanges(b *testing.B) {
	for _, rows := range []int{1, 1000} {
		for _, prepared := range []bool{false, true} {
			b.Run(fmt.Sprintf("rows=%d/prepared=%t", rows, prepared), func(b *testing.B) { benchmarkSQLiteChanges(b, rows, prepared) })
		}
	}
}

func benchmarkSQLiteChanges(b *testing.B, rows int, prepared bool) {
	b.Helper()
	w := newWorldOf(b, dbtest.SQLite, 0)
	columns := []string{"id", "name", "status", "amount", "quantity", "note", "placed", "open"}
	image := func(row string) string {
		var fields []string
		for _, c := range columns {
			fields = append(fields, fmt.Sprintf("'%s', %s.%s", c, row, c))
		}
		return "json_object(" + strings.Join(fields, ", ") + ")"
	}
	w.exec("CREATE TABLE row_log (id INTEGER PRIMARY KEY, tab TEXT, op TEXT, old TEXT, new TEXT, at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')))", "CREATE INDEX row_log_at ON row_log (at)")
	tables := []string{"none", "usual", "ours"}
	for _, t := range tables {
		w.exec(fmt.Sprintf("CREATE TABLE %s (id INTEGER PRIMARY KEY, name TEXT, status TEXT, amount NUMERIC, quantity INTEGER, note TEXT, placed TEXT, open INTEGER)", t),
			fmt.Sprintf("INSERT INTO %s SELECT n, 'name ' || n, 'new', 12.5, 3, 'as soon as possible as soon as possible as soon as possible as soon as possible as soon as possible', datetime('now'), 1"+
				" FROM (WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) SELECT n FROM s)", t))
	}
	w.exec("CREATE TRIGGER row_log AFTER UPDATE ON usual BEGIN INSERT INTO row_log (tab, op, old, new) VALUES ('usual', 'U', " + image("OLD") + ", " + image("NEW") + "); END")
	installer := capture.NewInstaller(w.bare, w.e.Dialect, nil)
	w.must(installer.Migrate(ctx))
	plan, err := installer.Plan(ctx, capture.Table{Name: "ours"})
	w.must(err)
	w.must(installer.Apply(ctx, plan))
	var run []func() error
	for _, t := range tables {
		if !prepared {
			run = append(run, func() error { return w.update(w.bare, t, rows) })
			continue
		}
		update, err := w.bare.PrepareContext(ctx, updateOf(w, t))
		w.must(err)
		defer update.Close()
		run = append(run, func() error {
			_, err := update.ExecContext(ctx, updateArgs(rows)...)
			return err
		})
	}
	rates := w.alternate(1, run...)
	report(b, "tx/s", rates[0])
	report(b, "usual/none", rates[1]/rates[0])
	report(b, "ours/none", rates[2]/rates[0])
	report(b, "ours/usual", rates[2]/rates[1])
	bytes := func(tables, counted string) float64 {
		var n float64
		w.must(w.bare.QueryRowContext(ctx, "SELECT 1.0 * (SELECT sum(pgsize) FROM dbstat WHERE name LIKE ?) / max(1, (SELECT count(*) FROM "+counted+"))", tables+"%").Scan(&n))
		return n
	}
	report(b, "usual bytes", bytes("row_log", "row_log"))
	report(b, "ours bytes", bytes("threadline_audit_", "threadline_audit_changes"))
}
