// Package changes_test captures row changes on real databases.
package changes_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var ctx = context.Background()

// world is a database with the tables of changes.
type world struct {
	*testing.T
	e     dbtest.Engine
	db    *sql.DB
	dsn   string
	store *changes.Store

	partition capture.Partitioning
}

// installer makes the captures in the world's database.
func (w *world) installer() *capture.Installer {
	return capture.NewInstaller(w.db, w.store.Dialect(), &capture.Options{Partition: w.partition})
}

// each runs f on each of PostgreSQL's drivers.
func each(t *testing.T, f func(w *world)) {
	t.Helper()
	with(t, f, dbtest.PostgresEngines()...)
}

// both runs f on a driver of PostgreSQL's and on SQLite.
func both(t *testing.T, f func(w *world)) {
	t.Helper()
	with(t, f, dbtest.PostgresEngines()[0], dbtest.SQLite)
}

// with runs f on some of them.
func with(t *testing.T, f func(w *world), engines ...dbtest.Engine) {
	t.Helper()
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		dsn := e.DSN(t)
		w := &world{T: t, e: e, db: dbtest.Open(t, e.Driver, dsn), dsn: dsn}
		w.store = changes.NewStore(w.db, e.Dialect, nil)
		w.must(w.installer().Migrate(ctx))
		f(w)
	}, engines...)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) exec(queries ...string) {
	w.Helper()
	for _, q := range queries {
		if _, err := w.db.ExecContext(ctx, q); err != nil {
			w.Fatalf("%s: %v", q, err)
		}
	}
}

// lose executes statements whose changes cannot be kept: another session has locked the table.
func (w *world) lose(queries ...string) {
	w.Helper()
	tx, err := w.db.BeginTx(ctx, nil)
	w.must(err)
	_, err = tx.ExecContext(ctx, "LOCK TABLE threadline.audit_changes")
	w.must(err)
	w.exec(queries...)
	w.must(tx.Rollback())
}

func (w *world) text(query string) string {
	w.Helper()
	var s sql.NullString
	if err := w.db.QueryRowContext(ctx, query).Scan(&s); err != nil {
		w.Fatalf("%s: %v", query, err)
	}
	return s.String
}

// capture plans and applies, and finds that nothing is left to do.
func (w *world) capture(tables ...capture.Table) *capture.Plan {
	w.Helper()
	p, err := w.installer().Plan(ctx, tables...)
	w.must(err)
	w.must(w.installer().Apply(ctx, p))
	again, err := w.installer().Plan(ctx, tables...)
	w.must(err)
	if len(again.Steps) > 0 {
		w.Fatalf("a second plan has steps:\n%s\nafter\n%s", again, p)
	}
	return p
}

// story is the history of a row, a line for each change.
func (w *world) story(table string, key ...string) string {
	w.Helper()
	history, err := w.store.History(ctx, table, key...)
	w.must(err)
	var lines []string
	for _, c := range history {
		line := string(c.Op)
		if c.Drifted {
			line += " (drifted)"
		}
		if c.FormerKey != nil {
			line += fmt.Sprintf(" %v to %v", c.FormerKey, c.Key)
		}
		for _, f := range c.Fields {
			line += fmt.Sprintf(" %s: %s → %s;", f.Name, f.Old, f.New)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func (w *world) wantStory(want, table string, key ...string) {
	w.Helper()
	if got := w.story(table, key...); got != strings.TrimSpace(want) {
		w.Errorf("the history of %s %v is\n%s\nwant\n%s", table, key, got, want)
	}
}

func (w *world) changes() string {
	w.Helper()
	return w.text(w.either("SELECT count(*) FROM threadline.audit_changes", "SELECT count(*) FROM threadline_audit_changes WHERE held IS NULL"))
}

// either is what is said on PostgreSQL or on SQLite.
func (w *world) either(postgres, sqlite string) string {
	if w.e.Dialect == hooks.SQLite {
		return sqlite
	}
	return postgres
}

// numbers is a query for the numbers n from 1 up to the last.
func (w *world) numbers(last int) string {
	return w.either(fmt.Sprintf("generate_series(1, %d) n", last), fmt.Sprintf("(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < %d) SELECT n FROM s)", last))
}
