package driver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// open opens fake through the wrapper, on one connection.
func open(t *testing.T, fake *sqltest.Fake, hook hooks.Hook, opts ...adriver.Option) *sql.DB {
	t.Helper()
	fake.Forget()
	c, err := adriver.WrapConnector(fake, hook, append([]adriver.Option{adriver.WithDialect(hooks.Postgres)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func record(t *testing.T, h hooks.Handle, actions ...string) {
	t.Helper()
	for _, a := range actions {
		if err := hooks.Record(context.Background(), h, hooks.Event{Action: a}); err != nil {
			t.Fatalf("Record %s: %v", a, err)
		}
	}
}

func begin(t *testing.T, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func exec(t *testing.T, h hooks.Handle, queries ...string) {
	t.Helper()
	for _, q := range queries {
		if _, err := h.ExecContext(context.Background(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func TestCommitWritesInsideAndTellsAfter(t *testing.T) {
	fake, s := sqltest.NewFake(), &spy{}
	db := open(t, fake, s)
	tx := begin(t, db)
	exec(t, tx, "UPDATE orders")
	record(t, tx, "order.changed", "order.paid")
	want(t, "told before the commit", s.told())
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	want(t, "committed", fake.CommittedQueries(), "UPDATE orders", "INSERT journal order.changed", "INSERT journal order.paid")
	want(t, "told", s.told(), "committed order.changed order.paid")
}

func TestRollbackWritesNothing(t *testing.T) {
	fake, s := sqltest.NewFake(), &spy{}
	db := open(t, fake, s)
	tx := begin(t, db)
	record(t, tx, "order.changed")
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	want(t, "committed", fake.CommittedQueries())
	want(t, "told", s.told(), "rolled back order.changed")
}

// What an answer to COMMIT proves, and what the app gets to see of it.
func TestJudgement(t *testing.T) {
	refused := &sqltest.Error{Code: "40001", Message: "serialization"}
	killed := &sqltest.Error{Code: "57P01", Message: "terminated"}
	garbled := errors.New("no idea")
	for _, tt := range []struct {
		name  string
		fault sqltest.Fault
		err   error
		told  string
	}{
		{"refused", sqltest.Fail(refused), refused, "rolled back a.b"},
		{"killed after", sqltest.LoseAs(killed).After(), killed, "unknown a.b"},
		{"lost before", sqltest.Lose(), driver.ErrBadConn, "unknown a.b"},
		{"lost after", sqltest.Lose().After(), driver.ErrBadConn, "unknown a.b"},
		{"an error of no known kind", sqltest.LoseAs(garbled), garbled, "unknown a.b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake, s := sqltest.NewFake(), &spy{}
			db := open(t, fake, s)
			tx := begin(t, db)
			exec(t, tx, "UPDATE orders")
			record(t, tx, "a.b")
			fake.On(sqltest.Call{Method: "Commit"}, tt.fault)
			if err := tx.Commit(); err != tt.err { //nolint:errorlint // the very value
				t.Errorf("Commit: %v, want %v itself", err, tt.err)
			}
			want(t, "told", s.told(), tt.told)
		})
	}
}

func TestLostConnectionIsNotLent(t *testing.T) {
	fake := sqltest.NewFake()
	s := &spy{}
	s.end = func(_ context.Context, e hooks.Ended) hooks.Outcome {
		if e.Conn != nil {
			t.Error("a lost connection was lent")
		}
		return e.Outcome
	}
	db := open(t, fake, s)
	tx := begin(t, db)
	record(t, tx, "a.b")
	fake.On(sqltest.Call{Method: "Commit"}, sqltest.Lose())
	_ = tx.Commit()
	want(t, "told", s.told(), "unknown a.b")
}

func TestStrictAndBestEffort(t *testing.T) {
	locked := &sqltest.Error{Code: "55P03", Message: "lock timeout"}
	for _, tt := range []struct {
		mode      hooks.Mode
		err       error
		committed []string
		told      []string
	}{
		{hooks.Strict, locked, nil, []string{"rolled back a.b"}},
		{hooks.BestEffort, nil, []string{"UPDATE orders"}, nil},
	} {
		t.Run(tt.mode.String(), func(t *testing.T) {
			fake, s := sqltest.NewFake(), &spy{}
			db := open(t, fake, s, adriver.WithMode(tt.mode))
			fake.AnswerFunc("INSERT journal", func(sqltest.Statement) (sqltest.Answer, error) {
				return sqltest.Answer{}, locked
			})
			tx := begin(t, db)
			exec(t, tx, "UPDATE orders")
			record(t, tx, "a.b")
			if err := tx.Commit(); err != tt.err { //nolint:errorlint // the very value
				t.Errorf("Commit: %v, want %v itself", err, tt.err)
			}
			want(t, "committed", fake.CommittedQueries(), tt.committed...)
			want(t, "told", s.told(), tt.told...)
			if lost := slices.Contains(s.kinds(), "lost write_failed"); lost != (tt.mode == hooks.BestEffort) {
				t.Errorf("notices %q", s.kinds())
			}
		})
	}
}

func TestPanicsOfTheHook(t *testing.T) {
	t.Run("while writing", func(t *testing.T) {
		fake := sqltest.NewFake()
		s := &spy{flush: func(context.Context, hooks.Flush) (bool, error) { panic("boom") }}
		db := open(t, fake, s)
		tx := begin(t, db)
		exec(t, tx, "UPDATE orders")
		record(t, tx, "a.b")
		if err := tx.Commit(); err == nil {
			t.Error("the transaction committed without its events")
		}
		want(t, "committed", fake.CommittedQueries())
		exec(t, db, "UPDATE other") // the connection is usable
	})
	t.Run("afterwards", func(t *testing.T) {
		fake := sqltest.NewFake()
		s := &spy{end: func(context.Context, hooks.Ended) hooks.Outcome { panic("boom") }}
		db := open(t, fake, s)
		tx := begin(t, db)
		record(t, tx, "a.b")
		if err := tx.Commit(); err != nil {
			t.Errorf("Commit: %v", err)
		}
		want(t, "committed", fake.CommittedQueries(), "INSERT journal a.b")
		want(t, "notices", slices.DeleteFunc(s.kinds(), func(k string) bool { return k == "unattributed" }), "failed panic")
	})
}

// A handler that says that it did not write what must be written has not.
func TestEventsOfTheirOwnMustBeWritten(t *testing.T) {
	fake := sqltest.NewFake()
	s := &spy{flush: func(context.Context, hooks.Flush) (bool, error) { return false, nil }}
	db := open(t, fake, s)
	if err := hooks.Record(context.Background(), db, hooks.Event{Action: "a.b"}); err == nil {
		t.Error("Record returned nil, and nothing was written")
	}
}

func TestLateEvents(t *testing.T) {
	fake := sqltest.NewFake()
	s := &spy{}
	s.flush = func(ctx context.Context, f hooks.Flush) (bool, error) {
		if !f.Must {
			return false, nil
		}
		_, err := f.Conn.ExecContext(ctx, "INSERT journal")
		return true, err
	}
	db := open(t, fake, s)
	tx := begin(t, db)
	record(t, tx, "a.b")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	want(t, "committed", fake.CommittedQueries(), "INSERT journal")
	want(t, "told", s.told(), "committed a.b")

	// The transaction has committed when they fail: that must be said, and
	// must not make database/sql try again.
	fake.On(sqltest.Call{Query: "SAVEPOINT aftercommit_guard"}, sqltest.Lose())
	tx = begin(t, db)
	record(t, tx, "a.c")
	err := tx.Commit()
	if err == nil || errors.Is(err, driver.ErrBadConn) {
		t.Errorf("Commit: %v, want an error that is not ErrBadConn", err)
	}
}

// database/sql executes a statement again on ErrBadConn.
func TestNeverTwice(t *testing.T) {
	fake, s := sqltest.NewFake(), &spy{}
	db := open(t, fake, s, adriver.Capture(adriver.AllTables()))
	fake.On(sqltest.Call{Query: "COMMIT"}, sqltest.Lose().After())
	_, err := db.ExecContext(context.Background(), "INSERT INTO orders VALUES (1)")
	if err == nil || errors.Is(err, driver.ErrBadConn) {
		t.Errorf("Exec: %v, want an error that is not ErrBadConn", err)
	}
	want(t, "committed", fake.CommittedQueries(), "INSERT INTO orders VALUES (1)", "INSERT journal orders.inserted")
	want(t, "told", s.told(), "unknown orders.inserted")
}

// Before its COMMIT a statement may be tried again.
func TestRetriedWhenNothingHappened(t *testing.T) {
	fake, s := sqltest.NewFake(), &spy{}
	db := open(t, fake, s, adriver.Capture(adriver.AllTables()))
	fake.On(sqltest.Call{Query: "BEGIN"}, sqltest.Lose().At(1))
	exec(t, db, "INSERT INTO orders VALUES (1)")
	want(t, "committed", fake.CommittedQueries(), "INSERT INTO orders VALUES (1)", "INSERT journal orders.inserted")
}

// What a string that failed may have done to the savepoints of one transaction is
// no doubt about those of the next.
func TestDoubtEndsWithTheTransaction(t *testing.T) {
	fake := sqltest.NewFake()
	fake.AnswerFunc("SELECT nonsense", func(sqltest.Statement) (sqltest.Answer, error) {
		return sqltest.Answer{}, &sqltest.Error{Code: "42703", Message: "no such column"}
	})
	db := open(t, fake, &spy{})
	exec(t, db, "BEGIN", "SAVEPOINT a")
	if _, err := db.ExecContext(context.Background(), "SAVEPOINT s; SELECT nonsense"); err == nil {
		t.Fatal("the string did not fail")
	}
	exec(t, db, "ROLLBACK")
	fake.Reset()
	exec(t, db, "BEGIN")
	record(t, db, "a.b")
	exec(t, db, "SAVEPOINT s", "ROLLBACK TO s", "COMMIT")
	want(t, "sent", fake.Sent(), "BEGIN", "SAVEPOINT s", "ROLLBACK TO s",
		"SAVEPOINT aftercommit_guard; RELEASE SAVEPOINT aftercommit_guard; INSERT journal a.b", "COMMIT")
}
