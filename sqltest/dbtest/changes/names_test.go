package changes_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// hostile are names of columns that what is generated uses for something else, or that could end a literal, a
// quoted name, a format or a comment.
var hostile = []string{
	"old", "new", "OLD", "NEW", "o", "n", "t", "c", "r", "a", "k", "u", "p", "m", "d", "v", "x", "c1", "c2", "o1", "n1", "at", "key", "former_key", "changed", "old_row", "new_row", "cut", "columns",
	"step", "first", "shape_id", "long", "fits", "wrong", "list", "mark", "system", "role", "application", "client", "inner_key", "outer_key", "tg_op", "TG_OP", "tg_relid", "sqlerrm",
	"old_rows", "new_rows", "pairs", "kept", "moved", "gone", "made", "before", "xid", "lsn", "op", "depth", "captured_at", "table_id", "audit_changes", "pg_catalog", "oid", "attname", "row", "null",
	`a"b`, "a'b", `a\b`, "$1", "%I", "100%", "a--b", "/*", "a;b", "a\nb", "$capture$", "Prüf", "(", "a.b", ":x", "?", "{table}",
}

// TestHostileNames: whatever the columns are called, changes are kept, moved rows have one change, and undone.
func TestHostileNames(t *testing.T) {
	with(t, func(w *world) {
		at := func(name string) string { return fmt.Sprint("v", slices.Index(hostile, name)) }
		var columns, values []string
		for _, name := range hostile {
			columns = append(columns, ident(name)+" text")
			values = append(values, "'"+at(name)+"'")
		}
		shape := " (" + strings.Join(columns, ", ") + `, id int, PRIMARY KEY (t, o, id, "old", "a""b"))`
		w.exec("CREATE TABLE t"+shape, "CREATE TABLE o"+shape+" PARTITION BY LIST (id)", `CREATE TABLE "old" PARTITION OF o FOR VALUES IN (1)`, `CREATE TABLE "new" PARTITION OF o FOR VALUES IN (2)`)
		w.capture(capture.Table{Name: "t", Hash: []string{"inner_key", "c"}, Mask: []string{"n", "%I"}}, capture.Table{Name: "o", Hash: []string{"inner_key", "c"}, Mask: []string{"n", "%I"}})
		var updates []string
		for _, name := range hostile {
			if name != "o" {
				updates = append(updates, ident(name)+" = concat("+ident(name)+", 'x')")
			}
		}
		for _, table := range []string{"t", "o"} {
			w.exec("INSERT INTO "+table+" VALUES ("+strings.Join(values, ", ")+", 1)", "UPDATE "+table+" SET "+strings.Join(updates, ", ")+", id = 2", "UPDATE "+table+" SET r = 'y'")
			key := []string{at("t") + "x", at("o"), "2", at("old") + "x", at(`a"b`) + "x"}
			history, err := w.store.History(ctx, table, key...)
			w.must(err)
			if len(history) != 3 || history[1].Op != changes.Update || len(history[1].Fields) != len(hostile) || len(history[2].Fields) != 1 {
				w.Errorf("the history of %s is %.3000v", table, w.story(table, key...))
				continue
			}
			u, err := undo.Change(ctx, w.store, history[2])
			w.must(err)
			if len(u.Statements) != 1 {
				w.Fatalf("the undo is %s", u)
			}
			for _, s := range u.Statements {
				w.exec(s.SQL)
			}
			if got := w.text("SELECT r FROM " + table); got != at("r")+"x" {
				w.Errorf("after the undo: %s", got)
			}
			w.exec("ALTER TABLE "+table+" ADD z int", "UPDATE "+table+" SET u = 'drifted'", "DELETE FROM "+table)
			if got := w.text("SELECT string_agg(op::text, '' ORDER BY lsn) FROM threadline.audit_changes WHERE shape_id IS NULL"); got != "UD" {
				w.Errorf("in drift, %s: %s", table, got)
			}
			w.exec("DELETE FROM threadline.audit_changes")
		}
		if n := w.text("SELECT count(*) || coalesce(min(reason), '') FROM threadline.audit_gaps"); n != "0" {
			w.Errorf("gaps: %s", n)
		}
	}, dbtest.PGX)
}

func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
