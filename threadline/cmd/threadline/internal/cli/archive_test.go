package cli

import (
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/health"
)

// newArchive is a shop whose timeline and row changes are in another database. It returns that one's DSN.
func newArchive(t *testing.T) (w *world, archive string) {
	t.Helper()
	archive = dbtest.Postgres(t)
	w = &world{T: t, dsn: dbtest.Postgres(t)}
	t.Setenv("DATABASE_URL", archive)
	w.want(exitOK, "migrate", "up")
	t.Setenv("DATABASE_URL", w.dsn)
	elsewhere := threadline.NewStore(dbtest.Open(t, "postgres", archive), hooks.Postgres, nil)
	w.hub = forward.New(&forward.Options{Logger: zap.NewNop()})
	w.hub.Register(threadline.NewForwarder(&threadline.ForwarderOptions{Store: elsewhere}), forward.Async, forward.WithChanges(changes.NewSource(nil)))
	name := dbtest.Name("postgres")
	driver.Register(name, "postgres", w.hub, driver.Capture(driver.AllTables()))
	w.db = dbtest.Open(t, name, w.dsn)
	w.exec(w.db, "CREATE TABLE orders (id int PRIMARY KEY, status text)")
	w.want(exitOK, "migrate", "up")
	w.want(exitOK, "triggers", "apply", "orders", "--execute")
	w.as("alice", "order.placed", "INSERT INTO orders VALUES (42, 'new')")
	if err := w.hub.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	return w, archive
}

// TestArchive: a database that has another one's row changes is asked only for what is there, and says whose archive it is.
func TestArchive(t *testing.T) {
	w, archive := newArchive(t)
	t.Setenv("DATABASE_URL", archive)
	wantIn(t, w.want(exitOK, "history", "orders", "42"), "insert by user:alice")
	results := decode[[]health.Result](w, exitOK, "doctor")
	var parts []string
	for _, r := range results {
		parts = append(parts, r.Part)
		if r.Status != health.OK {
			t.Errorf("%s", r)
		}
		if r.Part == "archive" && (!strings.Contains(r.Text, "row changes of the database ") || !strings.Contains(r.Text, "copied at 20")) {
			t.Errorf("%s", r)
		}
	}
	if got := strings.Join(parts, " "); got != "connection clock archive timeline" {
		t.Errorf("doctor looks at %s", got)
	}
	for _, args := range [][]string{{"coverage"}, {"policy"}, {"forwarders", "status"}, {"forwarders", "dead-letters"}, {"forwarders", "retire", "x"}} {
		if r := run(t, args...); r.code != exitFinding || r.out != "" || !strings.Contains(r.err, "this is an archive of the row changes of database ") {
			t.Errorf("%v: %d, %s, %s", args, r.code, r.out, r.err)
		}
	}
}

// TestElsewhere: the app's database says that its actions seem to be in another one, as long as none is there.
func TestElsewhere(t *testing.T) {
	w, archive := newArchive(t)
	const note = "threadline.Forwarder/default has got the events"
	for _, args := range [][]string{{"search"}, {"export"}, {"incident", "table:orders"}} {
		if r := run(t, args...); r.code != exitOK || !strings.Contains(r.err, note) || strings.Contains(r.err, "actions only") {
			t.Errorf("%v: %d, %s", args, r.code, r.err)
		}
	}
	w.exec(dbtest.Open(t, "postgres", w.dsn), "DROP TABLE threadline.audit_actions, threadline.schema_version CASCADE")
	for _, args := range [][]string{{"search"}, {"export"}, {"show", "775"}} {
		if r := run(t, args...); r.code != exitUnreachable || !strings.Contains(r.err, note) || r.out != "" {
			t.Errorf("%v: %d, %s, %s", args, r.code, r.err, r.out)
		}
	}
	t.Setenv("DATABASE_URL", archive)
	if r := run(t, "search", "actor:alice"); r.code != exitOK || r.err != "" || !strings.Contains(r.out, "order.placed") {
		t.Errorf("the archive: %d, %s, %s", r.code, r.err, r.out)
	}
}

// TestNotElsewhere: an empty timeline, of a database in which nothing has happened, is none that was moved.
func TestNotElsewhere(t *testing.T) {
	noDatabase(t)
	t.Setenv("DATABASE_URL", dbtest.Postgres(t))
	w := &world{T: t}
	w.want(exitOK, "migrate", "up")
	if r := run(t, "search"); r.code != exitOK || r.err != "" {
		t.Errorf("%d, %s", r.code, r.err)
	}
}
