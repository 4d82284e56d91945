package changes_test

import (
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// lost is a gap, so that later changes do not say what rows of t were before.
const lost = "INSERT INTO threadline.audit_gaps (table_id, op, reason) SELECT table_id, 'UPDATE', 'lost' FROM threadline.audit_changes LIMIT 1"

// TestRowAsOfKnown: of the changes that are far from a moment, those are left out that say nothing more, and no others.
func TestRowAsOfKnown(t *testing.T) {
	const trigger = `CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.b = 1 AND NEW.a >= 0 THEN UPDATE t SET a = -1; END IF;
			IF NEW.b = 1 AND NEW.a < 0 THEN UPDATE t SET b = 2; END IF;
			RETURN NULL; END $$`
	const often = "DO $$ BEGIN FOR n IN 1..100 LOOP UPDATE t SET a = n; COMMIT; END LOOP; END $$" // more often than is read first
	for _, c := range []struct {
		name                string
		before, then, after []string
		plan                bool // between before and then
		want                string
	}{
		{
			name: "only a later change is of the same column", before: []string{"INSERT INTO t VALUES (1, 0, 0, 0)", "UPDATE t SET b = 1", "UPDATE t SET b = 2"}, then: []string{often},
			after: []string{"UPDATE t SET b = 3", "UPDATE t SET b = 4", "UPDATE t SET a = 101"}, want: "id: 1; x: 0; b: 2; a: 100",
		},
		{
			name: "another shape has another column at that place", before: []string{"INSERT INTO t VALUES (1, 0, 0, 0)", "UPDATE t SET b = 1", "UPDATE t SET a = 1", "ALTER TABLE t DROP COLUMN x"}, plan: true,
			then: []string{"UPDATE t SET a = -1", often}, want: "id: 1; b: 1; a: 100",
		},
		{
			name: "several changes of a transaction are ordered by all of them", before: []string{trigger, "CREATE TRIGGER a_first AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION again()", "INSERT INTO t VALUES (1, 0, 0, 0)", "UPDATE t SET a = 1", "UPDATE t SET b = 1", "UPDATE t SET a = 2"},
			then: []string{often}, want: "id: 1; x: 0; b: 2; a: 100",
		},
		{
			name: "the row was gone in between", before: []string{"INSERT INTO t VALUES (1, 0, 0, 0)", "UPDATE t SET b = 1", often, "DELETE FROM t", "INSERT INTO t VALUES (1, 0, 2, 0)"}, then: []string{often},
			after: []string{often, "DELETE FROM t", "INSERT INTO t VALUES (1, 0, 3, 0)", often}, want: "id: 1; x: 0; b: 2; a: 100",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			oneDriver(t, func(w *world) {
				w.exec("CREATE TABLE t (id int PRIMARY KEY, x int, b int, a int)")
				w.capture(capture.Table{Name: "t"})
				if w.exec(c.before...); c.plan {
					w.capture(capture.Table{Name: "t"})
				}
				w.exec(c.then...)
				moment := w.clock()
				w.exec(append(c.after, lost)...)
				if got, want := w.asOf("t", moment, "1"), `"public"."t" (1): `+c.want; got != want {
					t.Errorf("%s, want %s", got, want)
				}
			})
		})
	}
}

// TestRowAsOfKnownReadsOnce: of a row with very many changes of which all but the first have the same column, the server looks at none
// twice.
func TestRowAsOfKnownReadsOnce(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b int)")
		w.capture(capture.Table{Name: "t"})
		const all = 2500
		w.exec("INSERT INTO t VALUES (1, 0, 7)", fmt.Sprintf("DO $$ BEGIN FOR n IN 1..%d LOOP UPDATE t SET a = n; COMMIT; END LOOP; END $$", all), "ANALYZE threadline.audit_changes")
		history, err := w.store.History(ctx, "t", "1")
		w.must(err)
		for _, nth := range []int{all / 4, all / 2, all - 1, -all / 4, -all / 2, -all} {
			if nth < 0 {
				w.exec(lost)
				nth = -nth
			}
			_, fetched := w.readsIn(func(s *changes.Store) error {
				row, err := s.RowAfter(ctx, history[nth])
				if want := fmt.Sprintf(`"public"."t" (1): id: 1; a: %d; b: 7`, nth); err == nil && row.String() != want {
					t.Errorf("%s, want %s", row, want)
				}
				return err
			})
			if t.Logf("after change %d: %d", nth, fetched); fetched > all*5/4 {
				t.Errorf("after change %d: %d changes are read, of %d", nth, fetched, all)
			}
		}
		_, fetched := w.readsIn(func(s *changes.Store) error {
			page, err := s.Page(ctx, changes.Query{Tables: []string{"t"}, Key: []string{"1"}, Limit: 50})
			if len(page.Changes) != 50 || page.Next == "" {
				t.Errorf("a page of %d, and then %q", len(page.Changes), page.Next)
			}
			return err
		})
		if t.Logf("a page: %d", fetched); fetched > all*5/4 {
			t.Errorf("a page reads %d changes, of %d", fetched, all)
		}
	})
}
