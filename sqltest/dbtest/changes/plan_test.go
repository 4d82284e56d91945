package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestRefused: what cannot be captured as asked is an error that says what to do.
func TestRefused(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1) // which has the temporary table
		w.exec(`CREATE TABLE t (id int PRIMARY KEY, "Ab" text, c int UNIQUE, d int NOT NULL, e int NOT NULL UNIQUE)`, `CREATE VIEW v AS SELECT 1 AS a`, `CREATE TABLE "Order" (id int)`,
			`CREATE SCHEMA elsewhere`, `CREATE TABLE elsewhere.invoices (id int)`, `CREATE SCHEMA aftercommit`, `CREATE TABLE aftercommit.journal (id int)`, `CREATE TEMP TABLE tt (id int)`,
			`CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)`, `CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (9)`, `CREATE SEQUENCE s`,
			`CREATE UNIQUE INDEX ON t (d) WHERE d > 0`, `CREATE EXTENSION postgres_fdw`, `CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw`, `CREATE FOREIGN TABLE ft (id int) SERVER far`)
		for _, c := range []struct {
			table capture.Table
			want  string
		}{
			{capture.Table{Name: "nowhere"}, "there is no table nowhere"},
			{capture.Table{Name: ""}, "a table has no name"},
			{capture.Table{Name: "two words"}, "quote a name with spaces"},
			{capture.Table{Name: "Order"}, `there is no table Order: did you mean "Order"?`},
			{capture.Table{Name: "shop.invoces"}, "there is no table shop.invoces: did you mean elsewhere.invoices?"},
			{capture.Table{Name: "threadline.audit_changes"}, "threadline.audit_changes is not a table of the app's"},
			{capture.Table{Name: "threadline.audit_captures"}, "is not a table of the app's"},
			{capture.Table{Name: "pg_class"}, "pg_class is not a table of the app's"},
			{capture.Table{Name: "information_schema.sql_features"}, "is not a table of the app's"},
			{capture.Table{Name: "aftercommit.journal"}, "is not a table of the app's"},
			{capture.Table{Name: "v"}, "v is a view: capture the tables that it shows"},
			{capture.Table{Name: "tt"}, "tt is a temporary table"},
			{capture.Table{Name: "ft"}, "ft is a foreign table: capture it in the database where it is"},
			{capture.Table{Name: "p1"}, "capture its parent"},
			{capture.Table{Name: "s"}, "s is not a table"},
			{capture.Table{Name: "t", Mask: []string{"ab"}}, `there is no column "ab": did you mean "Ab"?`},
			{capture.Table{Name: "t", Mask: []string{"id"}}, `column "id" is in the key, and cannot be masked, hashed or excluded`},
			{capture.Table{Name: "t", Exclude: []string{"id"}}, `column "id" is in the key`},
			{capture.Table{Name: "t", Exclude: []string{"c"}, Mask: []string{"c"}}, "excluded and masked"},
			{capture.Table{Name: "t", Key: []string{"c"}}, `column "c" of the key may be NULL`},
			{capture.Table{Name: "t", Key: []string{"d"}}, "no unique index has exactly the columns of the key, d"},
			{capture.Table{Name: "t", Key: []string{"e", "d"}}, "no unique index has exactly the columns of the key, e, d"},
			{capture.Table{Name: `t"; DROP`}, ""},
		} {
			if _, err := w.installer().Plan(ctx, c.table); err == nil || !strings.Contains(err.Error(), c.want) {
				w.Errorf("%+v: %v, want %s", c.table, err, c.want)
			}
		}
		if _, err := w.installer().Plan(ctx, capture.Table{Name: "t"}, capture.Table{Name: "public.t"}); err == nil || !strings.Contains(err.Error(), "t and public.t are one table") {
			w.Errorf("one table twice: %v", err)
		}
		if _, err := capture.NewInstaller(w.db, hooks.Postgres, &capture.Options{Schema: "other"}).Plan(ctx, capture.Table{Name: "t"}); err == nil || !strings.Contains(err.Error(), "run capture.Installer.Migrate first") {
			w.Errorf("without tables: %v", err)
		}
		if _, err := capture.NewInstaller(w.db, hooks.SQLite, nil).Plan(ctx); err == nil {
			w.Error("SQLite is not refused")
		}
	})
}

// TestReplanned: a plan says what has changed since the last one was applied, and applying it
// mends that.
func TestReplanned(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b int)")
		w.capture(capture.Table{Name: "t"})
		function := w.text("SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'threadline'::regnamespace AND prorettype = 'trigger'::regtype")
		for _, c := range []struct{ change, why string }{
			{"ALTER TABLE t ADD c int", "has changed"},
			{"ALTER TABLE t DISABLE TRIGGER threadline_row", "triggers are missing or disabled"},
			{"DROP TRIGGER threadline_truncate ON t", "triggers are missing or disabled"},
			{"GRANT EXECUTE ON FUNCTION " + function + " TO PUBLIC", "PUBLIC may execute its function"},
			{"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA threadline TO pg_monitor", "pg_monitor may execute its function"},
			{"ALTER FUNCTION " + function + " SET work_mem = '1MB'", "has changed"},
			{"DELETE FROM threadline.audit_shapes", "its shape is not in audit_shapes"},
		} {
			w.exec(c.change)
			p, err := w.installer().Plan(ctx, capture.Table{Name: "t"})
			w.must(err)
			if len(p.Steps) != 1 || !strings.Contains(p.Steps[0].Why, c.why) {
				w.Errorf("after %s: %s", c.change, p)
			}
			w.capture(capture.Table{Name: "t"})
		}
		w.exec("INSERT INTO t VALUES (1, 2, 3, 4)")
		w.wantStory("insert id: NULL → 1; a: NULL → 2; b: NULL → 3; c: NULL → 4;", "t", "1")
		w.must(w.installer().Remove(ctx, "t"))
		w.exec("UPDATE t SET a = 5")
		w.wantStory("insert id: NULL → 1; a: NULL → 2; b: NULL → 3; c: NULL → 4;", "t", "1")
	})
}

// TestApplyWaitsForNobody: a step does not hold the app up behind a lock that another has, and is tried again.
func TestApplyWaitsForNobody(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY)")
		p, err := w.installer().Plan(ctx, capture.Table{Name: "t"})
		w.must(err)
		tx, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		_, err = tx.ExecContext(ctx, "INSERT INTO t VALUES (1)")
		w.must(err)
		applied := make(chan error)
		go func() { applied <- w.installer().Apply(ctx, p) }()
		for w.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass") == "0" {
			// Apply is not there yet, or between two tries.
		}
		w.exec("INSERT INTO t VALUES (2)") // would hang for as long as tx is open if Apply waited
		w.must(tx.Commit())
		w.must(<-applied)
		w.exec("INSERT INTO t VALUES (3)")
		w.wantStory("insert id: NULL → 3;", "t", "3")
	})
}

// TestNames: tables, schemas and columns of any names.
func TestNames(t *testing.T) {
	each(t, func(w *world) {
		long := strings.Repeat("n", 63)
		for _, name := range []string{`"Straße 1"`, `"a""b'c\d$capture$"`, `"` + long + `"`, `"order"`, `"日本"`} {
			w.exec("CREATE SCHEMA s", "CREATE TABLE s."+name+" ("+name+" int PRIMARY KEY, \"OLD\" int, \"changed\" text, c1 int)")
			w.capture(capture.Table{Name: "s." + name})
			w.exec("INSERT INTO s."+name+" VALUES (1, 2, 'x', 4)", "UPDATE s."+name+" SET \"OLD\" = 3, c1 = NULL")
			if got, want := w.story("s."+name, "1"), "update OLD: 2 → 3; c1: 4 → NULL;"; !strings.HasSuffix(got, want) {
				w.Errorf("%s: %s", name, got)
			}
			w.exec("DROP SCHEMA s CASCADE")
		}
	})
}

// TestPlanOfAnySession: a plan names partitions with their schema, though that of the session that made it leads there.
func TestPlanOfAnySession(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.exec("CREATE SCHEMA shop", "SET search_path = shop", "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)", "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (9)")
		plan, err := w.installer().Plan(ctx, capture.Table{Name: "p"})
		w.must(err)
		w.exec("SET search_path = ''")
		w.must(w.installer().Apply(ctx, plan))
		again, err := w.installer().Plan(ctx, capture.Table{Name: "shop.p"})
		w.must(err)
		if len(again.Steps) > 0 {
			w.Errorf("%s", again)
		}
	})
}
