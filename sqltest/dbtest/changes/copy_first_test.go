package changes_test

import (
	"errors"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestCopiedFromThen: of what was captured before the forwarder was registered, purged or not, the archive has a gap, and does not say
// that there was nothing. A table that has no such change has no gap, nor has one whose first change is copied.
func TestCopiedFromThen(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE u (id int PRIMARY KEY, a int)", "CREATE TABLE v (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "u"}, capture.Table{Name: "v"})
		w.exec("INSERT INTO t VALUES (1, 1), (2, 2)", "DELETE FROM t WHERE id = 2")
		history, err := w.store.History(ctx, "t", "2")
		w.must(err)
		first, last := history[0].CapturedAt, history[1].CapturedAt
		w.exec("INSERT INTO threadline.audit_purges (table_id, began_at, by, keeper, changes, first_at, last_at)" +
			" SELECT table_id, now(), 'ops', 'away', 7, noted_at, noted_at + interval '1 us' FROM threadline.audit_captures WHERE table_oid = 'v'::regclass::oid")

		c := w.copyTo(w.e.DSN(w.T), func(*forward.Hub) {})
		c.tx([]string{"alice"}, "INSERT INTO u VALUES (1, 1)")
		c.drain()
		c.tx([]string{"alice"}, "UPDATE t SET a = 3 WHERE id = 1", "INSERT INTO u VALUES (2, 2)", "INSERT INTO v VALUES (1, 1)")
		c.drain()
		gaps := func(table string) (list []changes.Break) {
			all, failed := c.there.store.Breaks(ctx, table)
			w.must(failed)
			for _, b := range all {
				if b.Kind == changes.Undelivered {
					list = append(list, b)
				}
			}
			return list
		}
		if list := gaps("t"); len(list) != 1 || list[0].From.After(first) || !list[0].To.Equal(last) {
			w.Errorf("of t: %+v, want one to %s", list, last)
		}
		if list := gaps("v"); len(list) != 1 || list[0].From.Equal(list[0].To) {
			w.Errorf("of v, which was purged: %+v", list)
		}
		if list := gaps("u"); len(list) > 0 {
			w.Errorf("of u: %+v", list)
		}
		if _, err = c.there.store.RowAsOf(ctx, "t", last, "2"); !errors.Is(err, changes.ErrBroken) {
			w.Errorf("a row that was deleted before: %v", err)
		}
		if row, err := c.there.store.RowAsOf(ctx, "u", time.Now(), "1"); err != nil || *row.Values[1].Text != "1" {
			w.Errorf("a row that was made after: %v, %v", row, err)
		}
	}, dbtest.PostgresEngines()[0])
}
