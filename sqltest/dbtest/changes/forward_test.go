package changes_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// recorder is a forwarder to another system.
type recorder struct {
	mu      sync.Mutex
	entries []journal.Entry
}

func (r *recorder) Forward(_ context.Context, entries []journal.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, entries...)
	return nil
}

// lines are the entries: the action, the target, and of a change its fields.
func (r *recorder) lines(t *testing.T) (lines []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		line := e.Action + " " + e.Target.Type + ":" + e.Target.ID
		if e.Change != nil {
			var d changes.Diff
			if err := json.Unmarshal(e.Change, &d); err != nil {
				t.Fatal(err)
			}
			for _, f := range d.Fields {
				line += fmt.Sprintf(" %s %s→%s", f.Name, shown(f.Old), shown(f.New))
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func shown(v changes.DiffValue) string {
	if v.Text != nil {
		return *v.Text
	}
	return string(v.Kind)
}

// TestForwarded: a forwarder that asks for row changes gets them with the events of an app's transactions, and those of psql;
// one that does not ask gets events.
func TestForwarded(t *testing.T) {
	adopt(t, func(a *adoption) {
		core, logs := observer.New(zapcore.WarnLevel)
		hub := forward.New(&forward.Options{Logger: zap.New(core), Timeout: dbtest.Patience})
		with, without := &recorder{}, &recorder{}
		hub.Keep(capture.Of(capture.Table{Name: "orders", Mask: []string{"card"}}))
		hub.Register(with, forward.Auto, forward.WithChanges(changes.NewSource(nil)))
		hub.Register(without, forward.Auto, forward.ID("events"))
		name := dbtest.Name(a.e.Driver)
		driver.Register(name, a.e.Driver, hub, driver.Capture(driver.AllTables()), driver.WriteTimeout(dbtest.Patience))
		db := dbtest.Open(t, name, a.dsn)
		a.must(db.PingContext(ctx))
		a.exec("CREATE TABLE orders (id int PRIMARY KEY, state text, card text)")
		_, err := db.ExecContext(ctx, "ALTER TABLE orders ADD note text")
		a.must(err)
		until, cancel := context.WithTimeout(ctx, dbtest.Patience)
		defer cancel()
		a.must(hub.AwaitKept(until)) // it may be captured without the column before

		tx, err := db.BeginTx(ctx, nil)
		a.must(err)
		_, err = tx.ExecContext(ctx, "INSERT INTO orders VALUES (1, 'new', '4111')")
		a.must(err)
		a.must(hooks.Record(ctx, tx, hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: "1"}}))
		a.must(tx.Commit())
		tx, err = db.BeginTx(ctx, nil)
		a.must(err)
		_, err = tx.ExecContext(ctx, "UPDATE orders SET state = 'lost'")
		a.must(err)
		a.must(tx.Rollback())
		a.exec("UPDATE orders SET state = 'paid', card = '4222' WHERE id = 1") // as psql does
		a.must(hub.Drain(until))
		a.must(db.Close())

		got := slices.DeleteFunc(with.lines(t), func(line string) bool { return strings.Contains(line, "schema") })
		want := []string{
			"orders.inserted orders:", "order.placed order:1",
			"row.inserted orders:1 id absent→1 state absent→new card absent→masked note absent→null",
			"row.updated orders:1 state new→paid card masked→masked",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s\n%v", strings.Join(got, "\n"), strings.Join(want, "\n"), logs.All())
		}
		for _, line := range without.lines(t) {
			if strings.HasPrefix(line, "row.") {
				t.Errorf("without asking: %s", line)
			}
		}
	})
}

// TestForwardedWithoutRights: if a role may not read the changes, nothing is delivered until it may, and a warning says what
// to run.
func TestForwardedWithoutRights(t *testing.T) {
	with(t, func(w *world) {
		w.exec("DROP ROLE IF EXISTS changes_relay", "CREATE ROLE changes_relay")
		source := changes.NewSource(nil)
		conn, err := w.db.Conn(ctx)
		w.must(err)
		defer conn.Close()
		_, err = conn.ExecContext(ctx, "SET ROLE changes_relay")
		w.must(err)
		err = source.Check(ctx, conn)
		if err == nil {
			w.Fatal("no error")
		}
		_, grant, _ := strings.Cut(err.Error(), "run as their owner: ")
		w.exec(grant)
		w.must(source.Check(ctx, conn))
		if err := source.Read(ctx, conn, []*journal.Entry{{Position: journal.ChangePosition(700, 1)}}); err != nil {
			w.Error(err)
		}
	}, dbtest.PostgresEngines()[0])
}

// TestForwardedWhere: it is refused where row changes cannot be delivered.
func TestForwardedWhere(t *testing.T) {
	ask := forward.WithChanges(changes.NewSource(nil))
	for why, register := range map[string]func(h *forward.Hub){
		"use Async or Auto":                   func(h *forward.Hub) { h.Register(&recorder{}, forward.Sync, ask) },
		"works in the app's own database":     func(h *forward.Hub) { h.Register(inApp{}, forward.Auto, ask) },
		"pass what changes.NewSource returns": func(h *forward.Hub) { h.Register(&recorder{}, forward.Auto, forward.WithChanges(nil)) },
	} {
		func() {
			defer func() {
				if v := recover(); !strings.Contains(fmt.Sprint(v), why) {
					t.Errorf("%v, want %s", v, why)
				}
			}()
			register(forward.New(&forward.Options{Logger: zap.NewNop()}))
		}()
	}
	for _, test := range []struct {
		why, driver string
		options     forward.Options
	}{
		{"on PostgreSQL only", dbtest.SQLite.Driver, forward.Options{}},
		{"on PostgreSQL only", dbtest.SQLite.Driver, forward.Options{Relay: forward.RelayElsewhere}},
		{"there is none: the relay reads the journal, and Options.NoJournal is set", dbtest.PQ.Driver, forward.Options{NoJournal: true}},
		{"there is none: Options.Relay is RelayOff", dbtest.PQ.Driver, forward.Options{Relay: forward.RelayOff}},
	} {
		test.options.Logger = zap.NewNop()
		hub := forward.New(&test.options)
		hub.Register(&recorder{}, forward.Auto, ask)
		name := dbtest.Name(test.driver)
		driver.Register(name, test.driver, hub)
		db, err := sql.Open(name, "")
		if err == nil {
			err = db.PingContext(ctx)
			closeQuietly(db)
		}
		if err == nil || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%v, want %s", err, test.why)
		}
		if test.driver == dbtest.SQLite.Driver {
			if err := hub.Relay(ctx, dbtest.Open(t, test.driver, dbtest.SQLite.DSN(t)), hooks.SQLite); err == nil || !strings.Contains(err.Error(), test.why) {
				t.Errorf("Relay: %v, want %s", err, test.why)
			}
		}
	}
}

func closeQuietly(c io.Closer) { _ = c.Close() }

// inApp is a forwarder that works in the app's own database.
type inApp struct{}

func (inApp) Forward(context.Context, []journal.Entry) error { return nil }
func (inApp) SameDatabase() bool                             { return true }
