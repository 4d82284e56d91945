package changes_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestRowAsOfBesideNewPartitions: a partition that is made, or attached, may bring rows that no change names, from the moment on when
// it is there, and not only from the next plan on. It breaks no history of a row that is known to be there.
func TestRowAsOfBesideNewPartitions(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE p (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY RANGE (k)", "CREATE TABLE rest PARTITION OF p DEFAULT")
		w.capture(capture.Table{Name: "p"})
		w.exec("INSERT INTO p VALUES (1, 5, 'a'), (2, 50, 'b'), (3, 500, 'c')", "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (2000)", "CREATE TABLE p1 (LIKE p INCLUDING ALL)",
			"WITH d AS (DELETE FROM ONLY rest WHERE k < 10 RETURNING *) INSERT INTO p1 SELECT * FROM d", "ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (10)", "UPDATE p SET v = 'x' WHERE id = 3")
		want := func() {
			t.Helper()
			at := w.clock()
			for _, c := range []struct{ id, k, want string }{{"2", "50", `"public"."p" (2, 50): id: 2; k: 50; v: b`}, {"3", "500", `"public"."p" (3, 500): id: 3; k: 500; v: x`}, {"1", "5", changes.ErrBroken.Error()}, {"4", "5", ""}} {
				row, err := w.store.RowAsOf(ctx, "p", at, c.id, c.k)
				switch {
				case c.want == changes.ErrBroken.Error() && !errors.Is(err, changes.ErrBroken), c.want == "" && err == nil,
					c.want != "" && c.want != changes.ErrBroken.Error() && (err != nil || row.String() != c.want):
					t.Errorf("the row (%s, %s) is %v, error: %v; want %q", c.id, c.k, row, err, c.want)
				}
			}
		}
		broken := "began p: its capture began\npartitioned p: attached or made: \"public\".\"p2\", \"public\".\"p1\""
		want()
		w.wantBreaks(broken, "p")
		var failed error
		for _, err := range w.store.TableAsOf(ctx, "p", w.clock()) {
			failed = errors.Join(failed, err)
		}
		if !errors.Is(failed, changes.ErrBroken) {
			t.Errorf("the table, of which one row was brought: %v", failed)
		}
		w.capture(capture.Table{Name: "p"})
		want()
		w.wantBreaks(broken, "p")
	})
}

// TestRowAsOfWithoutPartition: a row that has gone with its partition is not said to be there, also if its changes say all of it,
// and before the next plan. What it was before the last plan, or before a change of it, is known.
func TestRowAsOfWithoutPartition(t *testing.T) {
	for _, gone := range []string{"ALTER TABLE p DETACH PARTITION p1", "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY", "DROP TABLE p1"} {
		t.Run(gone, func(t *testing.T) {
			onPQ(t, func(w *world) {
				w.exec("CREATE TABLE p (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k)", "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)", "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)")
				w.capture(capture.Table{Name: "p"})
				w.exec("INSERT INTO p VALUES (1, 1, 'a'), (2, 2, 'a'), (3, 1, 'a'), (5, 1, 'a')")
				early := w.clock()
				w.exec("ALTER TABLE p ADD COLUMN n int")
				w.capture(capture.Table{Name: "p"})
				w.exec("INSERT INTO p VALUES (4, 1, 'a', 1)")
				before := w.clock()
				w.exec("UPDATE p SET v = 'b' WHERE id < 4", "DELETE FROM p WHERE id = 3")
				w.exec(gone)
				after := w.clock()
				const broken = "the history is broken there"
				want := func(at time.Time, id, k, want string) {
					w.Helper()
					if got := w.asOf("p", at, id, k); !strings.Contains(got, want) {
						t.Errorf("the row (%s, %s): %s, want %s", id, k, got, want)
					}
				}
				want(after, "1", "1", broken)
				want(after, "2", "2", "v: b")
				want(after, "3", "1", "gone by then")
				want(before, "1", "1", "v: a")
				want(before, "2", "2", "v: a")
				want(early, "1", "1", "v: a")
				want(after, "4", "1", broken)
				want(after, "5", "1", broken)
				want(early, "5", "1", "v: a")
				w.exec("UPDATE p SET v = 'c' WHERE id = 2", "DELETE FROM p WHERE id = 2")
				want(after, "2", "2", "v: b")
				w.capture(capture.Table{Name: "p"})
				want(w.clock(), "1", "1", broken)
				want(early, "1", "1", "v: a")
			})
		})
	}
}
