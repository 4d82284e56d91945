// Package roles_test shows what the roles that README names can do to each other,
// and that nothing that others define takes part in what we run.
package roles_test

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var ctx = context.Background()

// world is a database with a role that may create things in it, and is no
// superuser: the owner of what is ours.
type world struct {
	*testing.T
	e         dbtest.Engine
	dsn       string
	super     *sql.DB
	owner     *sql.DB
	ownerRole string

	mu    sync.Mutex
	notes map[string]bool
}

func newWorld(t *testing.T, e dbtest.Engine) *world {
	t.Helper()
	w := &world{T: t, e: e, dsn: e.DSN(t), ownerRole: dbtest.Name("owner"), notes: map[string]bool{}}
	w.super = dbtest.Open(t, e.Driver, w.dsn)
	w.must(w.super.ExecContext(ctx, `CREATE ROLE "`+w.ownerRole+`" LOGIN; GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO "`+w.ownerRole+`"; GRANT CREATE ON SCHEMA public TO "`+w.ownerRole+`"`))
	w.must(w.super.ExecContext(ctx, `DO $grant$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO %I', current_database(), '`+w.ownerRole+`'); END $grant$`))
	t.Cleanup(func() {
		w.must(w.super.ExecContext(ctx, `DROP OWNED BY "`+w.ownerRole+`" CASCADE; DROP ROLE "`+w.ownerRole+`"`))
	})
	w.owner = dbtest.Open(t, e.Driver, w.as(w.ownerRole))
	return w
}

func (w *world) as(role string) string { return w.dsn + " user=" + role }

// noted returns a DSN of the owner whose statements are noted.
func (w *world) noted() string {
	w.Helper()
	p := dbtest.NewProxy(w.T, dbtest.Shared(w.T).Addr())
	p.Next(dbtest.CutBefore, func(query string) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.notes[query] = true
		return false
	})
	return dbtest.Via(w.as(w.ownerRole), p.Addr())
}

// statements returns the noted ones.
func (w *world) statements() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for query := range w.notes {
		all = append(all, query)
	}
	slices.Sort(all)
	return all
}

func explains(statement string) bool {
	verb, _, _ := strings.Cut(statement, " ")
	return slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}, verb)
}

func (w *world) must(results ...any) {
	w.Helper()
	if err, ok := results[len(results)-1].(error); ok && err != nil {
		w.Fatal(err)
	}
}

func (w *world) until(what string, ok func() bool) {
	w.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("never: %s", what)
		}
	}
}

func (w *world) count(query string) (n int) {
	w.Helper()
	w.must(w.super.QueryRowContext(ctx, query).Scan(&n))
	return n
}

func (w *world) text(query string) (s string) {
	w.Helper()
	w.must(w.super.QueryRowContext(ctx, query).Scan(&s))
	return s
}
