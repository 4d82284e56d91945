package changes_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

const dropFunction = "DO $$ BEGIN EXECUTE (SELECT format('DROP FUNCTION threadline.%I CASCADE', p.proname) FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid WHERE g.tgrelid = '{t}'::regclass AND g.tgname LIKE 'threadline_row%'); END $$"

// disabled are ways to keep the triggers of the table {t}, or of its partition {t}_1, from firing for a time, as a restore of data or
// the loading of fixtures does, or to take them away.
var disabled = []struct {
	name          string
	partitioned   bool
	bulk          bool
	before, after string // of a write that is not captured
}{
	{"all of a table", false, false, "ALTER TABLE {t} DISABLE TRIGGER ALL", "ALTER TABLE {t} ENABLE TRIGGER ALL"},
	{"that on rows", false, false, "ALTER TABLE {t} DISABLE TRIGGER threadline_row", "ALTER TABLE {t} ENABLE TRIGGER threadline_row"},
	{"with Bulk", false, true, "ALTER TABLE {t} DISABLE TRIGGER USER", "ALTER TABLE {t} ENABLE TRIGGER USER"},
	{"of a partition", true, false, "ALTER TABLE {t}_1 DISABLE TRIGGER ALL", "ALTER TABLE {t}_1 ENABLE TRIGGER ALL"},
	{"of all partitions", true, false, "ALTER TABLE {t} DISABLE TRIGGER ALL", "ALTER TABLE {t} ENABLE TRIGGER ALL"},
	{"partition detached", true, false, "ALTER TABLE {t} DETACH PARTITION {t}_1", "ALTER TABLE {t} ATTACH PARTITION {t}_1 FOR VALUES IN (1)"},
	{"still disabled", false, false, "ALTER TABLE {t} DISABLE TRIGGER ALL", ""},
	{"still, on rows of a partition", true, false, "DO $$ BEGIN EXECUTE format('ALTER TABLE {t}_1 DISABLE TRIGGER %I', (SELECT tgname FROM pg_trigger WHERE tgrelid = '{t}_1'::regclass AND tgname LIKE 'threadline_row%')); END $$", ""},
	{"for replicas only", false, false, "ALTER TABLE {t} ENABLE REPLICA TRIGGER threadline_row", ""},
	{"dropped", false, false, "DROP TRIGGER threadline_row ON {t}", ""},
	{"dropped, that of TRUNCATE", false, false, "DROP TRIGGER threadline_truncate ON {t}", ""},
	{"dropped, one of Bulk", false, true, "DROP TRIGGER threadline_bulk_update ON {t}", ""},
	{"dropped, of a partitioned table", true, false, "DO $$ BEGIN EXECUTE format('DROP TRIGGER %I ON {t}', (SELECT tgname FROM pg_trigger WHERE tgrelid = '{t}'::regclass AND tgname LIKE 'threadline_row%')); END $$", ""},
	{"dropped with the function", false, false, dropFunction, ""},
	{"dropped with the function, of a partitioned table", true, false, dropFunction, ""},
	{"not at all", true, false, "", "UPDATE {t} SET v = 'b'"},
}

// TestDisabledForATime: that triggers were disabled, or are missing, is seen at once, and by the next plan, also if they are enabled again, and on a
// partition only. From the plan on changes are captured, and no second break is told.
func TestDisabledForATime(t *testing.T) {
	onPQ(t, func(w *world) {
		var tables []capture.Table
		each := func(f func(i int, exec func(...string))) {
			for i := range disabled {
				f(i, func(queries ...string) {
					for _, q := range queries {
						w.exec(strings.ReplaceAll(q, "{t}", "t"+strconv.Itoa(i)))
					}
				})
			}
		}
		each(func(i int, exec func(...string)) {
			if disabled[i].partitioned {
				exec("CREATE TABLE {t} (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k)", "CREATE TABLE {t}_1 PARTITION OF {t} FOR VALUES IN (1)", "CREATE TABLE {t}_2 PARTITION OF {t} FOR VALUES IN (2)")
			} else {
				exec("CREATE TABLE {t} (id int, k int, v text, PRIMARY KEY (id, k))", "CREATE VIEW {t}_1 AS SELECT * FROM {t}")
			}
			tables = append(tables, capture.Table{Name: "t" + strconv.Itoa(i), Bulk: disabled[i].bulk})
		})
		w.capture(tables...)
		each(func(i int, exec func(...string)) {
			exec("INSERT INTO {t} VALUES (1, 1, 'a')", disabled[i].before, "UPDATE {t}_1 SET v = 'b'", disabled[i].after)
		})
		broken := func(i int) {
			t.Helper()
			table, want := tables[i].Name, ""
			if disabled[i].before != "" {
				want = "\nuncaptured " + table + ": triggers were missing or disabled"
			}
			w.wantBreaks("began "+table+": its capture began"+want, table)
			if row, err := w.store.RowAsOf(ctx, table, time.Now().Add(-time.Millisecond), "1", "1"); (want != "") != errors.Is(err, changes.ErrBroken) {
				t.Errorf("%s: the row is %v, error: %v", disabled[i].name, row, err)
			}
		}
		each(func(i int, _ func(...string)) { broken(i) })
		w.capture(tables...)
		each(func(i int, exec func(...string)) {
			table := tables[i].Name
			broken(i)
			exec("UPDATE {t} SET v = 'c'")
			if got := w.story(table, "1", "1"); !strings.HasSuffix(got, "\nupdate v: b → c;") {
				t.Errorf("%s: the history is\n%s", disabled[i].name, got)
			}
		})
	})
}

// TestRestoredWithoutTriggers: where a restore has left out the triggers, the history does not say that nothing has changed since.
func TestRestoredWithoutTriggers(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, v text)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 'a')")
		r := w.elsewhere(w.e.DSN(t))
		w.dumpTo(r, "--section=pre-data", "--section=data")
		r.exec("UPDATE t SET v = 'b'")
		r.wantBreaks("began t: its capture began\nuncaptured t: triggers were missing or disabled", "t")
		if row, err := r.store.RowAsOf(ctx, "t", time.Now(), "1"); !errors.Is(err, changes.ErrBroken) {
			t.Errorf("the row is %v, error: %v", row, err)
		}
	})
}
