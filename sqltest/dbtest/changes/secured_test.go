package changes_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// TestRowSecurity: a row that row-level security hides is not taken for one that is not there.
func TestRowSecurity(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text, b text)", "CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE)",
			"INSERT INTO t VALUES (1, 'x', 'b'), (2, 'x', 'b')")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "child"})
		w.exec("INSERT INTO t VALUES (3, 'x', 'b')")
		xid, startedAt := w.last()
		w.exec("UPDATE t SET a = 'y'",
			"DROP ROLE IF EXISTS changes_tenant", "CREATE ROLE changes_tenant", "GRANT USAGE ON SCHEMA threadline TO changes_tenant", "GRANT SELECT ON ALL TABLES IN SCHEMA threadline TO changes_tenant",
			"GRANT ALL ON t, child TO changes_tenant", "ALTER TABLE t ENABLE ROW LEVEL SECURITY", "CREATE POLICY one ON t USING (id = 1)")
		w.db.SetMaxOpenConns(1)
		defer w.exec("RESET ROLE", "DROP OWNED BY changes_tenant CASCADE", "DROP ROLE changes_tenant")
		w.exec("SET ROLE changes_tenant")
		now := w.clock()
		for key, want := range map[string]string{"1": `"public"."t" (1): id: 1; a: y; b: b`, "2": changes.ErrHidden.Error(), "3": `"public"."t" (3): id: 3; a: y; b: b`, "4": changes.ErrHidden.Error()} {
			if got := w.asOf("t", now, key); got != want {
				w.Errorf("row %s: %s, want %s", key, got, want)
			}
		}
		u, err := undo.Transaction(ctx, w.store, xid, startedAt)
		w.must(err)
		if len(u.Statements) > 0 || len(u.Refusals) != 1 || !strings.Contains(fmt.Sprint(u.Refusals), `row-level security shows to this role of "public"."t"`) {
			w.Errorf("%s", u)
		}

		// Rows that would go with the row may be hidden, from the role that executes the undo, too.
		w.exec("RESET ROLE", "ALTER TABLE t DISABLE ROW LEVEL SECURITY", "ALTER TABLE child ENABLE ROW LEVEL SECURITY")
		owners, err := undo.RowAsOf(ctx, w.store, "t", startedAt.Add(-1), "3")
		w.must(err)
		w.clean(owners)
		w.exec("INSERT INTO child VALUES (1, 3)", "SET ROLE changes_tenant")
		u, err = undo.Transaction(ctx, w.store, xid, startedAt)
		w.must(err)
		if len(u.Statements) > 0 || !strings.Contains(fmt.Sprint(u.Refusals), `row-level security shows to this role of "public"."child"`) {
			w.Errorf("%s", u)
		}
		if err := w.run(owners); err == nil {
			w.Error("the role has executed it")
		}
		w.exec("RESET ROLE")
		if got := w.text("SELECT count(*) FROM child"); got != "1" {
			w.Errorf("%s children", got)
		}
	})
}

// TestTableRowSecurity: a table of which row-level security may hide rows is not taken for all that there was.
func TestTableRowSecurity(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)", "INSERT INTO t VALUES (1, 'x'), (2, 'x')")
		w.capture(capture.Table{Name: "t"})
		captured := w.clock()
		w.exec("INSERT INTO t VALUES (3, 'x')", "UPDATE t SET a = 'y' WHERE id = 3",
			"DROP ROLE IF EXISTS changes_tenants", "CREATE ROLE changes_tenants", "GRANT USAGE ON SCHEMA threadline TO changes_tenants", "GRANT SELECT ON ALL TABLES IN SCHEMA threadline TO changes_tenants",
			"GRANT ALL ON t TO changes_tenants", "ALTER TABLE t ENABLE ROW LEVEL SECURITY", "CREATE POLICY one ON t USING (id = 1)")
		w.db.SetMaxOpenConns(1)
		defer w.exec("RESET ROLE", "DROP OWNED BY changes_tenants CASCADE", "DROP ROLE changes_tenants")
		want := func(at time.Time, rows string, last ...error) {
			w.Helper()
			got, errs := w.tableAsOf("t", at)
			var asOf *changes.AsOfError
			if strings.Join(got, " ") != rows || len(errs) != min(len(last), 1) || len(last) > 0 && !errors.As(errs[0], &asOf) {
				w.Fatalf("%q, %v; want %q", got, errs, rows)
			}
			for _, one := range last {
				if !errors.Is(errs[0], one) {
					w.Errorf("%v; want %v", errs[0], one)
				}
			}
		}
		now := w.clock()
		want(now, "|1|x |2|x |3|y") // the owner's
		w.exec("SET ROLE changes_tenants")
		want(now, "|1|x |3|y", changes.ErrHidden)
		w.exec("RESET ROLE", "TRUNCATE t", "INSERT INTO t VALUES (1, 'z'), (4, 'z')", "SET ROLE changes_tenants")
		want(w.clock(), "|1|z |4|z", changes.ErrHidden)
		want(captured.Add(-time.Hour), "", changes.ErrBeforeCapture)
		for row, err := range w.store.TableAsOf(ctx, "t", captured) { // both are why
			if row == nil && (!errors.Is(err, changes.ErrHidden) || !errors.Is(err, changes.ErrBroken)) {
				w.Error(err)
			}
		}
	})
}

// TestUndoUnproven: of unique indexes that are not looked up, the undo warns by name.
func TestUndoUnproven(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text, b text, c int, d int4range, e int)", "CREATE UNIQUE INDEX lower_a ON t (lower(a))", "CREATE UNIQUE INDEX part_b ON t (b) WHERE c > 0",
			"ALTER TABLE t ADD CONSTRAINT apart EXCLUDE USING gist (d WITH &&)", "INSERT INTO t VALUES (1, 'x', 'b', 1, '[1,2]', 1), (2, 'y', 'c', 1, '[5,6]', 2)")
		w.capture(capture.Table{Name: "t"})
		for _, tt := range []struct {
			do   string
			want []string
		}{
			{"UPDATE t SET a = 'z' WHERE id = 1", []string{"lower_a"}},
			{"UPDATE t SET c = 0 WHERE id = 1", []string{"part_b"}},
			{"UPDATE t SET d = '[8,9]' WHERE id = 1", []string{"apart"}},
			{"UPDATE t SET e = 4 WHERE id = 1", nil},
			{"DELETE FROM t WHERE id = 2", []string{"apart", "lower_a", "part_b"}},
			{"INSERT INTO t VALUES (3)", nil},
		} {
			w.exec(tt.do)
			u := w.undoLast()
			var got []string
			for _, name := range []string{"apart", "lower_a", "part_b"} {
				if strings.Contains(fmt.Sprint(u.Warnings), `unique index "`+name+`" of "public"."t"`) {
					got = append(got, name)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				w.Errorf("%s: warnings of %v, want %v: %v", tt.do, got, tt.want, u.Warnings)
			}
		}
	})
}

// TestUndoReferredByMany: rows that refer to one are counted by the server.
func TestUndoReferredByMany(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE p (id int PRIMARY KEY)", "CREATE TABLE c (p int REFERENCES p)")
		w.capture(capture.Table{Name: "p"})
		w.exec("INSERT INTO p VALUES (1), (2)")
		xid, startedAt := w.last()
		w.exec("INSERT INTO c SELECT 1 FROM generate_series(1, 5000)", "INSERT INTO c VALUES (2)")
		u, err := undo.Transaction(ctx, w.store, xid, startedAt)
		w.must(err)
		w.wantConflicts(u, `by 5000 of "public"."c", in p`, `by 1 of "public"."c", in p`)
	})
}

// TestCaptureBegins: what another session has committed while a capture waits for the table's lock is before its beginning.
func TestCaptureBegins(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)", "INSERT INTO t VALUES (1, 'x')")
		plan, err := w.installer().Plan(ctx, capture.Table{Name: "t"})
		w.must(err)
		tx, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		_, err = tx.ExecContext(ctx, "UPDATE t SET a = 'y'")
		w.must(err)
		done := make(chan error, 1)
		go func() { done <- w.installer().Apply(ctx, plan) }()
		w.waits()
		then := w.clock()
		_, err = tx.ExecContext(ctx, "UPDATE t SET a = 'z'")
		w.must(err)
		w.must(tx.Commit())
		w.must(<-done)
		if got := w.asOf("t", then, "1"); got != changes.ErrBeforeCapture.Error() {
			w.Errorf("while it waited: %s", got)
		}
		if got := w.asOf("t", w.clock(), "1"); !strings.HasSuffix(got, "a: z") {
			w.Error(got)
		}
	})
}

// waits waits until a session waits for a lock.
func (w *world) waits() {
	deadline := time.Now().Add(dbtest.Patience)
	for w.text("SELECT count(*) FROM pg_locks WHERE NOT granted") == "0" && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
}
