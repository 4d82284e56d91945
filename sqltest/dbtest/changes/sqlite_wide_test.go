package changes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestSQLiteWide: a table of many columns is captured, read as of a time, and undone, with a key and without
// one. There a statement has at most 2,000 result columns, and an expression is at most 1,000 deep.
func TestSQLiteWide(t *testing.T) {
	const columns = 520 // of four expressions, and of up to three conditions each
	var names, sets []string
	for n := range columns {
		names, sets = append(names, fmt.Sprintf("c%d TEXT", n)), append(sets, fmt.Sprintf("c%d = c%[1]d || 'y'", n))
	}
	for name, key := range map[string]string{"keyed": "id INTEGER PRIMARY KEY", "keyless": "id INT"} {
		t.Run(name, func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE t (" + key + ", " + strings.Join(names, ", ") + ")")
			w.capture(capture.Table{Name: "t"})
			w.exec("INSERT INTO t VALUES (1" + strings.Repeat(", 'x'", columns) + ")")
			before := w.liteContent("t")
			at := w.liteClock()
			for mark, query := range []string{"UPDATE t SET " + strings.Join(sets, ", "), "DELETE FROM t"} {
				w.liteInOne(int64(10+mark), query)
				u := w.liteUndo(int64(10 + mark))
				w.clean(u)
				w.must(w.liteRun(int64(20+mark), u))
				if after := w.liteContent("t"); after != before {
					t.Errorf("%.40s…: it is undone to %.200s", query, after)
				}
				if key == "id INT" {
					continue
				}
				row, err := w.store.RowAsOf(ctx, "t", at, "1")
				if err != nil || len(row.Values) != columns+1 || *row.Values[columns].Text != "x" {
					t.Errorf("%.40s…: %v", query, err)
				}
			}
		})
	}
}
