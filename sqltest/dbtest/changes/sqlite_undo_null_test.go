package changes_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// TestSQLiteUndoNullKey: whichever change has given a row a key with NULL in it, or taken it, the undo is refused.
func TestSQLiteUndoNullKey(t *testing.T) {
	for _, statements := range [][]string{
		{"UPDATE t SET id = NULL WHERE id = 'x'"},
		{"UPDATE OR REPLACE t SET id = NULL, a = 7"},
		{"UPDATE t SET id = 'y' WHERE id IS NULL"},
		{"UPDATE t SET id = NULL WHERE id = 'x'", "INSERT INTO t VALUES ('x', 3)"},
		{"UPDATE t SET id = NULL, a = 7 WHERE id = 'x'", "UPDATE t SET a = 9 WHERE a = 7"},
		{"UPDATE t SET id = NULL, a = 7 WHERE id = 'x'", "UPDATE t SET id = 'z' WHERE a = 7"},
		{"UPDATE t SET id = NULL", "DELETE FROM t"},
		{"INSERT INTO t VALUES ('n', 5)", "UPDATE t SET id = NULL WHERE a = 5"},
		{"INSERT INTO t VALUES (NULL, 5)", "UPDATE t SET id = 'q' WHERE a = 5"},
		{"DELETE FROM t WHERE id IS NULL", "INSERT INTO t VALUES (NULL, 5)"},
	} {
		w := lite(t)
		w.exec("CREATE TABLE t (id TEXT PRIMARY KEY, a)", "INSERT INTO t VALUES ('x', 1), (NULL, 2)")
		w.capture(capture.Table{Name: "t"})
		w.liteInOne(1, statements...)
		u, err := undo.Transaction(ctx, w.store, 1, time.Now())
		w.must(err)
		if len(u.Statements) > 0 || !strings.Contains(fmt.Sprint(u.Refusals), "NULL in it") {
			t.Errorf("%v: %s", statements, u)
		}
		tx, err := w.store.Transaction(ctx, 1, time.Now(), 10)
		w.must(err)
		for _, c := range tx.Changes {
			u, err := undo.Change(ctx, w.store, c)
			w.must(err)
			if nullKey := len(c.Key) == 0 || len(c.Fields) > 0 && c.Fields[0].Name == "id" && (c.Op == "update") && (c.Fields[0].Old.Text == nil || c.Fields[0].New.Text == nil); nullKey != (len(u.Refusals) > 0) {
				t.Errorf("%v: %v: %s", statements, c, u)
			}
		}
	}
}
