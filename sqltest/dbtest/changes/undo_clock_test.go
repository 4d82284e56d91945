package changes_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// TestUndoRowSetBack: where the clock was set back, the undo of a row to a moment leads to what RowAsOf returns of that moment: what the
// last change that was captured by then has left, in the order of the row's changes.
func TestUndoRowSetBack(t *testing.T) {
	for name, changed := range map[string][]string{
		"values":               {"INSERT INTO t VALUES (1, 'a')", "UPDATE t SET v = 'b'", "UPDATE t SET v = 'c'", "UPDATE t SET v = 'd'"},
		"deleted, and made":    {"INSERT INTO t VALUES (1, 'a')", "DELETE FROM t", "INSERT INTO t VALUES (1, 'b')", "UPDATE t SET v = 'c'"},
		"deleted, and another": {"INSERT INTO t VALUES (1, 'a')", "DELETE FROM t", "INSERT INTO t VALUES (2, 'b')", "UPDATE t SET id = 1, v = 'c'"},
		"made, and moved away": {"INSERT INTO t VALUES (1, 'a')", "DELETE FROM t", "INSERT INTO t VALUES (1, 'b')", "UPDATE t SET id = 2"},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(w *world) {
				w.exec("CREATE TABLE t (id int PRIMARY KEY, v text)")
				w.capture(capture.Table{Name: "t"})
				w.exec(changed...)
				for _, minutes := range [][]int{{3, 4, 1, 2}, {2, 3, 4, 1}, {1, 4, 2, 3}} {
					start := w.moment()
					for i, n := range minutes {
						w.recaptured(i, start.Add(time.Duration(n)*time.Minute))
					}
					for to := 1; to <= 3; to++ {
						at := start.Add(time.Duration(to)*time.Minute + time.Second)
						if got, want := w.undone(at), w.pair(at, "1")+w.pair(at, "2"); got != want {
							w.Errorf("captured at %v, undone to %d: %q, want %q", minutes, to, got, want)
						}
					}
				}
			})
		})
	}
}

// recaptured sets when the n-th change was captured.
func (w *world) recaptured(n int, at time.Time) {
	w.Helper()
	w.exec(fmt.Sprintf(w.either("UPDATE threadline.audit_changes SET captured_at = '%s' WHERE lsn = (SELECT lsn FROM threadline.audit_changes ORDER BY lsn LIMIT 1 OFFSET %d)",
		"UPDATE threadline_audit_changes SET captured_at = '%s' WHERE seq = (SELECT seq FROM threadline_audit_changes WHERE held IS NULL ORDER BY seq LIMIT 1 OFFSET %d)"), at.UTC().Format("2006-01-02T15:04:05.000000Z"), n))
}

// pair is a row of t as of a moment.
func (w *world) pair(at time.Time, key string) string {
	w.Helper()
	row, err := w.store.RowAsOf(ctx, "t", at, key)
	if errors.Is(err, changes.ErrGone) || errors.Is(err, changes.ErrNotYet) {
		return ""
	}
	w.must(err)
	return "(" + row.Values[0].String() + "," + row.Values[1].String() + ")"
}

// undone are the rows of t after the undo of the row 1 to a moment, which is rolled back.
func (w *world) undone(to time.Time) (rows string) {
	w.Helper()
	u, err := undo.RowAsOf(ctx, w.store, "t", to, "1")
	w.must(err)
	if len(u.Refusals)+len(u.Conflicts) > 0 {
		return fmt.Sprint(u.Refusals, u.Conflicts)
	}
	tx, err := w.db.BeginTx(ctx, nil)
	w.must(err)
	defer tx.Rollback()
	for _, s := range u.Statements {
		_, err = tx.ExecContext(ctx, s.SQL)
		w.must(err)
	}
	w.must(tx.QueryRowContext(ctx, "SELECT coalesce("+w.either("string_agg", "group_concat")+"(r, ''), '') FROM (SELECT '(' || id || ',' || v || ')' AS r FROM t ORDER BY id) x").Scan(&rows))
	return rows
}
