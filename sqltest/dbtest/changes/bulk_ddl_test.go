package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestBulkUnproven: what a plan would refuse, and came after it, has statements captured by row: they would have the rows of a
// child, too, or miss what a foreign key of the table to itself does.
func TestBulkUnproven(t *testing.T) {
	for name, test := range map[string]struct{ before, after []string }{
		"a foreign key to itself": {after: []string{
			"ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES t ON DELETE SET NULL ON UPDATE CASCADE", "UPDATE t SET id = id + 10 WHERE id = 1",
			"DELETE FROM t WHERE id = 11", "UPDATE t SET a = 3 WHERE id = 2", "BEGIN; DELETE FROM t WHERE id = 3; UPDATE t SET a = 2; INSERT INTO t VALUES (4, 2); COMMIT",
		}},
		"foreign keys in a circle": {
			before: []string{"CREATE TABLE other (id int PRIMARY KEY, t int)", "INSERT INTO other VALUES (1, 1), (2, 2), (3, 3)"},
			after: []string{
				"ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES other ON DELETE SET NULL", "ALTER TABLE other ADD FOREIGN KEY (t) REFERENCES t ON DELETE CASCADE",
				"DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (5, 2)",
			},
		},
		"a child": {after: []string{
			"CREATE TABLE child () INHERITS (t)", "INSERT INTO child VALUES (7, 7)", "UPDATE t SET a = 4", "DELETE FROM t WHERE id = 7",
		}},
		"a parent that a function changes": {
			before: []string{"CREATE TABLE parent (id int, a int)", "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE parent SET a = 8 WHERE id = 2; RETURN 1; END $$"},
			after:  []string{"ALTER TABLE t INHERIT parent", "UPDATE t SET a = f() WHERE id = 1"},
		},
		"a trigger": {
			before: []string{"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF pg_trigger_depth() = 1 THEN UPDATE t SET a = a + 1 WHERE id = NEW.id; END IF; RETURN NULL; END $$"},
			after:  []string{"CREATE TRIGGER f AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()", "UPDATE t SET a = 7"},
		},
		"a deferrable key": {after: []string{
			"ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id) DEFERRABLE", "UPDATE t SET id = 3 - id WHERE id < 3",
		}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			oneDriver(t, func(w *world) {
				w.db.SetMaxOpenConns(1)
				w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
				w.exec(test.before...)
				w.capture(capture.Table{Name: "t", Bulk: true})
				w.exec("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)", "UPDATE t SET a = 1 WHERE id = 2")
				w.exec(test.after...)
				if is := w.whole(); is != "4" {
					w.Errorf("%s changes were captured by statement:\n%s", is, w.keptOf("t"))
				}
				if gaps := w.text("SELECT string_agg(concat(op, ': ', reason), '; ') FROM threadline.audit_gaps"); gaps != "" {
					w.Errorf("gaps %s", gaps)
				}
				w.exec("DROP TABLE IF EXISTS child CASCADE")
				w.checkReplay("t", "id")
			})
		})
	}
}

// TestBulkNothing: a statement that changes no row takes no transaction ID and no lock, and leaves no gap.
func TestBulkNothing(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t", Bulk: true})
		nothing := []string{"UPDATE t SET a = 1 WHERE id = 1", "DELETE FROM t", "INSERT INTO t SELECT 1, 1 WHERE false", "INSERT INTO t SELECT 1, 1 WHERE false ON CONFLICT (id) DO UPDATE SET a = 1"}
		w.lose(nothing...)
		if gaps := w.text("SELECT string_agg(concat(op, ': ', reason), '; ') FROM threadline.audit_gaps"); gaps != "" {
			w.Errorf("gaps %s", gaps)
		}
		for _, query := range nothing {
			tx, err := w.db.BeginTx(ctx, nil)
			w.must(err)
			_, err = tx.ExecContext(ctx, query)
			w.must(err)
			var assigned bool
			w.must(tx.QueryRowContext(ctx, "SELECT pg_current_xact_id_if_assigned() IS NOT NULL").Scan(&assigned))
			if assigned {
				w.Errorf("%s has taken a transaction ID", query)
			}
			w.must(tx.Rollback())
		}
	})
}

// TestBulkReset: a session that resets its settings during a statement, or sets those of the capture, leaves a gap.
func TestBulkReset(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE FUNCTION resets() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RESET ALL; RETURN 1; END $$")
		w.capture(capture.Table{Name: "t", Bulk: true})
		w.exec("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
		setting := w.text("SELECT (regexp_match(prosrc, 'threadline\\.tx_[a-z0-9]+_[0-9a-f]+_rows_running'))[1] FROM pg_proc WHERE proname LIKE 'capture\\_%'")
		for _, query := range []string{"UPDATE t SET a = resets() + 5 WHERE id = 1", "UPDATE t SET a = 9 WHERE set_config('" + setting + "', '', true) IS NOT NULL", "DELETE FROM t WHERE id = 3 AND set_config('" + setting + "', '', true) = ''"} {
			w.exec("DELETE FROM threadline.audit_gaps", query)
			if gaps := w.text("SELECT coalesce(string_agg(op, ' '), '') FROM threadline.audit_gaps"); gaps != query[:6] {
				w.Errorf("%s: gaps %q", query, gaps)
			}
		}
		w.exec("DELETE FROM threadline.audit_gaps", "UPDATE t SET a = 10 WHERE id = 1")
		if gaps := w.text("SELECT count(*) FROM threadline.audit_gaps"); gaps != "0" {
			w.Errorf("%s gaps", gaps)
		}
	})
}

// TestBulkReplaced: a plan that replaces the function during a statement has nothing of that lost.
func TestBulkReplaced(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", `CREATE FUNCTION replaces() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN
			EXECUTE (SELECT replace(pg_get_functiondef(oid), E'\nDECLARE\n', E'\n\n\nDECLARE\n') FROM pg_proc WHERE proname LIKE 'capture\_%'); RETURN 1; END $f$`)
		w.capture(capture.Table{Name: "t", Bulk: true})
		w.exec("INSERT INTO t VALUES (1, 1), (2, 2)",
			"WITH d AS (DELETE FROM t WHERE id = 2 RETURNING *) INSERT INTO t SELECT 3, s.n FROM (SELECT replaces() AS n OFFSET 0) s CROSS JOIN LATERAL (SELECT FROM d WHERE s.n > 0 OFFSET 0) e")
		w.wantCaptured("4")
	})
}

// TestBulkDisabled: that a trigger was disabled is a break also if the next plan has the table captured in the other way.
func TestBulkDisabled(t *testing.T) {
	for _, test := range []struct {
		trigger string
		bulk    bool
	}{{"threadline_bulk_update", true}, {"threadline_row_bulk", true}, {"threadline_row", false}, {"threadline_truncate", false}} {
		t.Run(test.trigger, func(t *testing.T) {
			oneDriver(t, func(w *world) {
				w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
				w.capture(capture.Table{Name: "t", Bulk: test.bulk})
				w.exec("INSERT INTO t VALUES (1, 1)", "ALTER TABLE t DISABLE TRIGGER "+test.trigger, "UPDATE t SET a = 2")
				w.capture(capture.Table{Name: "t", Bulk: !test.bulk})
				breaks, err := w.store.Breaks(ctx, "t")
				w.must(err)
				if last := breaks[len(breaks)-1]; last.Kind != changes.Uncaptured {
					w.Errorf("the last of %v", breaks)
				}
			})
		})
	}
}
