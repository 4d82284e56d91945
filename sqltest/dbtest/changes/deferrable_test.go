package changes_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// deferrable are transactions, one after the other, in which rows get keys that others leave later.
var deferrable = map[string][][]string{
	"shifted":         {{"UPDATE t SET id = id + 1"}, {"UPDATE t SET id = id - 1"}, {"UPDATE t SET id = id - 1"}, {"UPDATE t SET id = id + 1"}},
	"swapped":         {{"UPDATE t SET id = 5 - id"}, {"UPDATE t SET id = 5 - id, v = v || '!'"}, {"UPDATE t SET id = 5 - id"}},
	"in steps":        {{"UPDATE t SET id = 2, v = 'a2' WHERE id = 1", "UPDATE t SET v = v || '!' WHERE id = 2", "UPDATE t SET id = 1 WHERE id = 2 AND v LIKE 'b%'"}},
	"inserted":        {{"INSERT INTO t VALUES (2, 'new')", "UPDATE t SET v = 'newer' WHERE v = 'new'", "DELETE FROM t WHERE v = 'b'"}},
	"through one key": {{"UPDATE t SET id = 2 WHERE id = 1", "UPDATE t SET id = 2 WHERE id = 3", "UPDATE t SET id = 7 WHERE v = 'b'", "UPDATE t SET id = 8 WHERE v = 'a'"}, {"UPDATE t SET id = 15 - id WHERE id > 5"}},
	"away, and back":  {{"UPDATE t SET id = 2 WHERE id = 1", "UPDATE t SET id = 9 WHERE v = 'a'", "UPDATE t SET id = 2, v = 'a2' WHERE id = 9", "DELETE FROM t WHERE v = 'b'"}},
}

// TestDeferrableKeys: rows and tables as of the moments before and after a transaction are what they were, though two rows have had a
// key at once in between.
func TestDeferrableKeys(t *testing.T) {
	for name, transactions := range deferrable {
		t.Run(name, func(t *testing.T) {
			with(t, func(w *world) {
				w.exec("CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text)", "INSERT INTO t VALUES (4, 'd')")
				w.capture(capture.Table{Name: "t"})
				w.exec("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
				type state struct {
					at   time.Time
					rows [][2]string
				}
				states := []state{{w.clock(), w.pairs()}}
				for _, queries := range transactions {
					w.inOne(queries...)
					states = append(states, state{w.clock(), w.pairs()})
				}
				for n, s := range states {
					var want []string
					for _, r := range s.rows {
						want = append(want, "|"+r[0]+"|"+r[1])
						if got, is := w.asOf("t", s.at, r[0]), fmt.Sprintf(`"public"."t" (%s): id: %[1]s; v: %s`, r[0], r[1]); got != is {
							w.Errorf("after %d transactions: %s, want %s", n, got, is)
						}
					}
					slices.Sort(want)
					if got, errs := w.tableAsOf("t", s.at); !slices.Equal(got, want) || len(errs) > 0 {
						w.Errorf("after %d transactions: %s, want %s; %v", n, got, want, errs)
					}
				}
			}, dbtest.PostgresEngines()[0])
		})
	}
}

// pairs are the rows of t, a column and another.
func (w *world) pairs() (rows [][2]string) {
	w.Helper()
	for line := range strings.Lines(w.text(`SELECT string_agg(concat(id, E'\t', v), E'\n') FROM t`)) {
		id, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		rows = append(rows, [2]string{id, v})
	}
	return rows
}
