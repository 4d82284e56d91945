package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// breaks are those of a table, a line for each.
func (w *world) breaks(table string) string {
	w.Helper()
	list, err := w.store.Breaks(ctx, table)
	w.must(err)
	var lines []string
	for _, b := range list {
		if b.From.IsZero() || b.To.Before(b.From) {
			w.Errorf("a break from %s to %s", b.From, b.To)
		}
		lines = append(lines, string(b.Kind)+" "+b.Table+": "+b.Text)
	}
	return strings.Join(lines, "\n")
}

func (w *world) wantBreaks(want, table string) {
	w.Helper()
	if got := w.breaks(table); got != strings.TrimSpace(want) {
		w.Errorf("the breaks of %s are\n%s\nwant\n%s", table, got, want)
	}
}

// TestBreaksOfTables: a table that was renamed keeps its history, whether or not it is planned under its new
// name; one that was made again under an old name has its own, and says so.
func TestBreaksOfTables(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1)", "ALTER TABLE t RENAME TO u", "UPDATE u SET a = 2")
		w.wantStory("insert id: NULL → 1; a: NULL → 1;\nupdate a: 1 → 2;", "u", "1")
		// Another table has its name, while it is still captured as planned.
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 7)", "UPDATE u SET a = 3")
		w.capture(capture.Table{Name: "u"})
		w.exec("UPDATE u SET a = 4", "CREATE SCHEMA elsewhere", "ALTER TABLE u SET SCHEMA elsewhere")
		w.capture(capture.Table{Name: "elsewhere.u"})
		w.exec("UPDATE elsewhere.u SET a = 5")
		w.wantStory("insert id: NULL → 1; a: NULL → 1;\nupdate a: 1 → 2;\nupdate a: 2 → 3;\nupdate a: 3 → 4;\nupdate a: 4 → 5;", "elsewhere.u", "1")
		w.wantStory("insert id: NULL → 1; a: NULL → 7;", "t", "1")
		w.wantBreaks("began t: its capture began\nrenamed u: its name was public.t\nrenamed u: its name was public.u", "elsewhere.u")
		w.wantBreaks("began t: its capture began: another table had this name before, with a history of its own", "t")

		// Dropped, made again, and changed before it is captured. A plan for the one is not applied to the other.
		w.exec("ALTER TABLE t ADD c int")
		p, err := w.installer().Plan(ctx, capture.Table{Name: "t"})
		w.must(err)
		w.exec("DROP TABLE t", "CREATE TABLE t (id int PRIMARY KEY, a int)", "INSERT INTO t VALUES (1, 8)")
		if err := w.installer().Apply(ctx, p); err == nil || !strings.Contains(err.Error(), "made again: plan anew") {
			w.Errorf("a plan for a table that is gone: %v", err)
		}
		w.capture(capture.Table{Name: "t"})
		w.exec("UPDATE t SET a = 9")
		w.wantStory("update a: 8 → 9;", "t", "1")
		w.wantBreaks("began t: its capture began: another table had this name before, with a history of its own", "t")
		if n := w.text("SELECT count(*) FROM threadline.audit_gaps"); n != "0" {
			w.Errorf("%s gaps", n)
		}
	})
}

// TestBreaksOfCapture: what may be missing from a table's history is told.
func TestBreaksOfCapture(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b text)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1, '')", "ALTER TABLE t ALTER b TYPE bigint USING 1", "ALTER TABLE t ADD c int", "UPDATE t SET a = 2", "UPDATE t SET a = 3")
		w.capture(capture.Table{Name: "t", Mask: []string{"b"}})
		w.exec("TRUNCATE t", "ALTER TABLE t DISABLE TRIGGER threadline_row", "INSERT INTO t VALUES (2, 1, 1)", "ALTER TABLE t ENABLE TRIGGER threadline_row", "ALTER TABLE t DISABLE TRIGGER threadline_truncate")
		w.capture(capture.Table{Name: "t", Mask: []string{"b"}})
		w.lose("INSERT INTO t SELECT n, 1 FROM generate_series(10, 12) n")
		w.must(w.installer().Remove(ctx, "t"))
		w.must(w.installer().Remove(ctx, "t"))
		w.capture(capture.Table{Name: "t", Exclude: []string{"c"}})
		w.wantBreaks(`
began t: its capture began
drifted t: changes of whole rows: 2: the table had (id integer, a integer, b bigint, c integer)
reshaped t: column "b" was of type text and is bigint, column "c" was added
truncated t: all rows were removed by TRUNCATE, or those of a partition
uncaptured t: triggers were missing or disabled
lost t: changes that were not kept: 3: INSERT: could not obtain lock on relation "threadline.audit_changes"
uncaptured t: its capture was removed
uncaptured t: its capture was made again after it was removed`, "t")
	})
}

// TestBreaksOfPartitions: partitions come and go with rows that no trigger sees. One that was captured by
// itself can be attached, is not captured twice after the next plan, and can be detached again.
func TestBreaksOfPartitions(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE p (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region)", "CREATE TABLE eu PARTITION OF p FOR VALUES IN ('eu')", "CREATE TABLE us PARTITION OF p FOR VALUES IN ('us')",
			"CREATE TABLE t (id int, region text, PRIMARY KEY (id, region))", "CREATE TABLE q (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region)", "CREATE TABLE q1 PARTITION OF q FOR VALUES IN ('q1')")
		w.capture(capture.Table{Name: "p"}, capture.Table{Name: "t"}, capture.Table{Name: "q"})
		w.exec("INSERT INTO t VALUES (1, 't')", "INSERT INTO q VALUES (1, 'q1')", "ALTER TABLE p DETACH PARTITION us", "TRUNCATE us", "ALTER TABLE p ATTACH PARTITION t FOR VALUES IN ('t')", "ALTER TABLE p ATTACH PARTITION q FOR VALUES IN ('q1')")
		w.capture(capture.Table{Name: "p"})
		before := w.changes()
		w.exec("INSERT INTO p VALUES (2, 't'), (2, 'q1')", "TRUNCATE us")
		if got := w.text("SELECT count(*) - " + before + " FROM threadline.audit_changes"); got != "2" {
			w.Errorf("%s changes of two rows", got)
		}
		w.wantBreaks(`
began p: its capture began
lost p: changes that were not kept: 1: TRUNCATE: the trigger is on a table that is not captured by this function
partitioned p: detached or dropped: "public"."us"; attached or made: "public"."t", "public"."q", "public"."q1"`, "p")
		w.exec("ALTER TABLE p DETACH PARTITION t", "ALTER TABLE p DETACH PARTITION q")
		w.capture(capture.Table{Name: "p"}, capture.Table{Name: "t"}, capture.Table{Name: "q"})
		w.exec("UPDATE t SET id = 3 WHERE id = 2", "UPDATE q SET id = 3 WHERE id = 2")
		w.wantStory("insert id: NULL → 1; region: NULL → t;", "t", "1", "t")
		w.wantStory("update [2 t] to [3 t] id: 2 → 3;", "t", "3", "t")
	})
}
