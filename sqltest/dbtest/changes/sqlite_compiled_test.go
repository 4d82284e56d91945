package changes_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// compiled is how many operations SQLite compiles a statement to, and which triggers are among them.
func (w *world) compiled(query string) (operations int, triggers []string) {
	w.Helper()
	rows, err := w.db.QueryContext(ctx, "EXPLAIN "+query)
	w.must(err)
	defer rows.Close()
	for ; rows.Next(); operations++ {
		var addr, p1, p2, p3, p5 int
		var operation string
		var p4, comment *string
		w.must(rows.Scan(&addr, &operation, &p1, &p2, &p3, &p4, &p5, &comment))
		if p4 != nil && strings.HasPrefix(*p4, "-- TRIGGER threadline_capture_") {
			_, when, _ := strings.Cut(strings.TrimPrefix(*p4, "-- TRIGGER threadline_capture_"), "_")
			triggers = append(triggers, when)
		}
	}
	w.must(rows.Err())
	slices.Sort(triggers)
	return operations, triggers
}

// TestSQLiteCompiled: a statement that is not prepared is compiled with its triggers each time. So a trigger is not compiled with an
// UPDATE that cannot concern it, and the others have few operations.
func TestSQLiteCompiled(t *testing.T) {
	all := []string{"let_go", "moves", "settle", "update"}
	for _, c := range []struct {
		table, query string
		want         []string
	}{
		{"t (id INTEGER PRIMARY KEY, a, b UNIQUE)", "UPDATE t SET a = 1", []string{"let_go", "update"}},
		{"t (id INTEGER PRIMARY KEY, a, b UNIQUE)", "UPDATE t SET a = 1, B = 2", all},
		{"t (id INTEGER PRIMARY KEY, a, b UNIQUE)", "UPDATE t SET rowid = 1", all},
		{"t (id PRIMARY KEY, a, b UNIQUE) WITHOUT ROWID", "UPDATE t SET a = 1", []string{"let_go", "update"}},
		{"t (id PRIMARY KEY, a, b UNIQUE) WITHOUT ROWID", "UPDATE t SET id = 1", all},
		{"t (id INTEGER PRIMARY KEY, a, b); CREATE UNIQUE INDEX i ON t (abs(b))", "UPDATE t SET a = 1", []string{"moves", "settle", "update"}},
	} {
		w := lite(t)
		w.exec("CREATE TABLE " + c.table)
		w.capture(capture.Table{Name: "t"})
		if _, got := w.compiled(c.query); !slices.Equal(got, c.want) {
			w.Errorf("%s: %s is compiled with %v, want %v", c.table, c.query, got, c.want)
		}
	}
	w := lite(t)
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, status TEXT, amount NUMERIC, quantity INTEGER, note TEXT, placed TEXT, open INTEGER)")
	w.capture(capture.Table{Name: "t"})
	for query, most := range map[string]int{"UPDATE t SET status = 'a' WHERE id = 1": 600, "INSERT INTO t (name) VALUES ('a')": 1400, "DELETE FROM t WHERE id = 1": 450} {
		if n, _ := w.compiled(query); n > most {
			w.Errorf("%s: %d operations", query, n)
		}
	}
}

// TestSQLiteEqualNumbers: an integer and a real that are equal differ, in a column of any type that can have both.
func TestSQLiteEqualNumbers(t *testing.T) {
	const least = "-9223372036854775808"
	for _, c := range []struct{ table, from, to, want string }{
		{"t (id INTEGER PRIMARY KEY, v INTEGER)", least, least + ".0", "integer real"},
		{"t (id INTEGER PRIMARY KEY, v NUMERIC)", least, least + ".0", "integer real"},
		{"t (id INTEGER PRIMARY KEY, v DECIMAL(10, 2))", least, least + ".0", "integer real"},
		{"t (id INTEGER PRIMARY KEY, v)", "1", "1.0", "integer real"},
		{"t (id INTEGER PRIMARY KEY, v BLOB)", "1.0", "1", "real integer"},
		{"t (id INTEGER PRIMARY KEY, v ANY) STRICT", "1", "1.0", "integer real"},
		{"t (id INTEGER PRIMARY KEY, v FLOATING POINT)", least, least + ".0", "integer real"}, // its type has INT in it
		{"t (id INTEGER PRIMARY KEY, v TEXT)", "1", "1.0", "text text"},
		{"t (id INTEGER PRIMARY KEY, v TEXT)", "X'31'", "1", "blob text"},
		{"t (id INTEGER PRIMARY KEY, v REAL)", "1", "'1x'", "real text"},
		{"t (id INT PRIMARY KEY, v)", "1", "1.0", "integer real"},
		{"t (v PRIMARY KEY, id)", "1", "1.0", "integer real"},
		{"t (v PRIMARY KEY, id) WITHOUT ROWID", "1", "1.0", "integer real"},
	} {
		w := lite(t)
		w.exec("CREATE TABLE "+c.table, "INSERT INTO t (id, v) VALUES (1, "+c.from+")")
		w.capture(capture.Table{Name: "t"})
		w.exec("UPDATE t SET v = " + c.to)
		if got := w.text("SELECT coalesce(group_concat(typeof(old) || ' ' || typeof(new)), '') FROM threadline_audit_values"); got != c.want {
			w.Errorf("%s: from %s to %s is kept as %q, want %q", c.table, c.from, c.to, got, c.want)
		}
		w.exec("UPDATE t SET v = v")
		if n := w.text("SELECT count(*) FROM threadline_audit_changes"); n != "1" {
			w.Errorf("%s: what is the same is kept", c.table)
		}
	}
}

// TestSQLiteWideReplaced: of a table of many columns, each value of a row that is replaced is kept, and each that it had.
func TestSQLiteWideReplaced(t *testing.T) {
	const columns = 120
	for _, of := range []string{"t (id INTEGER PRIMARY KEY, %s)", "t (id TEXT PRIMARY KEY, %s) WITHOUT ROWID"} {
		w := lite(t)
		var names, values []string
		for n := range columns {
			names, values = append(names, fmt.Sprintf("c%d", n)), append(values, fmt.Sprintf("'v%d'", n))
		}
		w.exec("CREATE TABLE " + fmt.Sprintf(of, strings.Join(names, ", ")))
		w.capture(capture.Table{Name: "t", Mask: []string{"c7", "c119"}})
		w.exec("INSERT INTO t VALUES (1, "+strings.Join(values, ", ")+")", "REPLACE INTO t (id) VALUES (1)")
		for op, column := range map[string]string{"I": "new", "D": "old"} {
			got := w.text("SELECT group_concat(coalesce(" + column + ", 'masked'), ' ') FROM (SELECT v.* FROM threadline_audit_values v JOIN threadline_audit_changes c ON c.seq = v.change" +
				" WHERE c.seq = (SELECT min(f.seq) FROM threadline_audit_changes f WHERE f.op = '" + op + "' AND f.held IS NULL) ORDER BY v.field)")
			want := strings.NewReplacer("'v7'", "masked", "'v119'", "masked", "'", "").Replace("1 " + strings.Join(values, " "))
			if got != want {
				w.Errorf("%s: of the %s is kept %s", of, op, got)
			}
		}
	}
}

// TestSQLiteLetGo: a row that is held is let go by an UPDATE of whichever column. That the trigger for this is gone is seen; that an
// earlier version made none is no gap, but the next plan makes it.
func TestSQLiteLetGo(t *testing.T) {
	for _, table := range []string{"t (id INTEGER PRIMARY KEY, u UNIQUE, v)", "t (id PRIMARY KEY, u UNIQUE, v) WITHOUT ROWID", "t (id INTEGER PRIMARY KEY, u, v); CREATE UNIQUE INDEX i ON t (abs(u))"} {
		w := lite(t)
		w.exec("CREATE TABLE " + table)
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 5, 1), (2, 6, 1)", "INSERT OR IGNORE INTO t VALUES (3, 5, 2), (4, 6, 2)", "UPDATE t SET v = 3 WHERE id = 1")
		if got := w.text("SELECT group_concat(key) FROM threadline_audit_changes WHERE held IS NOT NULL"); got != `("i2")` {
			w.Errorf("%s: %s are held", table, got)
		}
	}
	w := lite(t)
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
	w.capture(capture.Table{Name: "t"})
	name := w.text("SELECT name FROM sqlite_master WHERE name LIKE '%_let_go'")
	made := w.text("SELECT sql FROM sqlite_master WHERE name = '" + name + "'")
	w.exec("DROP TRIGGER " + name)
	if list, failed := w.store.Breaks(ctx, "t"); failed != nil || len(list) != 2 { // also that the capture began
		w.Errorf("a trigger is gone: %v, %v", list, failed)
	}
	plan, err := w.installer().Plan(ctx, capture.Table{Name: "t"})
	w.must(err)
	if len(plan.Steps) != 1 {
		w.Error("no plan makes it")
	}
	// As it was made by an earlier version.
	settle := strings.ReplaceAll(name, "_let_go", "_settle")
	body := w.text("SELECT sql FROM sqlite_master WHERE name = '" + settle + "'")
	before, after, _ := strings.Cut(body, " OF ")
	_, after, _ = strings.Cut(after, " ON ")
	w.exec("DROP TRIGGER "+settle, before+" ON "+after)
	if list, failed := w.store.Breaks(ctx, "t"); failed != nil || len(list) != 1 {
		w.Errorf("an earlier version's triggers: %v, %v", list, failed)
	}
	plan, err = w.installer().Plan(ctx, capture.Table{Name: "t"})
	w.must(err)
	if len(plan.Steps) != 1 || strings.Contains(plan.Steps[0].Why, "missing") {
		w.Errorf("the plan of an earlier version's triggers: %v", plan)
	}
	w.must(w.installer().Apply(ctx, plan))
	if list, failed := w.store.Breaks(ctx, "t"); failed != nil || len(list) != 1 || w.text("SELECT sql FROM sqlite_master WHERE name = '"+name+"'") != made {
		w.Errorf("after the plan: %v, %v", list, failed)
	}
}
