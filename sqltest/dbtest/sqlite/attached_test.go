package sqlite_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// attachedApp is a connection with a second file attached, and one that holds a
// write lock on either file when it is asked to.
type attachedApp struct {
	*world
	conn   *sql.Conn
	others map[string]*sql.DB
}

func newAttached(t *testing.T, mode string) *attachedApp {
	t.Helper()
	w := newWorld(t)
	aux := filepath.Join(t.TempDir(), "aux.db")
	a := &attachedApp{world: w, others: map[string]*sql.DB{
		"main": w.bare, "aux": dbtest.Open(t, "sqlite", "file:"+aux),
	}}
	for name, db := range a.others {
		db.SetMaxOpenConns(1)
		w.text(db, "PRAGMA journal_mode = "+mode)
		table := map[string]string{"main": "orders", "aux": "stock"}[name]
		w.must(db.ExecContext(ctx, "CREATE TABLE "+table+" (id integer PRIMARY KEY); CREATE TABLE both_have (id integer PRIMARY KEY)"))
	}
	a.conn = w.conn(w.open())
	w.must(a.conn.ExecContext(ctx, "ATTACH '"+aux+"' AS aux"))
	w.must(a.conn.ExecContext(ctx, "INSERT INTO orders VALUES (100)")) // makes what is ours
	return a
}

// hold locks a file against other writers until it is called again.
func (a *attachedApp) hold(name string) (release func()) {
	a.Helper()
	a.must(a.others[name].ExecContext(ctx, "BEGIN IMMEDIATE"))
	return func() {
		a.Helper()
		a.must(a.others[name].ExecContext(ctx, "ROLLBACK"))
	}
}

// TestAttachedBusy: a statement outside a transaction waits for the databases
// that it writes to, and for the main one, where its event is. Neither has a
// busy_timeout, so that to wait is to fail.
func TestAttachedBusy(t *testing.T) {
	tests := []struct {
		query, held string
		busy        bool
	}{
		{"INSERT INTO orders DEFAULT VALUES", "aux", false},
		{"INSERT INTO main.orders DEFAULT VALUES RETURNING id", "aux", false},
		{"INSERT INTO both_have DEFAULT VALUES", "aux", false},
		{"CREATE TABLE more (id integer)", "aux", false},
		{"DELETE FROM orders", "aux", false},
		{"INSERT INTO orders DEFAULT VALUES", "main", true},
		{"INSERT INTO stock DEFAULT VALUES", "aux", true},
		{"INSERT INTO aux.stock DEFAULT VALUES", "main", true}, // unlike the bare driver: its event is in main
	}
	for _, mode := range []string{"WAL", "DELETE"} {
		for _, test := range tests {
			t.Run(fmt.Sprint(mode, " ", test.held, " held ", test.query), func(t *testing.T) {
				a := newAttached(t, mode)
				release := a.hold(test.held)
				_, err := a.conn.ExecContext(ctx, test.query)
				if busy := err != nil && strings.Contains(err.Error(), "SQLITE_BUSY"); busy != test.busy || err != nil && !busy {
					t.Errorf("error %v, busy is to be %v", err, test.busy)
				}
				release()
				a.must(a.conn.ExecContext(ctx, "INSERT INTO aux.stock VALUES (50)"))
				a.must(a.conn.ExecContext(ctx, "INSERT INTO stock VALUES (51)"))
			})
		}
	}
}

// TestAttachedBusyLate: what is recorded in a transaction that writes nothing, or
// outside one, needs the main database alone.
func TestAttachedBusyLate(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		a := newAttached(t, mode)
		release := a.hold("aux")
		tx, err := a.conn.BeginTx(ctx, nil)
		a.must(err)
		a.must(record(tx, "order.seen"))
		a.must(tx.Commit())
		a.must(record(a.conn, "order.noted"))
		release()
		a.wantTrail(a.bare, "orders.inserted order.seen order.noted")
	}
}

// TestAttachedWriters: two connections write to both files in turns, one of them
// in transactions that lock them in the other order. With a busy_timeout nobody
// fails.
func TestAttachedWriters(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		a := newAttached(t, mode)
		a.must(a.conn.ExecContext(ctx, "PRAGMA busy_timeout = 60000"))
		other := a.world.conn(a.open("_pragma=busy_timeout(60000)"))
		var aux string
		a.must(a.conn.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'aux'").Scan(&aux))
		a.must(other.ExecContext(ctx, "ATTACH '"+aux+"' AS aux"))
		done := make(chan error, 1)
		go func() {
			for range 30 {
				for _, query := range []string{"BEGIN IMMEDIATE", "INSERT INTO orders DEFAULT VALUES", "INSERT INTO stock DEFAULT VALUES", "COMMIT"} {
					if _, err := other.ExecContext(ctx, query); err != nil {
						done <- fmt.Errorf("%s: %w", query, err)
						return
					}
				}
			}
			done <- nil
		}()
		for range 30 {
			for _, query := range []string{"INSERT INTO stock DEFAULT VALUES", "INSERT INTO orders DEFAULT VALUES"} {
				if _, err := a.conn.ExecContext(ctx, query); err != nil {
					t.Errorf("%s: %s: %v", mode, query, err)
				}
			}
		}
		if err := <-done; err != nil {
			t.Errorf("%s: the other one: %v", mode, err)
		}
	}
}

// TestAttachedAfterARead: an event in a transaction that has written to the other
// file alone must be in the main one, which it can no longer write to once it has
// read and another connection has written there.
func TestAttachedAfterARead(t *testing.T) {
	for begin, busy := range map[string]bool{"BEGIN": true, "BEGIN IMMEDIATE": false} {
		a := newAttached(t, "WAL")
		a.must(a.conn.ExecContext(ctx, begin))
		a.text(a.conn, "SELECT count(*) FROM orders")
		if _, err := a.bare.ExecContext(ctx, "PRAGMA busy_timeout = 0; INSERT INTO orders DEFAULT VALUES"); (err != nil) == busy {
			t.Errorf("%s: the other one: %v", begin, err)
		}
		a.must(a.conn.ExecContext(ctx, "INSERT INTO aux.stock DEFAULT VALUES"))
		a.must(record(a.conn, "stock.counted"))
		_, err := a.conn.ExecContext(ctx, "COMMIT")
		if (err != nil && strings.Contains(err.Error(), "(517)")) != busy || err != nil && !busy {
			t.Errorf("%s: COMMIT says %v", begin, err)
		}
	}
}
