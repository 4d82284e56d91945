package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// dumped does to the table t what the shell's .dump and a restore do: its rows have other numbers, and its triggers come back when the
// rows are there.
func (w *world) dumped() {
	w.Helper()
	var restore []string
	rows, err := w.db.QueryContext(ctx, "SELECT sql FROM sqlite_master WHERE tbl_name = 't' AND type IN ('table', 'trigger') ORDER BY type = 'trigger', rowid")
	w.must(err)
	for rows.Next() {
		var text string
		w.must(rows.Scan(&text))
		restore = append(restore, text)
	}
	w.must(rows.Err())
	w.must(rows.Close())
	w.exec("CREATE TABLE kept AS SELECT * FROM t ORDER BY rowid", "DROP TABLE t", restore[0], "INSERT INTO t SELECT * FROM kept ORDER BY rowid", "DROP TABLE kept")
	w.exec(restore[1:]...)
}

// TestSQLiteDumped: a dump numbers the rows of a table anew, so one that was held has another number after it. No row is taken for replaced
// that was not, and one that was is so once.
func TestSQLiteDumped(t *testing.T) {
	tests := map[string]struct {
		table    string
		mask     []string
		migrated bool
	}{
		"key":              {"t (k TEXT PRIMARY KEY, v)", nil, false},
		"no key":           {"t (k TEXT UNIQUE, v)", nil, false},
		"two indexes":      {"t (k TEXT PRIMARY KEY, v UNIQUE)", nil, false},
		"masked, migrated": {"t (k TEXT PRIMARY KEY, v UNIQUE)", []string{"v"}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE " + tt.table)
			w.capture(capture.Table{Name: "t", Mask: tt.mask})
			w.exec("INSERT INTO t VALUES ('a', 1), ('b', 2), ('c', 3), ('d', 4)", "INSERT OR IGNORE INTO t VALUES ('c', 9), ('d', 4), ('x', 3)", "DELETE FROM t WHERE k IN ('a', 'b')")
			w.dumped()
			if tt.migrated {
				w.must(w.installer().Migrate(ctx))
			}
			w.exec("DELETE FROM threadline_audit_changes WHERE held IS NULL",
				"REPLACE INTO t VALUES ('d', 9)", "INSERT INTO t VALUES ('e', 5), ('f', 6)", "UPDATE t SET v = 7 WHERE k = 'e'", "INSERT OR IGNORE INTO t VALUES ('c', 8)", "REPLACE INTO t VALUES ('c', 8)", "DELETE FROM t WHERE k = 'f'")
			got := w.text("SELECT group_concat(op || v, ' ') FROM (SELECT c.op, coalesce(v.old, v.new, 5) AS v FROM threadline_audit_changes c JOIN threadline_audit_values v ON v.change = c.seq AND v.field = CASE c.op WHEN 'U' THEN 2 ELSE 1 END WHERE c.held IS NULL ORDER BY c.seq)")
			if want := "Dd Id Ie If U5 Dc Ic Df"; got != want {
				t.Errorf("the changes are %s, want %s", got, want)
			}
		})
	}
}

// TestSQLiteIgnored: a trigger that the app makes after those of the capture fires before them, and may keep them from firing. What is
// missing then is a break, before the next plan and after it.
func TestSQLiteIgnored(t *testing.T) {
	for name, tt := range map[string]struct {
		trigger string
		broken  bool
	}{
		"after":      {"AFTER INSERT ON t BEGIN SELECT RAISE(IGNORE); END", true},
		"in a CASE":  {"after\ninsert ON t BEGIN SELECT CASE WHEN NEW.v > 0 THEN raise ( Ignore ) END; END", true},
		"before":     {"BEFORE INSERT ON t BEGIN SELECT RAISE(IGNORE) WHERE NEW.v < 0; END", false},
		"no ignore":  {"AFTER INSERT ON t BEGIN SELECT RAISE(ABORT, 'no') WHERE NEW.v < 0; INSERT OR IGNORE INTO u VALUES (1); END", false},
		"in another": {"AFTER UPDATE ON t BEGIN SELECT RAISE(FAIL, 'no') WHERE NEW.v < 0; SELECT RAISE(IGNORE); END", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE t (k TEXT PRIMARY KEY, v)", "CREATE TABLE u (a UNIQUE)")
			w.capture(capture.Table{Name: "t"})
			w.exec("CREATE TRIGGER of_app "+tt.trigger, "INSERT INTO t VALUES ('a', 1)")
			for _, when := range []string{"before", "after"} {
				breaks, err := w.store.Breaks(ctx, "t")
				w.must(err)
				if is := len(breaks) > 1 && breaks[1].Kind == changes.Uncaptured; is != tt.broken {
					t.Errorf("%s the plan the breaks are %v", when, breaks)
				}
				w.capture(capture.Table{Name: "t"})
			}
			count := w.changes()
			if w.exec("INSERT INTO t VALUES ('b', 1)"); w.changes() == count {
				t.Error("after the plan the change is not captured")
			}
		})
	}
}
