package capture_test

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"slices"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestOff: the base driver, as if there were nothing else. What the app records
// is accepted, and dropped.
func TestOff(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, ordersTable, driver.WithMode(hooks.Off))
		w.exec("INSERT INTO orders (id) VALUES (1)")
		tx := w.begin()
		w.execOn(tx, "INSERT INTO orders (id) VALUES (2)")
		w.record(tx, "off")
		w.must(tx.Commit())
		w.record(w.db, "off")
		w.wantCount("orders", 2)
		w.wantForwarded(nil)
		w.wantNoJournal()
	})
}

func (w *world) wantNoJournal() {
	w.Helper()
	query := "SELECT count(*) FROM sqlite_master WHERE name LIKE 'aftercommit%'"
	if w.e.Dialect == hooks.Postgres {
		query = "SELECT count(*) FROM pg_namespace WHERE nspname = 'aftercommit'"
	}
	var n int
	w.must(w.bare.QueryRowContext(ctx(), query).Scan(&n))
	if n != 0 {
		w.Error("the journal's tables are there")
	}
}

// TestModeOfEnvironment: the variable wins over the option.
func TestModeOfEnvironment(t *testing.T) {
	t.Setenv("AFTERCOMMIT_MODE", "off")
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, ordersTable, driver.WithMode(hooks.Strict))
		w.exec("INSERT INTO orders (id) VALUES (1)")
		w.wantForwarded(nil)
		w.wantNoJournal()
	}, dbtest.PQ, dbtest.SQLite)
}

// TestModeOfEnvironmentMisspelt: better no program than one without its trail.
func TestModeOfEnvironmentMisspelt(t *testing.T) {
	t.Setenv("AFTERCOMMIT_MODE", "stric")
	w := newHub(t, dbtest.SQLite, dbtest.SQLite.DSN(t))
	wantPanic(t, func() { driver.Register(dbtest.Name("sqlite"), "sqlite", w.hub) },
		"AFTERCOMMIT_MODE", `"stric"`, "strict, best-effort or off")
}

// TestSetMode: the mode changes while the program runs; the change is told, and
// is itself an event with its actor.
func TestSetMode(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		w.exec("INSERT INTO orders (id) VALUES (1)")
		w.want("orders.inserted orders#1 statements=1 rows=1")

		w.must(driver.SetMode(as("operator"), w.name, hooks.Off))
		w.wantModeEvent("strict", "off")
		w.exec("INSERT INTO orders (id) VALUES (2)")
		w.want()

		w.must(driver.SetMode(as("operator"), w.name, hooks.BestEffort))
		w.wantModeEvent("off", "best-effort")
		w.exec("INSERT INTO orders (id) VALUES (3)")
		w.want("orders.inserted orders#3 statements=1 rows=1")

		w.must(driver.SetMode(as("operator"), w.name, hooks.BestEffort))
		w.want() // nothing has changed
		told := ""
		for _, n := range w.told.of(hooks.NoticeMode) {
			told += n.Reason + " "
		}
		if told != "off best-effort " {
			w.Errorf("told of the modes [%s], want off and best-effort", told)
		}
	})
}

// TestWhoSetsTheMode: the event has the default actor where the context names none,
// and is refused where one is required and there is none.
func TestWhoSetsTheMode(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, ordersTable, driver.RequireActor(), driver.DefaultActor(nightly))
		w.must(driver.SetMode(ctx(), w.name, hooks.BestEffort))
		w.wantActors("nightly", w.events())
		w.must(driver.SetMode(as("operator"), w.name, hooks.Strict))
		w.wantActors("operator", w.events())
		w = newWorld(t, e, ordersTable, driver.RequireActor())
		w.wantText(driver.SetMode(ctx(), w.name, hooks.BestEffort), "no actor")
	})
}

func (w *world) wantModeEvent(from, to string) {
	w.Helper()
	events := w.events()
	if len(events) != 1 {
		w.Fatalf("%d events, want 1", len(events))
	}
	e := events[0]
	if e.Action != "aftercommit.mode_changed" || e.Actor.ID != "operator" || e.Target.ID != w.name ||
		e.Metadata["from"] != from || e.Metadata["to"] != to {
		w.Errorf("event %+v, want a change from %s to %s by operator", e.Event, from, to)
	}
}

// TestSetModeInside: a transaction keeps the mode that it began with.
func TestSetModeInside(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		tx := w.begin()
		w.record(tx, "a")
		// What the change itself records waits for SQLite's only writer.
		if w.e.Dialect == hooks.SQLite {
			w.must(tx.QueryRowContext(ctx(), "SELECT count(*) FROM orders").Scan(new(int)))
		} else {
			w.execOn(tx, "INSERT INTO orders (id) VALUES (1)")
		}
		w.must(driver.SetMode(ctx(), w.name, hooks.Off))
		w.record(tx, "b")
		w.must(tx.Commit())
		tx = w.begin()
		w.record(tx, "c")
		w.must(tx.Commit())
		names := map[string]bool{}
		for _, e := range w.events() {
			names[e.Target.ID] = true
		}
		if !names["a"] || !names["b"] || names["c"] {
			w.Errorf("events %v, want a and b", names)
		}
	})
}

// TestSetModeUnknown: a name that nobody registered, a mode that is none.
func TestSetModeUnknown(t *testing.T) {
	w := newWorld(t, dbtest.SQLite, "")
	w.wantText(driver.SetMode(ctx(), "nobody", hooks.Off), `"nobody"`, "driver.Register")
	w.wantText(driver.SetMode(ctx(), w.name, hooks.Mode(7)), "mode 7")
}

// breakJournal takes the journal's table away from under the running app.
func (w *world) breakJournal() {
	w.Helper()
	w.must(w.db.PingContext(ctx()))
	if w.e.Dialect == hooks.SQLite {
		w.must(hooks.Record(ctx(), w.db, hooks.Event{Action: "journal.made"})) // the first event makes it
		w.events()
		w.setUp("ALTER TABLE aftercommit_journal RENAME TO gone")
		w.setUp("DROP TRIGGER aftercommit_write_insert")
		return
	}
	w.setUp("ALTER TABLE aftercommit.journal RENAME TO gone")
}

// TestStrict: no event, no row.
func TestStrict(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		w.breakJournal()
		if _, err := w.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (1)"); err == nil {
			w.Error("Exec says nil")
		}
		if err := w.db.QueryRowContext(ctx(), "INSERT INTO orders (id) VALUES (2) RETURNING id").Scan(new(int)); err == nil {
			w.Log("the row was served before its commit failed") // SQLite; see Rows.Close
		}
		tx := w.begin()
		w.execOn(tx, "INSERT INTO orders (id) VALUES (3)")
		if err := tx.Commit(); err == nil {
			w.Error("Commit says nil")
		}
		if err := hooks.Record(ctx(), w.db, noted("n")); err == nil {
			w.Error("Record says nil")
		}
		w.wantCount("orders", 0)
		w.wantForwarded(nil)
		w.must(w.db.PingContext(ctx()))
	})
}

// TestBestEffort: the app goes on, and every loss is told.
func TestBestEffort(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, ordersTable, driver.WithMode(hooks.BestEffort))
		w.breakJournal()
		w.exec("INSERT INTO orders (id) VALUES (1)")
		w.must(w.db.QueryRowContext(ctx(), "INSERT INTO orders (id) VALUES (2) RETURNING id").Scan(new(int)))
		tx := w.begin()
		w.execOn(tx, "INSERT INTO orders (id) VALUES (3)")
		w.record(tx, "n")
		w.must(tx.Commit())
		w.record(w.db, "n")
		w.wantCount("orders", 3)
		w.wantForwarded(nil)
		if n := w.told.total(hooks.NoticeLost); n != 5 {
			t.Errorf("%d events are told as lost, want 5", n)
		}
		for _, n := range w.told.of(hooks.NoticeLost) {
			if n.Err == nil || len(n.Events) != n.Count {
				t.Errorf("notice %+v, want the error and the events", n)
			}
		}
	})
}

// TestSetModeAfterOff: while the mode is off the driver does not ask the server
// where it is. It does when the mode changes, also inside a transaction that was
// begun unseen.
func TestSetModeAfterOff(t *testing.T) {
	for what, begin := range map[string]func(w *world, conn *sql.Conn){
		"a string": func(w *world, conn *sql.Conn) {
			w.execOn(conn, "BEGIN; SELECT 1")
		},
		"Raw": func(w *world, conn *sql.Conn) {
			w.must(conn.Raw(func(dc any) error {
				_, err := driver.Raw(dc).(sqldriver.ExecerContext).ExecContext(ctx(), "BEGIN", nil)
				return err
			}))
		},
	} {
		t.Run(what, func(t *testing.T) {
			each(t, ordersTable, func(w *world) {
				w.must(driver.SetMode(ctx(), w.name, hooks.Off))
				conn := w.conn()
				begin(w, conn)
				w.must(driver.SetMode(ctx(), w.name, hooks.Strict))
				w.execOn(conn, "INSERT INTO orders (id) VALUES (1)")
				w.execOn(conn, "ROLLBACK")
				w.execOn(conn, "INSERT INTO orders (id) VALUES (2)")
				w.wantCount("orders", 1)
				var actions []string
				for _, e := range w.events() {
					actions = append(actions, e.Action+"#"+e.Target.ID)
				}
				want := []string{"aftercommit.mode_changed#" + w.name, "aftercommit.mode_changed#" + w.name, "orders.inserted#2"}
				if !slices.Equal(actions, want) {
					w.Errorf("events %q, want %q", actions, want)
				}
			})
		})
	}
}
