package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestRetyped: a column that has got a type of which equal values differ is compared by bytes before the next plan, too.
func TestRetyped(t *testing.T) {
	for _, bulk := range []bool{false, true} {
		oneDriver(t, func(w *world) {
			w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b text NOT NULL)", "CREATE TABLE p (id int PRIMARY KEY, a int, b text NOT NULL) PARTITION BY LIST (id)", "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)")
			w.capture(capture.Table{Name: "t", Bulk: bulk}, capture.Table{Name: "p"})
			for _, table := range []string{"t", "p"} {
				w.exec("INSERT INTO "+table+" VALUES (1, 1, '1 day')", "ALTER TABLE "+table+" ALTER a TYPE numeric, ALTER b TYPE interval USING b::interval",
					"UPDATE "+table+" SET a = 1.00", "UPDATE "+table+" SET b = '24 hours'")
				if story := w.story(table, "1"); strings.Count(story, "\n") != 2 || !strings.HasSuffix(story, "update a: 1 → 1.00;\nupdate b: 1 day → 24:00:00;") {
					w.Errorf("%s:\n%s", table, story)
				}
			}
		})
	}
}
