package delivery_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestLogNamesTheDatabase: a program with several databases can tell their lines
// apart, and none of them has a password in it.
func TestLogNamesTheDatabase(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		core, logs := observer.New(zapcore.InfoLevel)
		hub := forward.New(&forward.Options{Logger: zap.New(core)})
		hub.Register(&sink{}, forward.Auto)
		name := dbtest.Name(e.Driver)
		driver.Register(name, e.Driver, hub)
		want := make(map[string]bool)
		for range 2 {
			dsn := e.DSN(t)
			query := "SELECT current_database()"
			if e.Dialect == hooks.SQLite {
				query = "SELECT file FROM pragma_database_list"
			}
			var database string
			if err := dbtest.Open(t, e.Driver, dsn).QueryRowContext(ctx, query).Scan(&database); err != nil {
				t.Fatal(err)
			}
			want[database] = true
			db := dbtest.Open(t, name, dsn)
			if err := hooks.Record(ctx, db, hooks.Event{Action: "order.placed"}); err != nil { // by no actor
				t.Fatal(err)
			}
		}
		for _, text := range []string{"aftercommit: started", "no actor"} {
			lines := logs.FilterMessageSnippet(text).All()
			named := make(map[string]bool)
			for _, l := range lines {
				database, _ := l.ContextMap()["database"].(string)
				if strings.Contains(database, "password") {
					t.Errorf("%s: %q", l.Message, database)
				}
				database, _, _ = strings.Cut(database, " at ")
				named[database] = true
			}
			for database := range want {
				if !named[database] || len(named) != len(want) {
					t.Errorf("%q names %v, want %v", text, named, want)
				}
			}
		}
	})
}

// TestOffIsLogged: a program that is started with the mode off says so once for
// each database.
func TestOffIsLogged(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	hub := forward.New(&forward.Options{Logger: zap.New(core)})
	name := dbtest.Name(dbtest.SQLite.Driver)
	driver.Register(name, dbtest.SQLite.Driver, hub, driver.WithMode(hooks.Off))
	db := dbtest.Open(t, name, dbtest.SQLite.DSN(t))
	for range 2 {
		conn, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer func(c *sql.Conn) { _ = c.Close() }(conn)
	}
	lines := logs.FilterMessageSnippet("the mode is off").All()
	if len(lines) != 1 || logs.Len() != 1 || lines[0].ContextMap()["driver"] != name {
		t.Errorf("logged %v", logs.All())
	}
}

// TestDialectOfAnotherDatabase: a process that is given the wrong dialect says so.
func TestDialectOfAnotherDatabase(t *testing.T) {
	each(t, func(w *world) {
		lite := dbtest.Open(w.T, dbtest.SQLite.Driver, dbtest.SQLite.DSN(w.T))
		for what, run := range map[string]func(*forward.Hub) error{
			"relay, PostgreSQL": func(h *forward.Hub) error { return h.Relay(ctx, w.bare, hooks.SQLite) },
			"relay, SQLite":     func(h *forward.Hub) error { return h.Relay(ctx, lite, hooks.Postgres) },
		} {
			hub := forward.New(&forward.Options{Logger: zap.NewNop()})
			hub.Register(w.sink, forward.Auto)
			if err := run(hub); err == nil || !strings.Contains(err.Error(), "is not that of this database") {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// TestRelayWithoutRights: the error of a relay that runs as the app's role names
// what to grant.
func TestRelayWithoutRights(t *testing.T) {
	each(t, func(w *world) {
		dsn, _ := w.asWriter()
		hub := forward.New(&forward.Options{Logger: zap.NewNop()})
		hub.Register(w.sink, forward.Auto)
		err := hub.Relay(ctx, dbtest.Open(w.T, w.e.Driver, dsn), w.e.Dialect)
		if err == nil || !strings.Contains(err.Error(), "may not relay") || !strings.Contains(err.Error(), "GRANT ALL ON") {
			t.Errorf("error %v", err)
		}
	})
}

// TestRelayLogsItsStart: a process that only relays says for which forwarders, and where.
func TestRelayLogsItsStart(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		core, logs := observer.New(zapcore.InfoLevel)
		began := make(chan struct{})
		hub := forward.New(&forward.Options{Logger: zap.New(core, zap.Hooks(func(l zapcore.Entry) error {
			if strings.Contains(l.Message, "the relay has started") {
				close(began)
			}
			return nil
		}))})
		hub.Register(&sink{}, forward.Auto)
		running, stop := context.WithCancel(ctx)
		defer stop()
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		ended := make(chan error, 1)
		go func() { ended <- hub.Relay(running, db, e.Dialect) }()
		select {
		case <-began:
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		case err := <-ended:
			t.Fatalf("it ended without the line: %v", err)
		case <-time.After(dbtest.Patience):
			t.Fatal("it does not say that it runs")
		}
		l := logs.FilterMessageSnippet("the relay has started").All()[0].ContextMap()
		if got := fmt.Sprint(l["forwarders"]); !strings.Contains(got, "delivery_test.sink/default (async)") || l["database"] == nil {
			t.Errorf("the line has %v", l)
		}
	})
}
