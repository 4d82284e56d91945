package driver_test

import (
	"context"
	"errors"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

const keptQuery = "INSERT journal"

// TestStatementIsKept: what writes the events on SQLite is prepared once for a connection, and
// closed before that is. On a server a statement that stays prepared would be that of a
// pooler's next client.
func TestStatementIsKept(t *testing.T) {
	for dialect, want := range map[hooks.Dialect]int{hooks.SQLite: 1, hooks.Postgres: 0} {
		t.Run(string(dialect), func(t *testing.T) {
			fake := sqltest.NewFakeOf(sqltest.Modern, dialect)
			s := &spy{flush: keptFlush}
			db := open(t, fake, s, adriver.WithDialect(dialect))
			for range 3 {
				commitOne(t, db)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if n := written(fake); n != 3 {
				t.Errorf("%d written, want 3", n)
			}
			prepared, open := 0, 0
			for _, c := range fake.Log() {
				switch {
				case c.Method == "PrepareContext" && c.Query == keptQuery:
					prepared++
					open++
				case c.Method == "Stmt.Close" && c.Query == keptQuery:
					open--
				case c.Method == "Close" && open > 0:
					t.Error("the connection is closed before its statement")
				}
			}
			if prepared != want || open != 0 {
				t.Errorf("prepared %d times, want %d; %d left open", prepared, want, open)
			}
		})
	}
}

// TestStatementIsKeptUntilItFails: after a failure there is a new one.
func TestStatementIsKeptUntilItFails(t *testing.T) {
	fake := sqltest.NewFakeOf(sqltest.Modern, hooks.SQLite)
	db := open(t, fake, &spy{flush: keptFlush}, adriver.WithDialect(hooks.SQLite))
	refused := errors.New("the disk is full")
	fake.On(sqltest.Call{Method: "Stmt.ExecContext", Query: keptQuery}, sqltest.Fail(refused).At(2))
	for _, want := range []error{nil, refused, nil} {
		tx := begin(t, db)
		exec(t, tx, orderStmt)
		record(t, tx, "a.b")
		if err := tx.Commit(); !errors.Is(err, want) {
			t.Errorf("Commit: %v, want %v", err, want)
		}
	}
	if n := written(fake); n != 2 {
		t.Errorf("%d written, want 2", n)
	}
	if n := len(fake.Log("PrepareContext")); n != 2 {
		t.Errorf("prepared %d times, want 2", n)
	}
}

// written is how many writes of keptFlush are committed.
func written(fake *sqltest.Fake) (n int) {
	for _, query := range fake.CommittedQueries() {
		if query == keptQuery {
			n++
		}
	}
	return n
}

// keptFlush writes an event with an argument.
func keptFlush(ctx context.Context, f hooks.Flush) (bool, error) {
	_, err := f.Conn.ExecContext(ctx, keptQuery, f.Events[0].Action)
	return err == nil, err
}
