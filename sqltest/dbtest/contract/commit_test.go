package contract_test

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestCommitAndRollback(t *testing.T) {
	check(t, []way{byExec},
		kept("commit", "Begin | +1 | !a | !b | Commit", "1", "a b"),
		kept("rollback", "Begin | +1 | !a | Rollback", "", ""),
		kept("one, and the next", "Begin | +1 | !a | Commit | Begin | +2 | !b | Rollback | Begin | +3 | !c | Commit", "1 3", "a c"),
		kept("captured", "Begin | @1 | @2 | !a | Commit", "1 2", "orders.inserted orders.inserted a"),
		kept("captured, rolled back", "Begin | @1 | Rollback", "", ""),
		kept("a failed statement, Commit", "Begin | +1 | !a | +1 | Commit", "", "", pg...),
		kept("a failed statement, Rollback", "Begin | +1 | !a | +1 | Rollback", "", "", pg...),
		kept("a failed statement, Commit", "Begin | +1 | !a | +1 | Commit", "1", "a", lite...),
		kept("no transaction", "+1 | !a | !b", "1", "a b"),
	)
}

// TestEntriesAreInOrder: one transaction's entries come to the sink as they
// were recorded, once, under one key.
func TestEntriesAreInOrder(t *testing.T) {
	each(t, func(w *world) {
		const n = 250
		var names []string
		tx := w.begin()
		w.insert(tx, 1)
		for i := range n {
			names = append(names, fmt.Sprint("e", i))
			w.record(tx, names[i])
		}
		w.must(tx.Commit())
		all := strings.Join(names, " ")
		w.want("1", all, all)
		got := w.sink.got()
		for i, e := range got[1:] {
			if e.Compare(got[i].Position) <= 0 || e.Tx != got[i].Tx {
				t.Errorf("entry %d: position %s after %s, transaction %v after %v", i+1, e.Text(), got[i].Text(), e.Tx, got[i].Tx)
			}
		}
	})
}

// TestForwardedAfterTheCommit looks, from another connection, at the moment of
// the forward.
func TestForwardedAfterTheCommit(t *testing.T) {
	each(t, func(w *world) {
		calls := 0
		w.sink.during = func(context.Context, []journal.Entry) error {
			calls++
			if rows, events := w.rows(), w.journal(); rows != "1" || events != "a" {
				w.Errorf("others see rows [%s] and events [%s] while they are forwarded, want [1] [a]", rows, events)
			}
			return nil
		}
		tx := w.begin()
		w.insert(tx, 1)
		w.record(tx, "a")
		if calls != 0 {
			w.Errorf("%d forwards before the commit", calls)
		}
		w.must(tx.Commit())
		if calls != 1 {
			w.Errorf("%d forwards, want 1", calls)
		}
	})
}

// TestEntryIsTheEvent compares what the sink got with what the journal has: also where the
// sink gets what the database has answered to the write, and where that says too little.
func TestEntryIsTheEvent(t *testing.T) {
	for _, tt := range []struct {
		script script
		pg     bool
	}{
		{script: "Begin | +1 | !a | Commit"},
		{script: "BEGIN | +1 | !a | COMMIT"},
		{script: "@1"},
		{script: "Begin | !a | Commit"},
		{script: "Begin | +1 | !a | SAVEPOINT s | !b | ROLLBACK TO SAVEPOINT s | !c | Commit"},
		{script: "Begin | +1 | !a | SELECT 1; SAVEPOINT s | !b | Commit"},
		{script: "Begin | +1 | !a | SELECT 1; SAVEPOINT s | !b | ROLLBACK TO SAVEPOINT s | !c | Commit"},
		{script: "Begin | +1 | !a | SELECT 1; SAVEPOINT s | ROLLBACK TO SAVEPOINT s | Commit"},
		{script: "BEGIN | +1 | !a | COMMIT AND CHAIN | +2 | !b | COMMIT", pg: true},
		{script: "SET TimeZone = 'Asia/Kathmandu' | SET DateStyle = 'SQL, DMY' | Begin | +1 | !a | Commit", pg: true},
		{script: `CREATE ROLE "contract é %" SUPERUSER | SET ROLE "contract é %" | Begin | +1 | !a | Commit | RESET ROLE | DROP ROLE "contract é %"`, pg: true},
		{script: `CREATE ROLE "contract o'r %" SUPERUSER | SET ROLE "contract o'r %" | Begin | +1 | !a | Commit | @2 | RESET ROLE | DROP ROLE "contract o'r %"`, pg: true},
	} {
		t.Run(string(tt.script), func(t *testing.T) {
			for _, mode := range []hooks.Mode{hooks.Strict, hooks.BestEffort} {
				forEach(t, func(t *testing.T, e dbtest.Engine) {
					if tt.pg && e.Dialect != hooks.Postgres {
						t.Skip("only PostgreSQL knows it")
					}
					w := newWorld(t, e, setup{driver: []driver.Option{driver.WithMode(mode)}})
					r := &runner{e: e, conn: w.conn(), way: byExec, other: w.bare}
					for _, step := range tt.script.steps() {
						w.must(r.step(strings.ReplaceAll(step, "%", e.Name))) // roles are the cluster's
					}
					w.wantEntries()
				})
			}
		})
	}
	t.Run("many events", func(t *testing.T) {
		each(t, func(w *world) {
			tx := w.begin()
			w.insert(tx, 1)
			for i := range hooks.MaxFlush + 2 {
				w.record(tx, fmt.Sprint("e", i))
			}
			w.must(tx.Commit())
			w.wantEntries()
		})
	})
}

// wantEntries asks for the journal's entries in the sink.
func (w *world) wantEntries() {
	w.Helper()
	j, err := journal.New(w.e.Dialect, nil)
	w.must(err)
	entries, err := j.List(ctx(), w.bare, journal.Query{Limit: 2 * hooks.MaxFlush})
	w.must(err)
	if len(entries) == 0 {
		w.Error("the journal is empty")
	}
	if got, want := fmt.Sprintf("%+v", w.sink.got()), fmt.Sprintf("%+v", entries); got != want {
		w.Errorf("forwarded\n%.2000s\njournal\n%.2000s", got, want)
	}
}

func TestPanicRollsBack(t *testing.T) {
	each(t, func(w *world) {
		func() {
			defer func() { _ = recover() }()
			tx := w.begin()
			defer func() { _ = tx.Rollback() }()
			w.insert(tx, 1)
			w.record(tx, "a")
			panic("the app's")
		}()
		w.want("", "", "")
	})
}

func TestContextCancelledBeforeCommit(t *testing.T) {
	each(t, func(w *world) {
		c, cancel := context.WithCancel(ctx())
		tx, err := w.db.BeginTx(c, nil)
		w.must(err)
		w.insert(tx, 1)
		w.record(tx, "a")
		cancel()
		if err := tx.Commit(); err == nil {
			w.Error("Commit after the cancellation says nil")
		}
		w.want("", "", "")
		tx = w.begin()
		w.insert(tx, 2)
		w.record(tx, "b")
		w.must(tx.Commit())
		w.want("2", "b", "b")
	})
}

// TestConnectionClosed: what a connection had open goes with it.
func TestConnectionClosed(t *testing.T) {
	each(t, func(w *world) {
		conn := w.conn()
		w.must(conn.ExecContext(ctx(), "BEGIN"))
		w.insert(conn, 1)
		w.record(conn, "a")
		err := conn.Raw(func(any) error { return sqldriver.ErrBadConn })
		if !errors.Is(err, sqldriver.ErrBadConn) {
			w.Fatal(err)
		}
		w.want("", "", "")
		w.record(w.db, "b")
		w.want("", "b", "b")
	})
}

// TestOpenTransactionReturnedToThePool: a raw BEGIN, and the connection goes
// back to the pool. Whether the next user finds it there is the base driver's
// affair (lib/pq: yes; pgx discards it); the events must go where the rows go.
func TestOpenTransactionReturnedToThePool(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		conn := w.conn()
		w.must(conn.ExecContext(ctx(), "BEGIN"))
		w.insert(conn, 1)
		w.record(conn, "a")
		w.must(conn.Close())
		conn = w.conn()
		w.insert(conn, 2)
		w.record(conn, "b")
		_, _ = conn.ExecContext(ctx(), "COMMIT")
		if rows := w.rows(); strings.HasPrefix(rows, "1") {
			w.want("1 2", "a b", "a b")
		} else {
			w.want("2", "b", "b")
		}
	})
}

// TestRefusedConstraint: a deferred constraint refuses the COMMIT.
func TestRefusedConstraint(t *testing.T) {
	each(t, func(w *world) {
		tx := w.begin()
		if w.e.Name == "sqlite" {
			w.must(tx.Rollback())
			w.db.SetMaxOpenConns(1)
			w.must(w.db.ExecContext(ctx(), "PRAGMA foreign_keys=ON"))
			tx = w.begin()
		}
		w.insert(tx, 1)
		w.record(tx, "a")
		w.must(tx.ExecContext(ctx(), "INSERT INTO lines (id, thing) VALUES (1, 99)"))
		err := tx.Commit()
		w.wantState(err, "23503")
		w.want("", "", "")
		tx = w.begin()
		w.insert(tx, 2)
		w.record(tx, "b")
		w.must(tx.Commit())
		w.want("2", "b", "b")
	})
}

// TestRefusedAutocommit: a deferred constraint refuses the COMMIT of a captured
// statement outside any transaction, with the error that it would have had bare.
func TestRefusedAutocommit(t *testing.T) {
	each(t, func(w *world) {
		if w.e.Name == "sqlite" {
			w.db.SetMaxOpenConns(1)
			w.must(w.db.ExecContext(ctx(), "PRAGMA foreign_keys=ON"))
		}
		w.must(w.bare.ExecContext(ctx(), "CREATE TABLE parts (id bigint PRIMARY KEY, whole bigint REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)"))
		w.must(w.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (1)"))
		w.must(w.bare.ExecContext(ctx(), "INSERT INTO parts VALUES (1, 1)"))
		_, err := w.db.ExecContext(ctx(), "DELETE FROM orders WHERE id = 1")
		w.wantState(err, "23503")
		w.want("1", "orders.inserted", "orders.inserted")
		w.goesOn()
		w.want("1 2", "orders.inserted b", "orders.inserted b")
	})
}

// TestRefusedSerialization: of two serializable transactions that each read what
// the other wrote one cannot commit.
func TestRefusedSerialization(t *testing.T) {
	each(t, func(w *world) {
		first, second := w.conn(), w.conn()
		count := func(h queryer) {
			w.Helper()
			var n int
			w.must(h.QueryRowContext(ctx(), "SELECT count(*) FROM things").Scan(&n))
		}
		for _, c := range []execer{first, second} {
			w.must(c.ExecContext(ctx(), "BEGIN ISOLATION LEVEL SERIALIZABLE"))
		}
		count(first)
		count(second)
		w.insert(first, 1)
		w.record(first, "a")
		w.insert(second, 2)
		w.record(second, "b")
		w.must(first.ExecContext(ctx(), "COMMIT"))
		_, err := second.ExecContext(ctx(), "COMMIT")
		w.wantState(err, "40001")
		w.want("1", "a", "a")
	}, pg...)
}

// wantState asks for the base driver's own error value, as apps assert on it.
func (w *world) wantState(err error, state string) {
	w.Helper()
	got := "none"
	switch w.e.Driver {
	case "postgres":
		if e, ok := err.(*pq.Error); ok { //nolint:errorlint // the point: nothing is wrapped around it
			got = string(e.Code)
		}
	case "pgx":
		if e, ok := err.(*pgconn.PgError); ok { //nolint:errorlint // as above
			got = e.Code
		}
	default:
		if err != nil && strings.Contains(err.Error(), "constraint failed") {
			got = state
		}
	}
	if got != state {
		w.Errorf("error %s, want the driver's own with state %s", kind(err), state)
	}
}
