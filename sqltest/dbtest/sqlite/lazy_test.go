package sqlite_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	msqlite "modernc.org/sqlite"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestReadOnlyPool: a pool that cannot write, opened before anything of ours is
// there, reads as the bare driver does.
func TestReadOnlyPool(t *testing.T) {
	for _, params := range []string{"mode=ro", "immutable=1", "mode=ro&immutable=1", "_pragma=query_only(1)"} {
		t.Run(params, func(t *testing.T) {
			w := newWorld(t)
			w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY); INSERT INTO orders VALUES (7)"))
			db := w.open(params)
			if got := w.text(db, "SELECT id FROM orders"); got != "7" {
				t.Errorf("read %q", got)
			}
			tx, err := db.BeginTx(ctx, nil)
			w.must(err)
			w.text(tx, "SELECT id FROM orders")
			w.must(tx.Commit())
			bare := dbtest.Open(t, "sqlite", w.file(params))
			const insert = "INSERT INTO orders VALUES (8)"
			if _, err = db.ExecContext(ctx, insert); err == nil {
				if _, err = bare.ExecContext(ctx, "INSERT INTO orders VALUES (9)"); err != nil {
					t.Errorf("written through a pool that cannot: %v", err)
				}
				return
			}
			if _, want := bare.ExecContext(ctx, insert); want == nil || err.Error() != want.Error() {
				t.Errorf("error %v, want %v", err, want)
			}
			w.wantNothing(w.bare)
			// Beside one that writes, it goes on.
			w.must(w.open().ExecContext(ctx, insert))
			w.wantTrail(w.bare, "orders.inserted")
			if w.text(db, "SELECT count(*) FROM orders"); w.warnings() != "" {
				t.Error(w.warnings())
			}
		})
	}
}

// TestMadeByTheFirstEvent: reading, and writing what is not captured, makes
// nothing; the first event does, in its transaction.
func TestMadeByTheFirstEvent(t *testing.T) {
	w := newWorld(t)
	db := w.open("_pragma=busy_timeout(180000)", "_pragma=journal_mode(WAL)")
	w.must(db.PingContext(ctx))
	w.text(db, "SELECT 1")
	w.wantNothing(w.bare)
	for _, end := range []string{"ROLLBACK", "COMMIT"} {
		tx, err := db.BeginTx(ctx, nil)
		w.must(err)
		w.must(tx.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
		w.must(record(tx, "order.noted"))
		w.must(tx.ExecContext(ctx, "SAVEPOINT s; INSERT INTO orders VALUES (1); ROLLBACK TO s")) // flushes before it
		if end == "ROLLBACK" {
			w.must(tx.Rollback())
			w.wantNothing(w.bare)
			continue
		}
		w.must(tx.Commit())
	}
	w.must(db.ExecContext(ctx, "INSERT INTO orders VALUES (2)"))
	w.wantTrail(w.bare, "schema.changed order.noted orders.inserted")
	w.recorder.Only(t, "schema.changed", "order.noted", "orders.inserted")
}

// TestMadeAgain: the first flush is rolled back to a savepoint, and with it what
// it made.
func TestMadeAgain(t *testing.T) {
	w := newWorld(t)
	w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
	conn := w.conn(w.open())
	for _, query := range []string{
		"BEGIN", "SAVEPOINT a", "INSERT INTO orders VALUES (1)", "SAVEPOINT b; RELEASE b", "ROLLBACK TO a", "INSERT INTO orders VALUES (2)", "COMMIT",
	} {
		w.must(conn.ExecContext(ctx, query))
	}
	w.wantTrail(w.bare, "orders.inserted")
	var registered string
	if registered = w.text(w.bare, "SELECT count(*) FROM aftercommit_cursors"); registered != "2" {
		t.Errorf("%s forwarders are registered, want 2", registered)
	}
	w.must(conn.ExecContext(ctx, "INSERT INTO orders VALUES (3)"))
	w.wantTrail(w.bare, "orders.inserted orders.inserted")
}

// TestMemory: each connection to :memory: is a database, with a trail.
func TestMemory(t *testing.T) {
	w := newWorld(t)
	db := dbtest.Open(t, w.name, ":memory:")
	a, b := w.conn(db), w.conn(db)
	for _, c := range []*sql.Conn{a, b} {
		w.must(c.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
	}
	for _, c := range []*sql.Conn{b, a, b} {
		w.must(c.ExecContext(ctx, "INSERT INTO orders DEFAULT VALUES"))
	}
	w.wantTrail(a, "schema.changed orders.inserted")
	w.wantTrail(b, "schema.changed orders.inserted orders.inserted")
	if got := w.warnings(); got != "" {
		t.Error(got)
	}
}

// TestSharedMemory: connections share a database in memory.
func TestSharedMemory(t *testing.T) {
	w := newWorld(t)
	db := dbtest.Open(t, w.name, "file:"+dbtest.Name("shared")+"?mode=memory&cache=shared")
	a, b := w.conn(db), w.conn(db)
	w.must(a.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
	for _, c := range []*sql.Conn{b, a} {
		w.must(c.ExecContext(ctx, "INSERT INTO orders DEFAULT VALUES"))
	}
	w.wantTrail(b, "schema.changed orders.inserted orders.inserted")
}

// TestBusyAtConnect: a file that is locked when the first connection comes does
// not keep it out.
func TestBusyAtConnect(t *testing.T) {
	w := newWorld(t)
	w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
	holder := w.conn(w.bare)
	w.must(holder.ExecContext(ctx, "BEGIN EXCLUSIVE"))
	db := w.open()
	want := dbtest.Open(t, "sqlite", w.file()).PingContext(ctx)
	if err := db.PingContext(ctx); fmt.Sprint(err) != fmt.Sprint(want) {
		t.Errorf("Ping: %v, want %v", err, want)
	}
	_, err := db.ExecContext(ctx, "INSERT INTO orders VALUES (1)")
	if err == nil || !strings.Contains(err.Error(), "SQLITE_BUSY") {
		t.Errorf("error %v, want SQLITE_BUSY", err)
	}
	w.must(holder.ExecContext(ctx, "ROLLBACK"))
	w.must(db.ExecContext(ctx, "INSERT INTO orders VALUES (1)"))
	w.wantTrail(w.bare, "orders.inserted")
}

// TestFormatOfTheFile: what an app sets before its first table takes effect.
func TestFormatOfTheFile(t *testing.T) {
	w := newWorld(t)
	conn := w.conn(w.open())
	for _, query := range []string{"PRAGMA page_size = 8192", "PRAGMA encoding = 'UTF-16le'", "PRAGMA auto_vacuum = FULL", "CREATE TABLE orders (id integer PRIMARY KEY)"} {
		w.must(conn.ExecContext(ctx, query))
	}
	if got := w.text(conn, "PRAGMA page_size") + w.text(conn, "PRAGMA encoding") + w.text(conn, "PRAGMA auto_vacuum"); got != "8192UTF-16le1" {
		t.Errorf("the file has %s", got)
	}
	w.wantTrail(conn, "schema.changed")
}

// TestBackupTarget: a connection that an online backup is written to gets nothing
// of ours, and goes on with what was restored.
func TestBackupTarget(t *testing.T) {
	w := newWorld(t)
	w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY); INSERT INTO orders VALUES (7)"))
	target := w.conn(dbtest.Open(t, w.name, ":memory:"))
	w.wantNothing(target)
	w.must(target.Raw(func(dc any) error {
		restore, err := driver.Raw(dc).(interface {
			NewRestore(string) (*msqlite.Backup, error)
		}).NewRestore(w.path)
		if err != nil {
			return err
		}
		if _, err := restore.Step(-1); err != nil {
			return err
		}
		return restore.Finish()
	}))
	w.wantNothing(target)
	if got := w.text(target, "SELECT id FROM orders"); got != "7" {
		t.Errorf("restored %q", got)
	}
	w.must(target.ExecContext(ctx, "INSERT INTO orders VALUES (8)"))
	w.wantTrail(target, "orders.inserted")
}

// TestRegisteredWithACommit: a forwarder that is new to a journal is registered in
// the first transaction that commits, not in one before it.
func TestRegisteredWithACommit(t *testing.T) {
	w := newWorld(t)
	w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
	w.must(w.open().ExecContext(ctx, "INSERT INTO orders VALUES (1)"))
	name, hub := dbtest.Name("sqlite"), forward.New(&forward.Options{Logger: zap.NewNop()})
	hub.Register(w.recorder, forward.Auto, forward.ID("second"))
	driver.Register(name, "sqlite", hub, driver.Capture(driver.AllTables()), driver.WriteTimeout(dbtest.Patience))
	db := dbtest.Open(t, name, w.file())
	tx, err := db.BeginTx(ctx, nil)
	w.must(err)
	w.must(tx.ExecContext(ctx, "INSERT INTO orders VALUES (2)"))
	w.must(tx.Rollback())
	w.must(db.ExecContext(ctx, "INSERT INTO orders VALUES (3)"))
	if got := w.text(w.bare, "SELECT count(*) FROM aftercommit_cursors WHERE name LIKE '%/second'"); got != "1" {
		t.Errorf("%s forwarders of that name are registered, want 1", got)
	}
}
