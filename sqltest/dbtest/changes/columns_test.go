package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// TestColumnsExchanged: columns that have exchanged their names are not taken for one another.
func TestColumnsExchanged(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text, b text)", "INSERT INTO t VALUES (1, 'a1', 'b1'), (2, 'a1', 'b1')")
		w.capture(capture.Table{Name: "t"})
		first := w.clock()
		w.exec("UPDATE t SET a = 'a2' WHERE id = 1")
		xid, startedAt := w.last()
		then := w.clock()
		w.exec("ALTER TABLE t RENAME a TO c", "ALTER TABLE t RENAME b TO a", "ALTER TABLE t RENAME c TO b")
		for range 2 { // before the next plan, and after it
			u, err := undo.Transaction(ctx, w.store, xid, startedAt)
			w.must(err)
			w.clean(u)
			if got := u.String(); !strings.Contains(got, `SET "b" = E'a1'`) || !strings.Contains(got, `ROW("b")`) {
				w.Errorf("the undo is\n%s", got)
			}
			for key, want := range map[string]string{"1": "a: a2; b: b1", "2": "a: a1; b: b1"} {
				if got := w.asOf("t", then, key); !strings.HasSuffix(got, want) {
					w.Errorf("row %s as of then: %s, want %s", key, got, want)
				}
			}
			w.capture(capture.Table{Name: "t"})
		}
		w.exec("UPDATE t SET a = 'b2'")
		for key, want := range map[string]string{"1": "a: a1; b: b1", "2": "a: a1; b: b1"} {
			if got := w.asOf("t", first, key); !strings.HasSuffix(got, want) {
				w.Errorf("row %s as of first: %s, want %s", key, got, want)
			}
		}
		for key, want := range map[string]string{"1": "b: a2; a: b2", "2": "b: a1; a: b2"} {
			if got := w.asOf("t", w.clock(), key); !strings.HasSuffix(got, want) {
				w.Errorf("row %s as of now: %s, want %s", key, got, want)
			}
		}
		w.wantBreaks("began t: its capture began\nreshaped t: column \"b\" was called \"a\", column \"a\" was called \"b\"", "t")
		u, err := undo.RowAsOf(ctx, w.store, "t", first, "1")
		w.must(err)
		w.clean(u)
		w.must(w.run(u))
		if got := w.content("t"); got != "t: (1,a1,b1) (2,a1,b2)" {
			w.Error(got)
		}
	})
}

// TestColumnMadeAgain: a column that was dropped and made again under its name is another.
func TestColumnMadeAgain(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)", "INSERT INTO t VALUES (1, 'old')")
		w.capture(capture.Table{Name: "t"})
		first := w.clock()
		w.exec("ALTER TABLE t DROP a", "ALTER TABLE t ADD a text DEFAULT 'new'")
		w.capture(capture.Table{Name: "t"})
		if got := w.asOf("t", first, "1"); !strings.HasSuffix(got, "id: 1; a: (unknown)") {
			w.Error(got)
		}
		w.exec("UPDATE t SET a = 'newer'")
		if got := w.asOf("t", first, "1"); !strings.HasSuffix(got, "id: 1; a: (unknown)") {
			w.Error(got)
		}
		w.wantBreaks("began t: its capture began\nreshaped t: column \"a\" was added (another had its name before)", "t")
	})
}

// TestKeyMadeAgain: rows are not told apart by a key that another column has now.
func TestKeyMadeAgain(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)", "INSERT INTO t VALUES (1, 'x'), (2, 'y')")
		w.capture(capture.Table{Name: "t"})
		w.exec("UPDATE t SET a = 'z' WHERE id = 1")
		xid, startedAt := w.last()
		then := w.clock()
		w.exec("ALTER TABLE t DROP id", "ALTER TABLE t ADD id int", "UPDATE t SET id = CASE a WHEN 'y' THEN 1 ELSE 2 END")
		w.wantStory("update a: x → z;\nupdate (drifted) a: y → y; id: NULL → 1;\nupdate (drifted) a: z → z; id: NULL → 2;", "t", "1")
		w.exec("ALTER TABLE t ADD PRIMARY KEY (id)")
		w.capture(capture.Table{Name: "t"})
		for _, key := range []string{"1", "2"} {
			if got := w.asOf("t", then, key); got != changes.ErrBroken.Error() {
				w.Errorf("row %s: %s", key, got)
			}
		}
		u, err := undo.Transaction(ctx, w.store, xid, startedAt)
		w.must(err)
		if len(u.Refusals) == 0 {
			w.Errorf("%s", u)
		}
	})
}

// TestColumnsOfPlaces: the numbers of columns are not compared with those of another place, and shapes without
// numbers are read by names.
func TestColumnsOfPlaces(t *testing.T) {
	for name, c := range map[string]string{
		"restored":       "UPDATE threadline.audit_captures SET place = '1/2/3'; UPDATE threadline.audit_shapes SET shape = replace(replace(replace(shape::text, '\"number\":2', '\"number\":9'), '\"number\":3', '\"number\":2'), '\"number\":9', '\"number\":3')::json",
		"without number": "UPDATE threadline.audit_shapes SET shape = regexp_replace(shape::text, ',\"number\":[0-9]+', '', 'g')::json",
	} {
		t.Run(name, func(t *testing.T) {
			onPQ(t, func(w *world) {
				w.exec("CREATE TABLE t (id int PRIMARY KEY, a text, b text)", "INSERT INTO t VALUES (1, 'a1', 'b1')")
				w.capture(capture.Table{Name: "t"})
				w.exec("UPDATE t SET a = 'a2'")
				xid, startedAt := w.last()
				w.exec(c)
				u, err := undo.Transaction(ctx, w.store, xid, startedAt)
				w.must(err)
				w.clean(u)
				if got := u.String(); !strings.Contains(got, `SET "a" = E'a1'`) {
					w.Errorf("the undo is\n%s", got)
				}
			})
		})
	}
}

// TestRenamed: a row after a change from before its table was renamed, and the name in changes that have drifted.
func TestRenamed(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 'x')", "ALTER TABLE t RENAME TO u", "ALTER TABLE u ADD b int", "UPDATE u SET a = 'y'")
		for range 2 {
			history, err := w.store.History(ctx, "u", "1")
			w.must(err)
			for i, want := range []string{"a: x", "a: y; b: NULL"} {
				row, err := w.store.RowAfter(ctx, history[i])
				if err != nil || !strings.HasSuffix(row.String(), want) {
					w.Errorf("after change %d: %v, %v, want %s", i, row, err, want)
				}
			}
			if c := history[1]; !c.Drifted || c.Schema != "public" || c.Table == "" {
				w.Errorf("a change that has drifted: %s.%s, %v", c.Schema, c.Table, c.Drifted)
			}
			w.exec("CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY)") // which is another table
			w.capture(capture.Table{Name: "u"})
		}
		history, err := w.store.History(ctx, "u", "1")
		w.must(err)
		w.exec("DROP TABLE u")
		row, err := w.store.RowAfter(ctx, history[0])
		if err != nil || !strings.HasSuffix(row.String(), "id: 1; a: x") {
			w.Errorf("of a table that is gone: %v, %v", row, err)
		}
	})
}
