package capture_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// stateOf returns the SQLSTATE of an error that is the driver's own, not one
// that wraps it: apps compare types.
func stateOf(err error) string {
	e, ok := err.(interface{ SQLState() string })
	if !ok {
		return ""
	}
	return e.SQLState()
}

// lockJournal keeps the journal's table from all others until unlock.
func (w *world) lockJournal() (unlock func()) {
	w.Helper()
	w.must(w.db.PingContext(ctx()))
	tx, err := w.bare.BeginTx(ctx(), nil)
	w.must(err)
	w.execOn(tx, "LOCK TABLE aftercommit.journal IN ACCESS EXCLUSIVE MODE")
	return func() { _ = tx.Rollback() }
}

// TestLockedJournal: another session keeps the journal locked. Strict mode
// gives the commit up within the write timeout, with the server's own error.
func TestLockedJournal(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, ordersTable, driver.WriteTimeout(100*time.Millisecond))
		unlock := w.lockJournal()
		defer unlock()
		w.within("a commit", func() {
			tx := w.begin()
			w.execOn(tx, "INSERT INTO orders (id) VALUES (1)")
			if err := tx.Commit(); stateOf(err) != "55P03" {
				w.Errorf("Commit: %v, want the driver's own error with 55P03", err)
			}
			if _, err := w.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (2)"); stateOf(err) != "55P03" {
				w.Errorf("Exec: %v, want the driver's own error with 55P03", err)
			}
		})
		w.wantCount("orders", 0)
		unlock()
		w.exec("INSERT INTO orders (id) VALUES (3)")
		w.want("orders.inserted orders#3 statements=1 rows=1")
	}, pg...)
}

// TestLockedJournalBestEffort: there the commit goes on.
func TestLockedJournalBestEffort(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, ordersTable, driver.WriteTimeout(100*time.Millisecond), driver.WithMode(hooks.BestEffort))
		unlock := w.lockJournal()
		defer unlock()
		w.within("a commit", func() {
			tx := w.begin()
			w.execOn(tx, "INSERT INTO orders (id) VALUES (1)")
			w.must(tx.Commit())
			w.exec("INSERT INTO orders (id) VALUES (2)")
		})
		w.wantCount("orders", 2)
		if lost := w.told.of(hooks.NoticeLost); len(lost) != 2 || lost[0].Err == nil {
			w.Errorf("told as lost: %+v, want two with their error", lost)
		}
		unlock()
		w.exec("INSERT INTO orders (id) VALUES (3)")
		w.want("orders.inserted orders#3 statements=1 rows=1")
	}, pg...)
}

// TestLockedSQLite: another process writes. The app gets the error that the
// bare driver gives it, and no half of anything.
func TestLockedSQLite(t *testing.T) {
	e := dbtest.SQLite.With("impatient", func(tb testing.TB) string { return dbtest.SQLiteFile(tb, "busy_timeout(1)") })
	w := newWorld(t, e, ordersTable)
	w.must(w.db.PingContext(ctx()))
	other, err := w.bare.Conn(ctx())
	w.must(err)
	defer other.Close()
	w.execOn(other, "BEGIN IMMEDIATE")
	_, err = w.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (1)")
	w.wantText(err, "database is locked")
	tx := w.begin()
	w.record(tx, "n")
	w.wantText(tx.Commit(), "database is locked")
	w.execOn(other, "ROLLBACK")
	w.wantCount("orders", 0)
	w.exec("INSERT INTO orders (id) VALUES (2)")
	w.want("orders.inserted orders#2 statements=1 rows=1")
}

// TestFullDisk: wherever the disk becomes full, rows and events agree, and when
// there is room again, the app goes on.
func TestFullDisk(t *testing.T) {
	for _, mode := range []string{"DELETE", "WAL"} {
		t.Run(mode, func(t *testing.T) {
			e := dbtest.SQLite.With("full", func(tb testing.TB) string { return dbtest.SQLiteFile(tb, "journal_mode("+mode+")") })
			w := newWorld(t, e, "CREATE TABLE blobs (id integer PRIMARY KEY, b blob)")
			conn := w.conn()
			var pages int
			w.must(conn.QueryRowContext(ctx(), "PRAGMA page_count").Scan(&pages))
			// The row's size moves the point at which it is too much.
			for size := 100; size < 40_000; size += 2500 {
				w.must(conn.QueryRowContext(ctx(), "PRAGMA max_page_count = "+itoa(pages+12)).Scan(new(int)))
				w.fill(conn, size)
				w.must(conn.QueryRowContext(ctx(), "PRAGMA max_page_count = 100000").Scan(new(int)))
				if n, events := w.count("blobs"), len(w.events()); events != 2*n {
					w.Errorf("blobs of %d bytes: %d rows, %d events, want twice as many", size, n, events)
				}
				w.execOn(conn, "DELETE FROM blobs")
				w.events()
				w.execOn(conn, "DELETE FROM aftercommit_journal")
				w.execOn(conn, "VACUUM")
				w.must(conn.QueryRowContext(ctx(), "PRAGMA page_count").Scan(&pages))
			}
			if n := len(w.told.of(hooks.NoticeFailed)); n == 0 {
				w.Error("the disk was never too full for the events alone")
			}
		})
	}
}

// fill inserts blobs until there is no room, each with two events: the captured
// one, and one that is large.
func (w *world) fill(conn *sql.Conn, size int) {
	w.Helper()
	for range 1000 {
		tx, err := conn.BeginTx(ctx(), nil)
		w.must(err)
		_, err = tx.ExecContext(ctx(), "INSERT INTO blobs (b) VALUES (zeroblob(?))", size)
		if err != nil {
			_ = tx.Rollback()
		} else {
			event := noted("n")
			event.Comment = strings.Repeat("x", 3000)
			w.must(hooks.Record(ctx(), tx, event))
			err = tx.Commit()
		}
		if err != nil {
			w.wantText(err, "full")
			return
		}
	}
	w.Fatal("the disk does not become full")
}

// TestReadOnlyFile: an app may read a database that it must not write; recording
// says what the database says.
func TestReadOnlyFile(t *testing.T) {
	w := newWorld(t, dbtest.SQLite, ordersTable)
	w.exec("INSERT INTO orders (id) VALUES (1)")
	w.want("orders.inserted orders#1 statements=1 rows=1")
	db := dbtest.Open(t, w.name, w.dsn+"&mode=ro")
	var id int
	w.must(db.QueryRowContext(ctx(), "SELECT id FROM orders").Scan(&id))
	_, err := db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (2)")
	w.wantText(err, "readonly")
	w.wantText(hooks.Record(ctx(), db, noted("n")), "readonly")
	w.want()
}

// TestReadOnlyDatabase: on PostgreSQL it is a default that a transaction may
// change, as the one of the events does.
func TestReadOnlyDatabase(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		w.setUp("INSERT INTO orders (id) VALUES (1)")
		var name string
		w.must(w.bare.QueryRowContext(ctx(), "SELECT current_database()").Scan(&name))
		w.setUp("ALTER DATABASE " + name + " SET default_transaction_read_only = on")
		w.must(w.db.QueryRowContext(ctx(), "SELECT id FROM orders").Scan(new(int)))
		_, err := w.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (2)")
		if stateOf(err) != "25006" {
			w.Errorf("Exec: %v, want the driver's own error with 25006", err)
		}
		tx := w.begin()
		w.must(tx.QueryRowContext(ctx(), "SELECT id FROM orders").Scan(new(int)))
		w.record(tx, "read")
		w.must(tx.Commit())
		w.record(w.db, "auto")
		w.want("thing.noted thing#read", "thing.noted thing#auto")
	}, pg...)
}

// TestOneConnection: an app may have only one. Nothing of ours waits for
// another.
func TestOneConnection(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.within("an app with one connection", func() {
			w.exec("INSERT INTO orders (id) VALUES (1)")
			w.must(w.db.QueryRowContext(ctx(), "INSERT INTO orders (id) VALUES (2) RETURNING id").Scan(new(int)))
			w.must(drain(w.db.QueryContext(ctx(), "UPDATE orders SET note = 'x' RETURNING id")))
			w.record(w.db, "auto")
			tx := w.begin()
			w.execOn(tx, "DELETE FROM orders WHERE id = 1")
			w.record(tx, "tx")
			w.must(hooks.OnCommit(ctx(), tx, func(context.Context) {}))
			w.must(tx.Commit())
			w.exec("BEGIN; DELETE FROM orders; COMMIT")
			w.must(driver.SetMode(ctx(), w.name, hooks.BestEffort))
		})
		if n := len(w.events()); n != 7 {
			w.Errorf("%d events, want 7", n)
		}
	})
}

// TestForeignTables: a table of our name that is not ours is left alone, and the
// first connection says so.
func TestForeignTables(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newHub(t, e, e.DSN(t))
		table := "aftercommit_journal"
		if e.Dialect == hooks.Postgres {
			table = "aftercommit.journal"
			w.setUp("CREATE SCHEMA aftercommit")
		}
		w.setUp("CREATE TABLE " + table + " (mine bigint); INSERT INTO " + table + " VALUES (7)")
		w.register(driver.Capture(driver.AllTables()))
		err := w.db.PingContext(ctx())
		var setup *journal.SetupError
		if !errors.As(err, &setup) {
			t.Fatalf("error %v, want a SetupError", err)
		}
		w.wantText(err, "is not aftercommit's", "rename")
		w.wantCount(table+" WHERE mine = 7", 1)
		if e.Dialect == hooks.Postgres {
			w.setUp("DROP SCHEMA aftercommit CASCADE")
		} else {
			w.setUp("DROP TABLE " + table)
		}
		w.must(w.db.PingContext(ctx()))
	})
}
