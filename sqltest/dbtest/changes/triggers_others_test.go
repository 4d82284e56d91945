package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestOtherTriggers: whatever triggers with the capture function others make on captured partitions, or a plan's are called, each change is
// kept once.
func TestOtherTriggers(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("DROP ROLE IF EXISTS changes_twice", "CREATE ROLE changes_twice", "GRANT CREATE ON SCHEMA public TO changes_twice", "GRANT USAGE ON SCHEMA threadline TO changes_twice")
		defer w.exec("DROP OWNED BY changes_twice CASCADE", "DROP ROLE changes_twice")
		w.exec("CREATE TABLE t (id int, part text, a int, PRIMARY KEY (id, part)) PARTITION BY LIST (part)",
			"CREATE TABLE deep PARTITION OF t FOR VALUES IN ('d', 'e') PARTITION BY LIST (part)", "ALTER TABLE deep OWNER TO changes_twice", "GRANT ALL ON t TO changes_twice")
		w.capture(capture.Table{Name: "t"})
		function := " EXECUTE FUNCTION threadline." + w.text("SELECT proname FROM pg_proc WHERE proname LIKE 'capture\\_%'") + "()"
		w.must(w.as("changes_twice", "CREATE TABLE d PARTITION OF deep FOR VALUES IN ('d')", "CREATE TABLE e PARTITION OF deep FOR VALUES IN ('e')",
			"CREATE TRIGGER of_rows AFTER INSERT OR UPDATE OR DELETE ON d FOR EACH ROW"+function,
			"CREATE TRIGGER of_deep AFTER INSERT OR UPDATE OR DELETE ON deep FOR EACH ROW"+function,
			"CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE OR DELETE ON d DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"+function,
			"CREATE TRIGGER of_statements AFTER INSERT OR UPDATE OR DELETE ON d FOR EACH STATEMENT"+function,
			"CREATE TRIGGER of_truncate AFTER TRUNCATE ON d FOR EACH STATEMENT"+function))
		w.exec("INSERT INTO t VALUES (1, 'd', 1), (2, 'd', 1)", "UPDATE t SET a = 2 WHERE id = 1", "UPDATE t SET part = 'e' WHERE id = 2", "DELETE FROM t WHERE id = 1", "DELETE FROM d", "TRUNCATE t")
		if got := w.text("SELECT string_agg(concat(op, former_key, key), ' ' ORDER BY lsn) FROM threadline.audit_changes WHERE op <> 'T'"); got != "I(1,d) I(2,d) U(1,d) U(2,d)(2,e) D(1,d)" {
			t.Errorf("captured: %s", got)
		}
		if gaps := w.text("SELECT string_agg(reason, '; ') FROM threadline.audit_gaps"); gaps != "" {
			t.Errorf("gaps: %s", gaps)
		}
	})
}

// TestTriggerNames: the name of a trigger that the owner of a partition has made is no part of what a plan executes, and no such trigger
// stops a plan.
func TestTriggerNames(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("DROP ROLE IF EXISTS changes_named", "CREATE ROLE changes_named", "GRANT CREATE ON SCHEMA public TO changes_named", "GRANT USAGE ON SCHEMA threadline TO changes_named")
		defer w.exec("DROP OWNED BY changes_named CASCADE", "DROP ROLE changes_named")
		w.exec("CREATE TABLE t (id int, part text, PRIMARY KEY (id, part)) PARTITION BY LIST (part)", "CREATE TABLE deep PARTITION OF t FOR VALUES IN ('d', 'e') PARTITION BY LIST (part)", "ALTER TABLE deep OWNER TO changes_named")
		w.capture(capture.Table{Name: "t"})
		function := " EXECUTE FUNCTION threadline." + w.text("SELECT proname FROM pg_proc WHERE proname LIKE 'capture\\_%'") + "()"
		w.must(w.as("changes_named", "CREATE TABLE mine (id int, part text)", "CREATE TABLE d PARTITION OF deep FOR VALUES IN ('d')"))
		for _, name := range []string{"a", "a public.mine; CREATE TABLE injected(); --", "b c", "threadline_truncate"} {
			w.must(w.as("changes_named", "CREATE TRIGGER "+ident(name)+" AFTER INSERT ON mine FOR EACH ROW"+function))
			if name != "threadline_truncate" {
				w.must(w.as("changes_named", "CREATE TRIGGER "+ident(name)+" AFTER INSERT ON deep FOR EACH ROW"+function))
			}
		}
		w.exec("ALTER TABLE t ADD more int")
		w.capture(capture.Table{Name: "t"})
		if got := w.text("SELECT to_regclass('injected')"); got != "" {
			t.Error("a plan has executed the name of a trigger")
		}
	})
}

// TestTriggerRenamed: a plan replaces a trigger of its own that was renamed.
func TestTriggerRenamed(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE many (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "many", Bulk: true})
		w.exec("ALTER TRIGGER threadline_row ON t RENAME TO mine", "ALTER TRIGGER threadline_truncate ON t RENAME TO emptied",
			"ALTER TRIGGER threadline_row_bulk ON many RENAME TO mine", "ALTER TRIGGER threadline_bulk_insert ON many RENAME TO inserted")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "many", Bulk: true})
		for _, table := range []string{"t", "many"} {
			w.exec("DELETE FROM threadline.audit_changes", "INSERT INTO "+table+" VALUES (1, 1)", "UPDATE "+table+" SET a = 2", "TRUNCATE "+table)
			if got := w.text("SELECT string_agg(concat(op, key), ' ' ORDER BY lsn) FROM threadline.audit_changes"); got != "I(1) U(1) T" {
				t.Errorf("captured of %s: %s", table, got)
			}
		}
	})
}

// TestPartitionDisabled: the next plan sees that the trigger of one partition was disabled.
func TestPartitionDisabled(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int) PARTITION BY RANGE (id)", "CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (10)", "CREATE TABLE high PARTITION OF t FOR VALUES FROM (10) TO (20)")
		w.capture(capture.Table{Name: "t"})
		w.exec("ALTER TABLE high DISABLE TRIGGER ALL", "INSERT INTO t VALUES (1, 1), (11, 1)")
		plan := w.capture(capture.Table{Name: "t"})
		if len(plan.Steps) != 1 || !strings.Contains(plan.Steps[0].Why, "triggers are missing or disabled") {
			t.Errorf("planned: %s", plan)
		}
		w.exec("UPDATE t SET a = 2")
		if got := w.text("SELECT string_agg(concat(op, key), ' ' ORDER BY lsn) FROM threadline.audit_changes"); got != "I(1) U(1) U(11)" {
			t.Errorf("captured: %s", got)
		}
		if got := w.breaks("t"); !strings.Contains(got, "uncaptured") {
			t.Errorf("breaks: %s", got)
		}
	})
}

// TestPlanComments: the text of a plan executes nothing that is in the name of a table, or in a warning.
func TestPlanComments(t *testing.T) {
	onPQ(t, func(w *world) {
		const name = "a\n; CREATE TABLE injected (); --\r; CREATE TABLE injected ();\n--"
		w.exec("CREATE TABLE "+ident(name)+" (id int PRIMARY KEY, a text)", "CREATE UNLOGGED TABLE "+ident("u"+name)+" (id int PRIMARY KEY)")
		plan, err := w.installer().Plan(ctx, capture.Table{Name: ident(name)}, capture.Table{Name: ident("u" + name)})
		w.must(err)
		if len(plan.Warnings) == 0 {
			t.Error("no warning")
		}
		w.exec(plan.String())
		if got := w.text("SELECT to_regclass('injected')"); got != "" {
			t.Errorf("executed:\n%s", plan)
		}
		if again, err := w.installer().Plan(ctx, capture.Table{Name: ident(name)}, capture.Table{Name: ident("u" + name)}); err != nil || len(again.Steps) > 0 {
			t.Errorf("planned again: %s %v", again, err)
		}
	})
}

// TestTriggersOfAnother: a plan leaves triggers with the capture function on tables that its role does not own. To drop them would fail.
func TestTriggersOfAnother(t *testing.T) {
	onPQ(t, func(w *world) {
		owner, other := dbtest.Name("owner"), dbtest.Name("other")
		w.exec("DROP SCHEMA threadline CASCADE", `CREATE ROLE "`+owner+`" LOGIN`, `CREATE ROLE "`+other+`"`, `GRANT CREATE ON SCHEMA public TO "`+owner+`", "`+other+`"`,
			"DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO %I', current_database(), '"+owner+"'); END $$")
		superuser := *w
		w.Cleanup(func() {
			superuser.exec(`DROP OWNED BY "`+owner+`", "`+other+`" CASCADE`, `DROP ROLE "`+owner+`", "`+other+`"`)
		})
		w.db = dbtest.Open(t, dbtest.PQ.Driver, w.dsn+" user="+owner)
		w.must(w.installer().Migrate(ctx))
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE was (id int)")
		w.capture(capture.Table{Name: "t"})
		function := "threadline." + w.text("SELECT proname FROM pg_proc WHERE proname LIKE 'capture\\_%'") + "()"
		w.exec(`GRANT USAGE ON SCHEMA threadline TO "`+other+`"`, `GRANT EXECUTE ON FUNCTION `+function+` TO "`+other+`"`, "CREATE TRIGGER threadline_truncate AFTER TRUNCATE ON was EXECUTE FUNCTION "+function)
		superuser.must(superuser.as(`"`+other+`"`, "CREATE TABLE mine (id int)", "CREATE TRIGGER threadline_truncate AFTER TRUNCATE ON mine EXECUTE FUNCTION "+function,
			"CREATE TRIGGER threadline_moves AFTER UPDATE ON mine FOR EACH STATEMENT EXECUTE FUNCTION "+function))
		w.capture(capture.Table{Name: "t"})
		if got := w.text(`SELECT string_agg(name, ', ' ORDER BY name COLLATE "C") FROM pg_trigger g, concat(g.tgrelid::regclass, ' ', g.tgname) name WHERE g.tgname IN ('threadline_truncate', 'threadline_moves')`); got != "mine threadline_moves, mine threadline_truncate, t threadline_truncate" {
			t.Errorf("there are the triggers %s", got)
		}
		w.exec("INSERT INTO t VALUES (1, 1)")
		w.wantStory("insert id: NULL → 1; a: NULL → 1;", "t", "1")
	})
}
