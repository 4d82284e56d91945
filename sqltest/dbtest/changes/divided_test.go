package changes_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// divide makes the tables of changes anew, with partitions.
func (w *world) divide(p capture.Partitioning) {
	w.Helper()
	w.exec("DROP SCHEMA threadline CASCADE")
	w.partition = p
	w.must(w.installer().Migrate(ctx))
}

func (w *world) keepDivided(p capture.Partitioning, tables ...capture.Table) string {
	w.Helper()
	c := capture.Of(tables...)
	c.Options = &capture.Options{Partition: p}
	_, warnings, err := c.Keep(ctx, w.db)
	w.must(err)
	return strings.Join(warnings, "; ")
}

// partitions are those for a time, with their bounds.
func (w *world) partitions() string {
	w.Helper()
	return w.text(`SELECT string_agg(concat(c.relname, ' ', pg_get_expr(c.relpartbound, c.oid)), E'\n' ORDER BY c.relname)
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'threadline.audit_changes'::regclass AND c.relname <> 'audit_changes_default'`)
}

func (w *world) inDefault() string {
	w.Helper()
	return w.text("SELECT count(*) FROM threadline.audit_changes_default")
}

func TestDivided(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, v text)", "SET timezone = 'Asia/Kathmandu'")
		w.divide(capture.Monthly)
		var now time.Time
		w.must(w.db.QueryRowContext(ctx, "SELECT now()").Scan(&now))
		got := w.partitions()
		for n := range 13 {
			from, to := time.Date(now.UTC().Year(), now.UTC().Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC), time.Date(now.UTC().Year(), now.UTC().Month()+time.Month(n+1), 1, 0, 0, 0, 0, time.UTC)
			want := w.text(fmt.Sprintf("SELECT concat('audit_changes_%s FOR VALUES FROM (''', timestamptz '%s', ''') TO (''', timestamptz '%s', ''')')", from.Format("20060102"), from.Format(time.RFC3339), to.Format(time.RFC3339)))
			if !strings.Contains(got, want) {
				t.Errorf("there is no %s in\n%s", want, got)
			}
		}
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "UPDATE t SET v = 'c' WHERE id = 1", "DELETE FROM t WHERE id = 2")
		w.wantStory("insert id: NULL → 1; v: NULL → a;\nupdate v: a → c;", "t", "1")
		if n := w.inDefault(); w.changes() != "4" || n != "0" {
			t.Errorf("%s changes, and %s in the default partition; want 4, 0", w.changes(), n)
		}
		page, err := w.store.Page(ctx, changes.Query{Tables: []string{"t"}, Limit: 3})
		w.must(err)
		if len(page.Changes) != 3 || page.Next == "" {
			t.Errorf("a page has %d changes, and Next %q", len(page.Changes), page.Next)
		}
		rows := 0
		for row, err := range w.store.TableAsOf(ctx, "t", w.moment()) {
			w.must(err)
			_ = row
			rows++
		}
		if rows != 1 {
			t.Errorf("the table has %d rows", rows)
		}
		// Nothing is left to do, and what is missing is made.
		w.exec("DROP TABLE " + w.text("SELECT concat('threadline.', max(relname)) FROM pg_class WHERE relname LIKE 'audit\\_changes\\_2%' AND relkind = 'r'"))
		if w.partitions() == got {
			t.Fatal("nothing was dropped")
		}
		if warned := w.keepDivided(capture.Monthly, capture.Table{Name: "t"}); warned != "" || w.partitions() != got {
			t.Errorf("Keep warns %q, and there are\n%s", warned, w.partitions())
		}
		w.must(w.installer().Migrate(ctx))
		if w.partitions() != got {
			t.Errorf("after another Migrate there are\n%s", w.partitions())
		}
		if gaps := w.text("SELECT count(*) FROM threadline.audit_gaps"); gaps != "0" {
			t.Errorf("%s gaps", gaps)
		}
	})
}

// TestDividedBehind: what no partition is for is captured all the same, and the next ones are made.
func TestDividedBehind(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY)")
		w.divide(capture.Weekly)
		w.capture(capture.Table{Name: "t"})
		names := strings.Fields(w.text("SELECT string_agg(concat('threadline.', relname), ' ' ORDER BY relname) FROM pg_class WHERE relname LIKE 'audit\\_changes\\_2%' AND relkind = 'r'"))
		if len(names) != 27 {
			t.Fatalf("there are %d partitions", len(names))
		}
		w.exec("DROP TABLE "+strings.Join(names, ", "), "INSERT INTO t VALUES (1), (2)")
		if n := w.inDefault(); n != "2" {
			t.Fatalf("%s changes in the default partition", n)
		}
		if got := w.keepDivided(capture.Weekly, capture.Table{Name: "t"}); !strings.Contains(got, `changes are in "threadline"."audit_changes_default"`) || w.partitions() != "" {
			t.Errorf("Keep warns %q, and there are %q", got, w.partitions())
		}
		err := w.installer().Migrate(ctx)
		if err == nil || !strings.Contains(err.Error(), "stay there") {
			t.Errorf("the week that has begun: %v", err)
		}
		if got := strings.Count(w.partitions(), "\n") + 1; got != 26 {
			t.Errorf("there are %d partitions\n%s", got, w.partitions())
		}
		w.exec("INSERT INTO t VALUES (3)")
		w.wantStory("insert id: NULL → 1;", "t", "1")
		w.wantStory("insert id: NULL → 3;", "t", "3")
	}, dbtest.PGX)
}

// TestDividedWaits: a transaction that reads keeps partitions from being made, and nothing waits for either.
func TestDividedWaits(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY)")
		w.divide(capture.Monthly)
		w.capture(capture.Table{Name: "t"})
		all := w.partitions()
		last := w.text("SELECT max(relname) FROM pg_class WHERE relname LIKE 'audit\\_changes\\_2%' AND relkind = 'r'")
		w.exec("DROP TABLE threadline." + last)
		reader, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		_, err = reader.ExecContext(ctx, "SELECT FROM threadline.audit_changes")
		w.must(err)
		if got := w.keepDivided(capture.Monthly, capture.Table{Name: "t"}); !strings.Contains(got, "it is tried again later") {
			t.Errorf("Keep warns %q", got)
		}
		w.exec("INSERT INTO t VALUES (1)")
		w.must(reader.Rollback())
		// One that has captured does not keep them.
		writer, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		_, err = writer.ExecContext(ctx, "INSERT INTO t VALUES (2)")
		w.must(err)
		if got := w.keepDivided(capture.Monthly, capture.Table{Name: "t"}); got != "" || w.partitions() != all {
			t.Errorf("Keep warns %q, and there are\n%s", got, w.partitions())
		}
		w.must(writer.Commit())
		if got := w.changes() + " " + w.text("SELECT count(*) FROM threadline.audit_gaps"); got != "2 0" {
			t.Errorf("changes and gaps: %s", got)
		}
		// One capturing while the default partition is locked notes no gap.
		locker, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		_, err = locker.ExecContext(ctx, "LOCK TABLE ONLY threadline.audit_changes_default IN ACCESS EXCLUSIVE MODE")
		w.must(err)
		w.exec("INSERT INTO t VALUES (3)")
		w.must(locker.Rollback())
		if got := w.changes() + " " + w.text("SELECT count(*) FROM threadline.audit_gaps"); got != "3 0" {
			t.Errorf("changes and gaps: %s", got)
		}
	}, dbtest.PGX)
}

func TestDividedOnce(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY)")
		err := capture.NewInstaller(w.db, hooks.Postgres, &capture.Options{Partition: capture.Monthly}).Migrate(ctx)
		if err == nil || !strings.Contains(err.Error(), "leave Options.Partition out") {
			t.Errorf("on an undivided table: %v", err)
		}
		w.divide(capture.Monthly)
		got := w.partitions()
		err = capture.NewInstaller(w.db, hooks.Postgres, &capture.Options{Partition: capture.Weekly}).Migrate(ctx)
		if err == nil || !strings.Contains(err.Error(), "another Options.Partition") {
			t.Errorf("with another length: %v", err)
		}
		if !strings.HasPrefix(w.partitions(), got[:40]) {
			t.Errorf("there are\n%s", w.partitions())
		}
		// A program that does not say so uses them.
		w.partition = capture.Undivided
		w.must(w.installer().Migrate(ctx))
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1)")
		if n := w.inDefault(); w.changes() != "1" || n != "0" {
			t.Errorf("%s changes, %s in the default partition", w.changes(), n)
		}
	}, dbtest.PGX)
}

// TestDividedOwner: a member of the owner's role makes them for the owner, without rights for others.
func TestDividedOwner(t *testing.T) {
	with(t, func(w *world) {
		owner, member, reader := dbtest.Name("owner"), dbtest.Name("member"), dbtest.Name("reader")
		w.exec("DROP SCHEMA threadline CASCADE", `CREATE ROLE "`+owner+`"`, `CREATE ROLE "`+member+`" LOGIN IN ROLE "`+owner+`"`, `CREATE ROLE "`+reader+`"`, `CREATE SCHEMA threadline AUTHORIZATION "`+owner+`"`,
			`ALTER DEFAULT PRIVILEGES FOR ROLE "`+member+`" GRANT SELECT, INSERT ON TABLES TO PUBLIC, "`+reader+`"`)
		w.Cleanup(func() {
			w.exec(`DROP OWNED BY "`+owner+`", "`+member+`", "`+reader+`" CASCADE`, `DROP ROLE "`+owner+`", "`+member+`", "`+reader+`"`)
		})
		db := dbtest.Open(t, dbtest.PGX.Driver, w.dsn+" user="+member)
		w.must(capture.NewInstaller(db, hooks.Postgres, &capture.Options{Partition: capture.Monthly}).Migrate(ctx))
		const others = `SELECT string_agg(concat(c.relname, ' ', pg_get_userbyid(c.relowner), ' ', c.relacl), ', ' ORDER BY c.relname)
			FROM pg_class c WHERE c.relnamespace = 'threadline'::regnamespace AND c.relkind IN ('r', 'p') AND (pg_get_userbyid(c.relowner) <> '%s' OR has_table_privilege('%s', c.oid, 'SELECT'))`
		if got := w.text(fmt.Sprintf(others, owner, reader)); got != "" {
			t.Errorf("not the owner's alone: %s", got)
		}
		if n := strings.Count(w.partitions(), "\n") + 1; n != 13 {
			t.Errorf("%d partitions", n)
		}
	}, dbtest.PGX)
}
