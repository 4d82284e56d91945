package changes_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// trigger makes a trigger of the app's on t, which fires before the captures.
func (w *world) trigger(event, when, do string) {
	w.Helper()
	w.exec("CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "+do+"; RETURN NULL; END $$", "CREATE TRIGGER a_first AFTER "+event+" ON t FOR EACH ROW WHEN ("+when+") EXECUTE FUNCTION own()")
}

// wantRows fails the test unless the rows of t as of a time are these, by RowAsOf and by TableAsOf, and none has another key of some.
func (w *world) wantRows(what string, at time.Time, rows [][2]string, keys ...string) {
	w.Helper()
	is := make(map[string]string)
	var want []string
	for _, r := range rows {
		is[r[0]] = fmt.Sprintf(`"public"."t" (%s): id: %[1]s; v: %s`, r[0], r[1])
		want = append(want, "|"+r[0]+"|"+r[1])
	}
	for _, key := range keys {
		got := w.asOf("t", at, key)
		if is[key] == "" && got != changes.ErrGone.Error() && got != changes.ErrNotYet.Error() || is[key] != "" && got != is[key] {
			w.Errorf("%s: row %s: %s, want %q", what, key, got, is[key])
		}
	}
	slices.Sort(want)
	if got, errs := w.tableAsOf("t", at); !slices.Equal(got, want) || len(errs) > 0 {
		w.Errorf("%s: %s, want %s; %v", what, got, want, errs)
	}
}

// TestKeyTakenInTrigger: a trigger of the app's that fires before the captures changes the key of a row that its statement has made, or
// makes a row with the key that its statement has taken from another one. So of these changes the last one is captured first.
func TestKeyTakenInTrigger(t *testing.T) {
	for name, c := range map[string]struct {
		event, when, do string
		queries         []string
	}{
		"inserted, then moved": {
			"INSERT", "NEW.id < 100", "UPDATE t SET id = NEW.id + 100 WHERE id = NEW.id",
			[]string{"INSERT INTO t VALUES (4, 'd')", "UPDATE t SET v = 'd2' WHERE id = 104", "INSERT INTO t VALUES (1, 'a')"},
		},
		"inserted, then deleted": {
			"INSERT", "NEW.id = 4", "DELETE FROM t WHERE id = NEW.id",
			[]string{"INSERT INTO t VALUES (4, 'd')", "UPDATE t SET v = 'b2' WHERE id = 2"},
		},
		"moved, and the key given to another": {
			"UPDATE OF id", "NEW.id > 100", "INSERT INTO t VALUES (OLD.id, 'new')",
			[]string{"UPDATE t SET id = 102 WHERE id = 2", "UPDATE t SET v = v || '!' WHERE id IN (2, 102)", "UPDATE t SET id = 103 WHERE id = 3", "DELETE FROM t WHERE id = 2"},
		},
		"deleted, and made anew": {
			"DELETE", "OLD.v IN ('b', 'c')", "INSERT INTO t VALUES (OLD.id, OLD.v || ' again')",
			[]string{"DELETE FROM t WHERE id = 2", "UPDATE t SET v = 'b3' WHERE id = 2", "DELETE FROM t WHERE id = 2", "DELETE FROM t WHERE id = 3"},
		},
		"deleted, and made as it was": {
			"DELETE", "OLD.id = 3 AND pg_trigger_depth() < 2", "INSERT INTO t VALUES (OLD.id, OLD.v)",
			[]string{"DELETE FROM t", "UPDATE t SET v = 'c3' WHERE id = 3"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			oneDriver(t, func(w *world) {
				w.exec("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (2, 'b')")
				w.trigger(c.event, c.when, c.do)
				w.capture(capture.Table{Name: "t"})
				w.exec("ALTER TABLE t DISABLE TRIGGER a_first", "INSERT INTO t VALUES (3, 'c')", "ALTER TABLE t ENABLE TRIGGER a_first")
				type state struct {
					at   time.Time
					rows [][2]string
				}
				states := []state{{w.clock(), w.pairs()}}
				for _, query := range c.queries {
					w.exec(query)
					states = append(states, state{w.clock(), w.pairs()})
				}
				for n, s := range states {
					w.wantRows(fmt.Sprintf("after %d statements", n), s.at, s.rows, "1", "2", "3", "4", "101", "102", "103", "104")
				}
			})
		})
	}
}

// TestKeyOfRowThatWasChangedInBetween: an update that changes nothing makes a version of the row that no change says. So what deletes that is
// not taken for the end of another row, which had the key before it was captured.
func TestKeyOfRowThatWasChangedInBetween(t *testing.T) {
	for name, key := range map[string]string{"immediate": "PRIMARY KEY", "deferrable": "PRIMARY KEY DEFERRABLE INITIALLY DEFERRED"} {
		t.Run(name, func(t *testing.T) {
			oneDriver(t, func(w *world) {
				w.exec("CREATE TABLE t (id int "+key+", v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
				w.capture(capture.Table{Name: "t"})
				before := w.clock()
				w.inOne("INSERT INTO t VALUES (3, 'c')", "UPDATE t SET v = v WHERE id = 3", "DELETE FROM t WHERE id = 3")
				w.wantRows("not there any more", w.clock(), [][2]string{{"1", "a"}, {"2", "b"}}, "1", "2", "3")
				w.exec("INSERT INTO t VALUES (3, 'c2')")
				w.wantRows("there again", w.clock(), [][2]string{{"1", "a"}, {"2", "b"}, {"3", "c2"}}, "3")
				w.wantRows("before", before, [][2]string{{"1", "a"}, {"2", "b"}}, "3")
			})
		})
	}
}

// TestKeyOfRowOfCopy: statements that are captured as a whole do not say which versions of rows they have replaced. In a copy, where it is not
// known whether a key is deferrable, their order counts all the same.
func TestKeyOfRowOfCopy(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, v text)")
		c := w.copyTo(w.e.DSN(t), func(*forward.Hub) {})
		w.capture(capture.Table{Name: "t", Bulk: true})
		w.inOne("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "UPDATE t SET v = v || '2'", "DELETE FROM t WHERE id = 1")
		w.inOne("INSERT INTO t VALUES (3, 'c')", "DELETE FROM t WHERE id = 3")
		c.drain()
		at := w.clock()
		for _, s := range []*world{w, c.there} {
			for key, want := range map[string]string{"1": changes.ErrGone.Error(), "2": `"public"."t" (2): id: 2; v: b2`, "3": changes.ErrGone.Error()} {
				if got := s.asOf("t", at, key); got != want {
					t.Errorf("row %s: %s, want %s", key, got, want)
				}
			}
		}
	})
}
