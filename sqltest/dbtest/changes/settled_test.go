package changes_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// TestRewrittenMeanwhile: DDL that takes rows from older snapshots, and for which a reader has waited, does not make it take them for rows that
// were never there.
func TestRewrittenMeanwhile(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b int)", "CREATE TABLE d (id int PRIMARY KEY, a int, b int) PARTITION BY RANGE (id)", "CREATE TABLE d1 PARTITION OF d FOR VALUES FROM (0) TO (100)",
			"CREATE TABLE d2 PARTITION OF d FOR VALUES FROM (100) TO (200)", "INSERT INTO t VALUES (1, 1, 1), (2, 2, 2)", "INSERT INTO d VALUES (1, 1, 1), (2, 2, 2), (101, 1, 1)")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "d"})
		w.exec("UPDATE d SET a = 20 WHERE id = 2", "UPDATE t SET a = 20 WHERE id = 2")
		at := w.clock()
		w.exec("CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t)", "INSERT INTO child VALUES (1, 1)")
		w.capture(capture.Table{Name: "child"})
		w.exec("DELETE FROM child")
		xid, startedAt := w.last()
		read := map[string]func(table string) string{
			"a row that has changed":    func(table string) string { return w.asOf(table, at, "2") },
			"a row that never changed":  func(table string) string { return w.asOf(table, at, "1") },
			"its key written otherwise": func(table string) string { return w.asOf(table, at, "01") },
			"the table": func(table string) string {
				rows, errs := w.tableAsOf(table, at)
				return fmt.Sprint(rows, errs)
			},
			"an undo": func(string) string {
				u, err := undo.Transaction(ctx, w.store, xid, startedAt)
				w.must(err)
				return u.String()
			},
		}
		while := func(ddl string, read func() string) string {
			tx, err := w.db.BeginTx(ctx, nil)
			w.must(err)
			_, err = tx.ExecContext(ctx, ddl)
			w.must(err)
			got := make(chan string, 1)
			go func() { got <- read() }()
			w.await("SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE NOT l.granted AND a.datname = current_database())")
			w.must(tx.Commit())
			return <-got
		}
		for _, table := range []string{"t", "d"} {
			for what, f := range read {
				if what == "an undo" && table == "d" {
					continue
				}
				want := f(table)
				if got := while("ALTER TABLE "+table+" ALTER b TYPE int USING b + 0", func() string { return f(table) }); got != want {
					t.Errorf("%s of %s: %s; want %s", what, table, got, want)
				}
			}
		}
		if got := while("TRUNCATE t, child", func() string { return w.asOf("t", at, "1") }); got != "the history is broken there" {
			t.Errorf("emptied: %s", got)
		}
		if got := while("ALTER TABLE d DETACH PARTITION d1", func() string { return w.asOf("d", at, "1") }); got != "the history is broken there" {
			t.Errorf("detached: %s", got)
		}
		if got := w.asOf("d", at, "101"); !strings.Contains(got, "a: 1") {
			t.Errorf("of the other partition: %s", got)
		}
		if _, errs := w.tableAsOf("d", at); len(errs) == 0 || !strings.Contains(errs[len(errs)-1].Error(), "partitioned") {
			t.Errorf("the table without a partition: %v", errs)
		}
	})
}

// TestDisabledInPart: once one of the triggers is disabled, what is not there now may have been.
func TestDisabledInPart(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE d (id int PRIMARY KEY, a int) PARTITION BY RANGE (id)", "CREATE TABLE d1 PARTITION OF d FOR VALUES FROM (0) TO (100)")
		for _, table := range []string{"r", "emptied", "many"} {
			w.exec("CREATE TABLE " + table + " (id int PRIMARY KEY, a int)")
		}
		for _, table := range []string{"d", "r", "emptied", "many"} {
			w.exec("INSERT INTO " + table + " VALUES (1, 1)")
			w.capture(capture.Table{Name: table, Bulk: table == "many"})
		}
		at := time.Now()
		row := w.text("SELECT tgname FROM pg_trigger WHERE tgrelid = 'd1'::regclass AND tgname LIKE 'threadline_row%'")
		w.exec("ALTER TABLE d1 DISABLE TRIGGER "+row, "ALTER TABLE r DISABLE TRIGGER threadline_row", "ALTER TABLE emptied DISABLE TRIGGER threadline_truncate", "ALTER TABLE many DISABLE TRIGGER threadline_bulk_delete",
			"DELETE FROM d", "DELETE FROM r", "TRUNCATE emptied", "DELETE FROM many")
		for _, table := range []string{"d", "r", "emptied", "many"} {
			if got := w.asOf(table, at, "1"); got != "the history is broken there" {
				t.Errorf("%s: %s", table, got)
			}
			if _, errs := w.tableAsOf(table, at); len(errs) != 1 {
				t.Errorf("all of %s: %v", table, errs)
			}
		}
	})
}
