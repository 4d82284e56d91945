// Package coverage_test breaks captures in the ways that databases do, and wants each to be found.
package coverage_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/coverage"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var ctx = context.Background()

// world is a database with a captured table, orders.
type world struct {
	*testing.T
	db      *sql.DB
	dialect hooks.Dialect
}

func newWorld(t *testing.T, e dbtest.Engine) *world {
	t.Helper()
	w := &world{T: t, db: dbtest.Open(t, e.Driver, e.DSN(t)), dialect: e.Dialect}
	must(t, w.timeline().Migrate(ctx))
	must(t, w.installer().Migrate(ctx))
	w.exec("CREATE TABLE orders (id integer PRIMARY KEY, code text NOT NULL UNIQUE, status text, card text)")
	w.apply(orders)
	return w
}

var orders = capture.Table{Name: "orders", Mask: []string{"card"}}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) timeline() *threadline.Store { return threadline.NewStore(w.db, w.dialect, nil) }

func (w *world) installer() *capture.Installer { return capture.NewInstaller(w.db, w.dialect, nil) }

func (w *world) exec(script string) {
	w.Helper()
	for query := range strings.SplitSeq(script, ";;") {
		if _, err := w.db.ExecContext(ctx, query); err != nil {
			w.Fatalf("%s: %v", query, err)
		}
	}
}

func (w *world) apply(tables ...capture.Table) {
	w.Helper()
	p, err := w.installer().Plan(ctx, tables...)
	must(w.T, err)
	must(w.T, w.installer().Apply(ctx, p))
}

func (w *world) check(opts coverage.Options) *coverage.Report {
	w.Helper()
	r, err := coverage.NewChecker(w.db, w.dialect, &opts).Check(ctx)
	must(w.T, err)
	return r
}

// found are the findings, each "code table.column", without the schema that each dialect has for all.
func found(r *coverage.Report) (list []string) {
	for _, f := range r.Findings {
		name := strings.TrimPrefix(strings.TrimPrefix(f.Table, "public."), "main.")
		if f.Column != "" {
			name += "." + f.Column
		}
		list = append(list, strings.TrimSpace(string(f.Code)+" "+name))
	}
	return list
}

func state(r *coverage.Report, table string) coverage.State {
	for _, t := range r.Tables {
		if strings.TrimPrefix(strings.TrimPrefix(t.Name, "public."), "main.") == table {
			return t.State
		}
	}
	return ""
}

// breakage is one way to break a capture, with the findings that it must cause.
type breakage struct {
	name, sql string
	opts      coverage.Options
	found     []string
	text      string // is in the first finding
}

func (b *breakage) test(t *testing.T, e dbtest.Engine) {
	t.Helper()
	w := newWorld(t, e)
	if b.sql != "" {
		w.exec(b.sql)
	}
	if b.opts.Tables == nil {
		b.opts.Tables = []capture.Table{orders}
	}
	r := w.check(b.opts)
	if got := found(r); !slices.Equal(got, b.found) {
		t.Fatalf("found %q, want %q: %v", got, b.found, r.Findings)
	}
	if len(b.found) > 0 && !strings.Contains(r.Findings[0].String(), b.text) {
		t.Errorf("%q is not in %s", b.text, r.Findings[0])
	}
}

// TestFindings of both dialects.
func TestFindings(t *testing.T) {
	for _, b := range []breakage{
		{name: "nothing"},
		{name: "new table", sql: "CREATE TABLE lines (id integer PRIMARY KEY)", found: []string{"not_captured lines"}, text: "threadline triggers apply"},
		{name: "excluded", sql: "CREATE TABLE lines (id integer PRIMARY KEY)", opts: coverage.Options{Exclude: []string{"lin*"}}},
		{name: "excluded and gone", opts: coverage.Options{Exclude: []string{"lines"}}, found: []string{"no_such_table lines"}},
		{name: "name", opts: coverage.Options{Tables: []capture.Table{{Name: "order"}, orders}}, found: []string{"no_such_table order"}, text: "did you mean"},
		{name: "view", sql: "CREATE VIEW lines AS SELECT * FROM orders"},
		{name: "view in the list", sql: "CREATE VIEW lines AS SELECT * FROM orders", opts: coverage.Options{Tables: []capture.Table{{Name: "lines"}, orders}}, found: []string{"cannot_be_captured lines"}, text: "capture the tables that it shows"},
		{name: "no such column", opts: coverage.Options{Tables: []capture.Table{{Name: "orders", Mask: []string{"card", "cvc"}}}}, found: []string{"redaction orders.cvc"}},
		{name: "looser", opts: coverage.Options{Tables: []capture.Table{{Name: "orders", Mask: []string{"card", "status"}}}}, found: []string{"redaction orders.status"}, text: "kept, but masked is configured"},
		{name: "stricter", opts: coverage.Options{Tables: []capture.Table{{Name: "orders"}}}, found: []string{"redaction orders.card"}, text: "masked, but kept is configured"},
		{name: "excluded column", opts: coverage.Options{Tables: []capture.Table{{Name: "orders", Mask: []string{"card"}, Exclude: []string{"status"}}}}, found: []string{"redaction orders.status"}, text: "kept, but excluded is configured"},
		{name: "key", opts: coverage.Options{Tables: []capture.Table{{Name: "orders", Mask: []string{"card"}, Key: []string{"code"}}}}, found: []string{"key orders"}, text: "key is (id), but (code)"},
	} {
		t.Run(b.name, func(t *testing.T) {
			for _, e := range []dbtest.Engine{dbtest.PostgresEngines()[0], dbtest.SQLite} {
				t.Run(e.Name, func(t *testing.T) { b.test(t, e) })
			}
		})
	}
}

// TestPostgresFindings: what only PostgreSQL has.
func TestPostgresFindings(t *testing.T) {
	parts := capture.Table{Name: "parts"}
	both := coverage.Options{Tables: []capture.Table{orders, parts}}
	const partitioned = "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);;CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (9)"
	for _, b := range []breakage{
		{name: "trigger disabled", sql: "ALTER TABLE orders DISABLE TRIGGER threadline_row", found: []string{"drift orders"}, text: "missing or disabled"},
		{name: "all disabled", sql: "ALTER TABLE orders DISABLE TRIGGER ALL", found: []string{"drift orders"}, text: "missing or disabled"},
		{name: "for replicas only", sql: "ALTER TABLE orders ENABLE REPLICA TRIGGER threadline_row", found: []string{"drift orders"}, text: "missing or disabled"},
		{name: "disabled for a time", sql: "ALTER TABLE orders DISABLE TRIGGER threadline_row;;ALTER TABLE orders ENABLE TRIGGER threadline_row", found: []string{"drift orders"}, text: "for a time"},
		{name: "dropped", sql: "DROP TRIGGER threadline_row ON orders", found: []string{"drift orders"}, text: "missing or disabled"},
		{name: "no triggers", sql: "DROP TRIGGER threadline_row ON orders;;DROP TRIGGER threadline_truncate ON orders", found: []string{"drift orders"}, text: "missing or disabled"},
		{name: "column added", sql: "ALTER TABLE orders ADD COLUMN note text", found: []string{"drift orders"}, text: "has changed"},
		{name: "retyped", sql: "ALTER TABLE orders ALTER id TYPE bigint", found: []string{"drift orders"}, text: "has changed"},
		{name: "renamed", sql: "ALTER TABLE orders RENAME TO sales", opts: coverage.Options{Tables: []capture.Table{{Name: "sales", Mask: []string{"card"}}}}, found: []string{"drift sales"}, text: `it was "public"."orders"`},
		{name: "key changed", sql: "ALTER TABLE orders DROP CONSTRAINT orders_pkey;;ALTER TABLE orders ADD PRIMARY KEY (code)", found: []string{"drift orders"}, text: "has changed"},
		{name: "key gone", sql: "ALTER TABLE orders DROP CONSTRAINT orders_pkey", found: []string{"drift orders", "warning orders"}},
		{name: "masked column renamed", sql: "ALTER TABLE orders RENAME card TO pan", found: []string{"drift orders", "redaction orders.pan", "redaction orders.card"}},
		{name: "unlogged", sql: "ALTER TABLE orders SET UNLOGGED", found: []string{"warning orders"}, text: "a crash empties it"},
		{name: "renamed trigger", sql: "ALTER TRIGGER threadline_row ON orders RENAME TO a_row", found: []string{"drift orders", "strange_trigger orders"}},
		{name: "trigger of a function that is not ours", sql: "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';;CREATE TRIGGER threadline_rows AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION f()", found: []string{"strange_trigger orders"}, text: "DROP TRIGGER threadline_rows ON"},
		{name: "another role may execute it", sql: "CREATE ROLE coverage_other;;DO $$ DECLARE f text; BEGIN SELECT p.oid::regprocedure INTO f FROM pg_proc p WHERE p.pronamespace = 'threadline'::regnamespace AND p.proname LIKE 'capture%'; EXECUTE 'GRANT EXECUTE ON FUNCTION ' || f || ' TO coverage_other'; END $$", found: []string{"drift orders"}, text: "may execute its function"},
		{name: "partitioned", sql: partitioned, opts: both, found: []string{"not_captured parts"}},
		{name: "partition in the list", sql: partitioned, opts: coverage.Options{Tables: []capture.Table{orders, {Name: "parts_1"}}}, found: []string{"cannot_be_captured parts_1", "not_captured parts"}},
		{name: "foreign table", sql: "CREATE FOREIGN DATA WRAPPER w;;CREATE SERVER s FOREIGN DATA WRAPPER w;;CREATE FOREIGN TABLE far (id int) SERVER s"},
		{name: "materialized view", sql: "CREATE MATERIALIZED VIEW sums AS SELECT count(*) FROM orders"},
		{name: "another schema", sql: `CREATE SCHEMA "Queue";;CREATE TABLE "Queue"."Job" (id int)`, found: []string{`not_captured "Queue"."Job"`}, text: `'"Queue"."Job"' --execute`},
		{name: "a schema excluded", sql: `CREATE SCHEMA "Queue";;CREATE TABLE "Queue"."Job" (id int)`, opts: coverage.Options{Exclude: []string{"Queue.*"}}},
	} {
		t.Run(b.name, func(t *testing.T) { b.test(t, dbtest.PostgresEngines()[0]) })
	}
}

// TestSQLiteFindings: what only SQLite has.
func TestSQLiteFindings(t *testing.T) {
	for _, b := range []breakage{
		{name: "column added", sql: "ALTER TABLE orders ADD COLUMN note text", found: []string{"drift orders"}, text: "has changed"},
		{name: "virtual table", sql: "CREATE VIRTUAL TABLE words USING fts5(text)"},
	} {
		t.Run(b.name, func(t *testing.T) { b.test(t, dbtest.SQLite) })
	}
}

// TestSQLiteTriggersDropped: by a program that takes them for its own.
func TestSQLiteTriggersDropped(t *testing.T) {
	w := newWorld(t, dbtest.SQLite)
	rows, err := w.db.QueryContext(ctx, "SELECT 'DROP TRIGGER \"' || name || '\"' FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'orders'")
	must(t, err)
	var drops []string
	for rows.Next() {
		var drop string
		must(t, rows.Scan(&drop))
		drops = append(drops, drop)
	}
	must(t, errors.Join(rows.Err(), rows.Close()))
	w.exec(strings.Join(drops[:1], ";;"))
	r := w.check(coverage.Options{})
	if got := found(r); len(got) != 1 || got[0] != "drift orders" {
		t.Errorf("one is gone: %v", r.Findings)
	}
	w.exec(strings.Join(drops[1:], ";;"))
	r = w.check(coverage.Options{})
	if got := found(r); len(got) != 1 || got[0] != "drift orders" || !strings.Contains(r.Findings[0].Text, "missing") {
		t.Errorf("all are gone: %v", r.Findings)
	}
}

// TestFixes: the command of a finding does what it is to do: afterwards there is no finding.
func TestFixes(t *testing.T) {
	w := newWorld(t, dbtest.PostgresEngines()[0])
	w.exec(`CREATE TABLE "Order lines" (id int PRIMARY KEY, mail text);;ALTER TABLE orders DISABLE TRIGGER threadline_row`)
	spec := regexp.MustCompile(`threadline triggers apply (\S+|'[^']*') --execute`)
	for range 5 {
		r := w.check(coverage.Options{})
		if len(r.Findings) == 0 {
			if got := state(r, `"Order lines"`); got != coverage.Covered {
				t.Errorf("the table is %q", got)
			}
			return
		}
		m := spec.FindStringSubmatch(r.Findings[0].Fix)
		if m == nil {
			t.Fatalf("no command: %v", r.Findings[0])
		}
		w.apply(tableOf(strings.Trim(m[1], "'")))
	}
	t.Error("there are still findings")
}

// tableOf reads a word as the program threadline does, as far as this test needs it.
func tableOf(word string) capture.Table {
	name, rest, _ := strings.Cut(word, ":")
	t := capture.Table{Name: name}
	if columns, ok := strings.CutPrefix(rest, "mask="); ok {
		t.Mask = strings.Split(columns, ",")
	}
	return t
}

// TestPersonalColumns: one command masks all of a table's, whichever finding it is taken from.
func TestPersonalColumns(t *testing.T) {
	w := newWorld(t, dbtest.SQLite)
	w.exec("CREATE TABLE people (id INTEGER PRIMARY KEY, email text, token text, hair text)")
	w.apply(capture.Table{Name: "people"})
	r := w.check(coverage.Options{})
	if got, want := fmt.Sprint(found(r)), "[personal people.email personal people.token]"; got != want {
		t.Fatalf("found %s, want %s", got, want)
	}
	for _, f := range r.Findings {
		if !strings.Contains(f.Fix, "main.people:mask=email,token --execute; or accept main.people.") {
			t.Errorf("%s", f)
		}
	}
}

// TestNoHistory: a database without the tables of row changes has a report, too.
func TestNoHistory(t *testing.T) {
	for _, e := range []dbtest.Engine{dbtest.PostgresEngines()[0], dbtest.SQLite} {
		t.Run(e.Name, func(t *testing.T) {
			w := &world{T: t, db: dbtest.Open(t, e.Driver, e.DSN(t)), dialect: e.Dialect}
			w.exec("CREATE TABLE a (id integer PRIMARY KEY);;CREATE TABLE b (id integer PRIMARY KEY)")
			if got, want := fmt.Sprint(found(w.check(coverage.Options{}))), "[no_history not_captured a not_captured b]"; got != want {
				t.Errorf("found %s, want %s", got, want)
			}
		})
	}
}
