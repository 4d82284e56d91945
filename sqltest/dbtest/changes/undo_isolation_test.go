package changes_test

import (
	"database/sql"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestUndoInSnapshot: an undo in a transaction that does not see what others have committed meanwhile deletes and changes none of it.
func TestUndoInSnapshot(t *testing.T) {
	for _, action := range []string{"ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE SET DEFAULT", ""} {
		t.Run(action, func(t *testing.T) {
			onPQ(t, func(w *world) {
				w.exec("CREATE TABLE parent (id int PRIMARY KEY, v text)", "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent "+action+")")
				w.capture(capture.Table{Name: "parent"}, capture.Table{Name: "child"})
				for _, level := range []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable} {
					w.exec("DELETE FROM child", "DELETE FROM parent", "INSERT INTO parent VALUES (1, 'a')")
					u := w.undoLast()
					w.clean(u)
					tx, err := w.db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
					w.must(err)
					var n int
					w.must(tx.QueryRowContext(ctx, "SELECT count(*) FROM parent").Scan(&n))
					w.exec("INSERT INTO child VALUES (1, 1)")
					ok := true
					for _, s := range u.Statements {
						result, failed := tx.ExecContext(ctx, s.SQL)
						if failed != nil {
							ok = false
							if state := hooks.SQLState(failed); state != "40001" && state != "23503" {
								t.Errorf("%s: %v", level, failed)
							}
							break
						}
						if rows, _ := result.RowsAffected(); rows != s.Rows && s.Rows != 0 {
							ok = false
							break
						}
					}
					if ok {
						w.must(tx.Commit())
					} else {
						w.must(tx.Rollback())
					}
					if got := w.content("parent", "child"); ok || got != "parent: (1,a)\nchild: (1,1)" {
						t.Errorf("%s: executed: %v: %s\n%s", level, ok, got, u)
					}
				}
			})
		})
	}
}
