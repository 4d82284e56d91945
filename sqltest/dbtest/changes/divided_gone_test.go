package changes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestDividedGone: where a change has no partition, or its partition is locked, it leaves a gap, and the app's statement succeeds without
// waiting, and in the session's own settings.
func TestDividedGone(t *testing.T) {
	with(t, func(w *world) {
		w.divide(capture.Monthly)
		w.exec("CREATE TABLE r (id int PRIMARY KEY, a int)", "CREATE TABLE b (id int PRIMARY KEY, a int)",
			"CREATE TABLE p (id int PRIMARY KEY, a int) PARTITION BY RANGE (id)", "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100)", "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200)")
		w.capture(capture.Table{Name: "r"}, capture.Table{Name: "b", Bulk: true}, capture.Table{Name: "p"})
		const each = "INSERT INTO %[1]s VALUES (1, 1), (2, 2); UPDATE %[1]s SET id = id + 100; DELETE FROM %[1]s"
		all := fmt.Sprintf(each+"; "+strings.ReplaceAll(each, "[1]", "[2]")+"; "+strings.ReplaceAll(each, "[1]", "[3]"), "r", "b", "p")
		counts := func() string {
			return w.text("SELECT concat((SELECT count(*) FROM threadline.audit_changes), ' ', (SELECT count(system) FROM threadline.audit_changes), ' ', (SELECT count(DISTINCT table_id) FROM threadline.audit_gaps))")
		}
		write := func(why, want string) {
			t.Helper()
			w.exec("DELETE FROM threadline.audit_changes", "DELETE FROM threadline.audit_gaps", "SET lock_timeout = '2min'")
			tx, err := w.db.BeginTx(ctx, nil)
			w.must(err)
			var patience string
			for range 2 {
				if _, err = tx.ExecContext(ctx, all); err != nil {
					t.Errorf("%s: %v", why, err)
					break
				}
				w.must(tx.QueryRowContext(ctx, "SHOW lock_timeout").Scan(&patience))
			}
			w.must(tx.Commit())
			if patience != "2min" {
				t.Errorf("%s: lock_timeout is %s", why, patience)
			}
			if got := counts(); got != want {
				t.Errorf("%s: changes, transactions, and tables with gaps: %s, want %s", why, got, want)
			}
		}
		w.db.SetMaxOpenConns(1) // for the setting
		write("as usual", "36 1 0")

		other := dbtest.Open(t, w.e.Driver, w.dsn)
		locker, err := other.BeginTx(ctx, nil)
		w.must(err)
		current := w.text("SELECT 'threadline.audit_changes_' || to_char(date_trunc('month', now() AT TIME ZONE 'UTC'), 'YYYYMMDD')")
		w.exec("DELETE FROM threadline.audit_changes", "DELETE FROM threadline.audit_gaps")
		_, err = locker.ExecContext(ctx, "LOCK TABLE "+current+" IN SHARE MODE")
		w.must(err)
		w.exec("SET lock_timeout = '2min'", all)
		w.must(locker.Rollback())
		if got := counts(); got != "0 0 3" {
			t.Errorf("locked: changes, transactions, and tables with gaps: %s", got)
		}

		for _, p := range strings.Fields(w.text("SELECT string_agg(inhrelid::regclass::text, ' ') FROM pg_inherits WHERE inhparent = 'threadline.audit_changes'::regclass")) {
			w.exec("DROP TABLE " + p)
		}
		write("no partition", "0 0 3")
	}, dbtest.PQ)
}
