package changes_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// moment is the server's clock, between what was captured before and what is captured next.
func (w *world) moment() time.Time {
	w.Helper()
	if w.e.Dialect == hooks.SQLite {
		return w.liteClock()
	}
	return w.clock()
}

// rowsOf are the rows of a table of two columns.
func (w *world) rowsOf(table string) string {
	w.Helper()
	return w.text("SELECT " + w.either("string_agg", "group_concat") + "(r, ' ') FROM (SELECT '(' || id || ',' || v || ')' AS r FROM " + table + " ORDER BY id) x")
}

// undoRows are what happened to rows 1, 2 and 3 since a moment, and what the undo of that leads to for the row that has the key 1 now.
var undoRows = map[string]struct {
	since     []string
	want      string
	conflicts []string
}{
	"the row had another key": {[]string{"UPDATE t SET id = 7 WHERE id = 2", "UPDATE t SET id = 7, v = 'x' WHERE id = 7", "UPDATE t SET id = 9 WHERE id = 1", "UPDATE t SET id = 1 WHERE id = 7"}, "(2,b) (3,c) (9,a)", nil},
	"keys were exchanged":     {[]string{"UPDATE t SET id = 7 WHERE id = 2", "UPDATE t SET id = 2 WHERE id = 1", "UPDATE t SET id = 1, v = 'x' WHERE id = 7"}, "", []string{"key taken"}},
	// All of these changes link up by keys alone: 1 to 2, 2 to 7, 7 to 1.
	"exchanged, and free again": {[]string{"UPDATE t SET id = 7 WHERE id = 2", "UPDATE t SET id = 2 WHERE id = 1", "UPDATE t SET id = 1, v = 'x' WHERE id = 7", "UPDATE t SET id = 9 WHERE id = 2"}, "(2,b) (3,c) (9,a)", nil},
	"the one before has moved":  {[]string{"UPDATE t SET id = 9 WHERE id = 1", "INSERT INTO t VALUES (1, 'x')", "UPDATE t SET v = 'y' WHERE id = 9"}, "(2,b) (3,c) (9,y)", nil},
	"deleted, and moved there":  {[]string{"DELETE FROM t WHERE id = 1", "UPDATE t SET id = 1, v = 'x' WHERE id = 2"}, "(1,a) (2,b) (3,c)", nil},
	"deleted, and made again":   {[]string{"UPDATE t SET v = 'x' WHERE id = 1", "DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (1, 'y')", "UPDATE t SET v = 'z' WHERE id = 1"}, "(1,a) (2,b) (3,c)", nil},
	"away, and back":            {[]string{"UPDATE t SET id = 9 WHERE id = 1", "INSERT INTO t VALUES (1, 'x')", "UPDATE t SET v = 'y' WHERE id = 9", "DELETE FROM t WHERE id = 1", "UPDATE t SET id = 1 WHERE id = 9"}, "(1,a) (2,b) (3,c)", nil},
	"away":                      {[]string{"UPDATE t SET id = 9, v = 'x' WHERE id = 1", "UPDATE t SET v = 'y' WHERE id = 9"}, "(1,a) (2,b) (3,c)", nil},
}

// TestUndoRowKeys: the undo of a row changes no other, which has had its key earlier and has another now.
func TestUndoRowKeys(t *testing.T) {
	for name, c := range undoRows {
		t.Run(name, func(t *testing.T) {
			both(t, func(w *world) {
				w.exec("CREATE TABLE t (id int PRIMARY KEY, v text)")
				w.capture(capture.Table{Name: "t"})
				w.exec("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
				before := w.moment()
				w.exec(c.since...)
				u, err := undo.RowAsOf(ctx, w.store, "t", before, "1")
				w.must(err)
				if c.conflicts != nil {
					w.wantConflicts(u, c.conflicts...)
					return
				}
				w.clean(u)
				w.must(w.run(u))
				if got := w.rowsOf("t"); got != c.want {
					w.Errorf("it leads to %s, want %s\n%s", got, c.want, u)
				}
			})
		})
	}
}

// TestUndoRowToKeys: the undo of what came after a change of a row leaves those alone that had its key after it and have another now.
func TestUndoRowToKeys(t *testing.T) {
	for name, c := range map[string]struct {
		since []string
		want  string
	}{
		"moved there, and away": {[]string{"DELETE FROM t WHERE id = 1", "UPDATE t SET id = 1 WHERE id = 2", "UPDATE t SET id = 8 WHERE id = 1", "UPDATE t SET v = 'x' WHERE id = 8"}, "(1,a) (3,c) (8,x)"},
		"made, and away":        {[]string{"DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (1, 'x')", "UPDATE t SET id = 8 WHERE id = 1"}, "(1,a) (2,b) (3,c) (8,x)"},
		"made, away, and made":  {[]string{"DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (1, 'x')", "UPDATE t SET id = 8 WHERE id = 1", "INSERT INTO t VALUES (1, 'y')"}, "(1,a) (2,b) (3,c) (8,x)"},
		"away, gone, and made":  {[]string{"UPDATE t SET id = 9 WHERE id = 1", "DELETE FROM t WHERE id = 9", "INSERT INTO t VALUES (9, 'x')"}, "(1,a) (2,b) (3,c)"},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(w *world) {
				w.exec("CREATE TABLE t (id int PRIMARY KEY, v text)")
				w.capture(capture.Table{Name: "t"})
				w.exec("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
				history, err := w.store.History(ctx, "t", "1")
				w.must(err)
				w.exec(c.since...)
				u, err := undo.RowAfter(ctx, w.store, history[0])
				w.must(err)
				w.clean(u)
				w.must(w.run(u))
				if got := w.rowsOf("t"); got != c.want {
					w.Errorf("it leads to %s, want %s\n%s", got, c.want, u)
				}
			})
		})
	}
}

// TestHistoryAwayAndBack: what happened to a row before it had its key again is told once, behind what happened under the key meanwhile,
// and on SQLite in the order of the writes.
func TestHistoryAwayAndBack(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, v text)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 'a')")
		w.exec(undoRows["away, and back"].since...)
		history, err := w.store.History(ctx, "t", "1")
		w.must(err)
		var got []string
		for _, c := range history {
			got = append(got, string(c.Op)+" "+c.Key[0])
		}
		want := w.either("insert 1, delete 1, insert 1, update 9, update 9, update 1", "insert 1, update 9, insert 1, update 9, delete 1, update 1")
		if strings.Join(got, ", ") != want {
			w.Errorf("%s, want %s", strings.Join(got, ", "), want)
		}
	})
}
