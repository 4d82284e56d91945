package roles_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// registrations is how many forwarders a role may register.
const registrations = 100

// TestRegistrationsAtOnce: transactions that register at the same time do not get past
// the limit, also if they do not see each other's forwarders.
func TestRegistrationsAtOnce(t *testing.T) {
	for _, e := range dbtest.PostgresEngines() {
		for isolation, want := range map[string]string{"READ COMMITTED": "54000", "REPEATABLE READ": "40001", "SERIALIZABLE": "40001"} {
			t.Run(e.Name+" "+isolation, func(t *testing.T) { newWorld(t, e).registrationsAtOnce(isolation, want) })
		}
	}
}

func (w *world) registrationsAtOnce(isolation, want string) {
	w.Helper()
	h := w.hostile()
	const some = registrations * 3 / 5
	w.must(h.app.ExecContext(ctx, "SELECT aftercommit.enlist('warm', '"+h.place+"')"))
	one, two := h.begin(isolation), h.begin(isolation)
	w.must(one.ExecContext(ctx, h.registers("one", some)))
	done := make(chan error, 1)
	go func() {
		_, err := two.ExecContext(ctx, h.registers("two", some))
		done <- err
	}()
	w.until("the other waits", func() bool {
		return w.count("SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE usename = '"+h.appRole+"' AND wait_event_type = 'Lock'") == 1
	})
	w.must(one.ExecContext(ctx, "COMMIT"))
	if err := <-done; hooks.SQLState(err) != want {
		w.Errorf("the other registers too: %v, want SQLSTATE %s", err, want)
	}
	w.must(two.ExecContext(ctx, "ROLLBACK"))
	if n := w.count("SELECT pg_catalog.count(*) FROM aftercommit.cursors WHERE retired_at IS NULL"); n != 2+some {
		w.Errorf("%d are registered, want %d", n, 2+some)
	}
	// What is retired does not count.
	w.must(h.app.ExecContext(ctx, h.registers("three", registrations-some-1)))
	if _, err := h.app.ExecContext(ctx, h.registers("four", 1)); hooks.SQLState(err) != "54000" || !strings.Contains(err.Error(), h.appRole) {
		w.Errorf("beyond the limit: %v", err)
	}
	w.must(h.store.Retire(ctx, w.owner, "one1"))
	w.must(h.app.ExecContext(ctx, h.registers("four", 1)))
}

// begin begins a transaction of the app's, with a snapshot of this moment.
func (h *hostile) begin(isolation string) *sql.Conn {
	h.Helper()
	conn, err := h.app.Conn(ctx)
	h.must(err)
	h.Cleanup(func() { _ = conn.Close() })
	h.must(conn.ExecContext(ctx, "BEGIN ISOLATION LEVEL "+isolation))
	h.must(conn.ExecContext(ctx, "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class"))
	return conn
}

func (h *hostile) registers(name string, n int) string {
	return fmt.Sprintf("SELECT aftercommit.enlist('%s' || i, '%s') FROM pg_catalog.generate_series(1, %d) i", name, h.place, n)
}

// TestUnregistered: a forwarder that cannot be registered, because of what its own or
// another role has registered, keeps no app from working, and is registered later.
func TestUnregistered(t *testing.T) {
	const sinkName = "roles_test.sink/new"
	tests := map[string]struct {
		by, run string // the hostile role's or the app's own, left in a transaction
		undo    func(h *hostile)
		waits   bool
	}{
		"another role's limit": {by: "app", run: "COMMIT; {limit}"},
		"its role's limit": {by: "victim", run: "COMMIT; {limit}", waits: true, undo: func(h *hostile) {
			h.must(h.store.Retire(ctx, h.owner, "f1"))
		}},
		"its name, locked by another role": {by: "app", run: "SELECT aftercommit.enlist('" + sinkName + "', '{place}')", waits: true},
	}
	for _, e := range dbtest.PostgresEngines() {
		for name, test := range tests {
			t.Run(e.Name+" "+name, func(t *testing.T) {
				w := newWorld(t, e)
				h := w.hostile()
				holder := map[string]*sql.DB{"app": h.app, "victim": h.victim}[test.by]
				conn, err := holder.Conn(ctx)
				w.must(err)
				defer func() { _ = conn.Close() }()
				run := strings.NewReplacer("{limit}", h.registers("f", registrations), "{place}", h.place).Replace(test.run)
				for stmt := range strings.SplitSeq("BEGIN; "+run, "; ") {
					w.must(conn.ExecContext(ctx, stmt))
				}
				app, logs := h.elsewhere()
				w.must(hooks.Record(ctx, app, hooks.Event{Action: "thing.happened"}))
				waits := logs.FilterMessageSnippet("delivery waits")
				if waits.Len() > 0 != test.waits {
					t.Fatalf("it waits: %v, want %v", waits.All(), test.waits)
				}
				if test.undo != nil {
					test.undo(h)
				}
				_, _ = conn.ExecContext(ctx, "ROLLBACK")
				w.until("it is registered", func() bool {
					return w.count("SELECT pg_catalog.count(*) FROM aftercommit.cursors WHERE name = '"+sinkName+"'") == 1
				})
				w.until("delivery has started", func() bool { return logs.FilterMessage("aftercommit: started").Len() == 1 })
				if n := logs.FilterMessageSnippet("delivery waits").FilterLevelExact(zapcore.WarnLevel).Len(); n > 1 || n == 1 != test.waits {
					t.Errorf("%d warnings", n)
				}
			})
		}
	}
}

// elsewhere is an app of the victim's with a sink that is not registered yet.
func (h *hostile) elsewhere() (*sql.DB, *observer.ObservedLogs) {
	h.Helper()
	core, logs := observer.New(zap.InfoLevel)
	audit := forward.New(&forward.Options{Logger: zap.New(core), Relay: forward.RelayElsewhere})
	audit.Register(&sink{}, forward.Auto, forward.ID("new"))
	name := dbtest.Name(h.e.Driver)
	driver.Register(name, h.e.Driver, audit, driver.WriteTimeout(dbtest.Patience))
	return dbtest.Open(h.T, name, h.as(h.victimRole)), logs
}
