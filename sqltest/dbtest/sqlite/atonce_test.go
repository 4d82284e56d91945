package sqlite_test

import (
	"database/sql"
	"fmt"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// first are ways in which an app's first event may come, and with it our tables.
var first = map[string]func(db *sql.DB) error{
	"a statement": func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "INSERT INTO orders (who) VALUES ('a')")
		return err
	},
	"a transaction": func(db *sql.DB) error { return inTx(db, func(tx *sql.Tx) error { return insert(tx) }) },
	"a transaction with a savepoint": func(db *sql.DB) error {
		return inTx(db, func(tx *sql.Tx) error {
			for _, query := range []string{"SAVEPOINT s", "INSERT INTO orders (who) VALUES ('a')", "RELEASE s"} {
				if _, err := tx.ExecContext(ctx, query); err != nil {
					return err
				}
			}
			return nil
		})
	},
	"a record": func(db *sql.DB) error {
		return hooks.Record(ctx, db, hooks.Event{Action: "orders.inserted"})
	},
	"a record in a transaction that reads": func(db *sql.DB) error {
		return inTx(db, func(tx *sql.Tx) error {
			var n int
			if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM orders").Scan(&n); err != nil {
				return err
			}
			return hooks.Record(ctx, tx, hooks.Event{Action: "orders.inserted"})
		})
	},
}

func insert(tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO orders (who) VALUES ('a')")
	return err
}

func inTx(db *sql.DB, f func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return fmt.Errorf("%w, %w", err, tx.Rollback())
	}
	return tx.Commit()
}

// TestManyStartAtOnce: several processes whose first events make the tables at the same
// time lose none, and say nothing.
func TestManyStartAtOnce(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		for name, begin := range first {
			t.Run(mode+"/"+name, func(t *testing.T) {
				for range 3 {
					startAtOnce(t, mode, begin)
				}
			})
		}
	}
}

func startAtOnce(t *testing.T, mode string, begin func(db *sql.DB) error) {
	t.Helper()
	w := newWorld(t)
	w.must(w.bare.ExecContext(ctx, "PRAGMA journal_mode = "+mode))
	w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id INTEGER PRIMARY KEY, who TEXT)"))
	const processes = 6
	core, logs := observer.New(zapcore.WarnLevel)
	var dbs []*sql.DB
	for range processes {
		// With separate Hubs and pools, which share nothing, as processes do.
		hub := forward.New(&forward.Options{Logger: zap.New(core), Timeout: dbtest.Patience})
		hub.Register(threadline.NewForwarder(nil), forward.Auto)
		name := dbtest.Name("sqlite")
		driver.Register(name, "sqlite", hub, driver.Capture(driver.AllTables()), driver.WriteTimeout(dbtest.Patience), driver.DefaultActor(hooks.Actor{Type: hooks.System}))
		dbs = append(dbs, dbtest.Open(t, name, w.file("_pragma=busy_timeout(180000)")))
	}
	start := make(chan struct{})
	var group sync.WaitGroup
	errs := make([]error, processes)
	for i, db := range dbs {
		group.Go(func() {
			<-start
			errs[i] = begin(db)
		})
	}
	close(start)
	group.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if got := w.text(w.bare, "SELECT count(*) FROM aftercommit_audit_events"); got != fmt.Sprint(processes) {
		t.Errorf("%s events are in the journal, want %d", got, processes)
	}
	if got := w.text(w.bare, "SELECT count(*) FROM threadline_audit_actions"); got != fmt.Sprint(processes) {
		t.Errorf("%s events are in the timeline, want %d", got, processes)
	}
	for _, l := range logs.All() {
		t.Errorf("the log says: %s %v", l.Message, l.ContextMap())
	}
}
