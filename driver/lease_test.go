package driver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// commitOne commits a transaction with one event.
func commitOne(t *testing.T, db *sql.DB) {
	t.Helper()
	tx := begin(t, db)
	record(t, tx, "a.b")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// TestLentConnectionIsRevoked, also if the borrower has taken it out of the pool.
func TestLentConnectionIsRevoked(t *testing.T) {
	fake := sqltest.NewFake()
	var kept []hooks.Handle
	s := &spy{}
	keep := func(db *sql.DB) {
		conn, err := db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, db, conn)
	}
	var lent []hooks.Conn
	keepConn := func(c hooks.Conn) {
		lent = append(lent, c)
		if len(lent) <= 2 { // in the first transaction
			keep(c.DB())
		}
	}
	s.connect = func(_ context.Context, db *sql.DB) error { keep(db); return nil }
	s.flush = func(_ context.Context, f hooks.Flush) (bool, error) { keepConn(f.Conn); return true, nil }
	s.end = func(_ context.Context, e hooks.Ended) hooks.Outcome { keepConn(e.Conn); return e.Outcome }
	db := open(t, fake, s)
	commitOne(t, db)
	if len(kept) != 2*3 {
		t.Fatalf("lent %d times, want at Connect, Flush and End", len(kept)/2)
	}
	want(t, "sent", fake.Sent(), "BEGIN", guardProbe, "COMMIT") // a flush that sends nothing is not guarded
	commitOne(t, db)
	for _, c := range lent {
		kept = append(kept, c, c.DB())
		if err := c.DB().PingContext(context.Background()); err == nil || err.Error() != "sql: database is closed" {
			t.Errorf("a database that was asked for late: %v, want it closed", err) // or its goroutine stays
		}
	}
	before := len(fake.Sent())
	for i, k := range kept {
		if _, err := k.ExecContext(context.Background(), "UPDATE late"); err == nil {
			t.Errorf("loan %d was usable after its time", i)
		}
	}
	if sent := fake.Sent()[before:]; len(sent) > 0 {
		t.Errorf("sent after its time: %q", sent)
	}
	if n := fake.OpenConns(); n != 1 {
		t.Errorf("%d connections open, want the one that came back", n)
	}
}

// Begin, Commit and Rollback of the lent database must not touch the app's
// transaction, and must be real when there is none.
func TestLentTransactions(t *testing.T) {
	fake, s := sqltest.NewFake(), &spy{}
	inTx := func(ctx context.Context, db *sql.DB, query string) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, query); err != nil {
			return err
		}
		return tx.Commit()
	}
	s.flush = func(ctx context.Context, f hooks.Flush) (bool, error) {
		return true, inTx(ctx, f.Conn.DB(), "INSERT flush")
	}
	s.end = func(ctx context.Context, e hooks.Ended) hooks.Outcome {
		if err := inTx(ctx, e.Conn.DB(), "INSERT end"); err != nil {
			t.Error(err)
		}
		return e.Outcome
	}
	db := open(t, fake, s)
	commitOne(t, db)
	var txs []int
	for _, st := range fake.Committed() {
		txs = append(txs, st.Tx)
	}
	want(t, "committed", fake.CommittedQueries(), "INSERT flush", "INSERT end")
	if len(txs) != 2 || txs[0] != 1 || txs[1] != 2 {
		t.Errorf("in transactions %v, want the app's and one of its own", txs)
	}
	commits := 0
	for _, query := range fake.Sent() {
		if query == "COMMIT" {
			commits++
		}
	}
	if commits != 2 {
		t.Errorf("%d COMMITs were sent, want the app's and that of End: %q", commits, fake.Sent())
	}
}

// What is still in use when its time is over cannot go back to the app.
func TestLentConnectionStillInUseIsGivenUp(t *testing.T) {
	ctx := context.Background()
	// A call that does not give up when its context ends.
	reached, released := make(chan struct{}), make(chan struct{})
	hang := func(h hooks.Handle) (release func()) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = h.ExecContext(ctx, "UPDATE hangs")
		}()
		<-reached
		return func() { released <- struct{}{}; <-done }
	}
	for _, tt := range []struct {
		name string
		use  func(t *testing.T, c hooks.Conn) (release func())
	}{
		{"a running call", func(_ *testing.T, c hooks.Conn) func() { return hang(c) }},
		{"a running call of its database", func(_ *testing.T, c hooks.Conn) func() { return hang(c.DB()) }},
		{"open rows", func(t *testing.T, c hooks.Conn) func() {
			t.Helper()
			rows, err := c.DB().QueryContext(ctx, "SELECT many") //nolint:rowserrcheck // left open: the point
			if err != nil {
				t.Fatal(err)
			}
			return func() { _ = rows.Close(); _ = rows.Err() }
		}},
		{"an open transaction", func(t *testing.T, c hooks.Conn) func() {
			t.Helper()
			tx, err := c.DB().BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			return func() { _ = tx.Rollback() }
		}},
		{"a prepared statement", func(t *testing.T, c hooks.Conn) func() {
			t.Helper()
			conn, err := c.DB().Conn(ctx)
			if err != nil {
				t.Fatal(err)
			}
			st, err := conn.PrepareContext(ctx, "SELECT 1")
			if err != nil {
				t.Fatal(err)
			}
			return func() { _ = st.Close(); _ = conn.Close() }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake, s := sqltest.NewFake(), &spy{}
			fake.Answer("SELECT many", sqltest.Rows([]string{"n"}, nil, nil))
			fake.AnswerFunc("UPDATE hangs", func(sqltest.Statement) (sqltest.Answer, error) {
				reached <- struct{}{}
				<-released
				return sqltest.Affected(1), nil
			})
			var release func()
			s.end = func(_ context.Context, e hooks.Ended) hooks.Outcome {
				if release == nil {
					release = tt.use(t, e.Conn)
				}
				return e.Outcome
			}
			db := open(t, fake, s)
			commitOne(t, db)
			exec(t, db, "UPDATE next")
			sent := fake.Log("ExecContext")
			if last := sent[len(sent)-1]; last.Query != "UPDATE next" || last.Conn != 2 {
				t.Errorf("the app's next statement: %v, want it on a second connection", last)
			}
			release()
			if n := fake.OpenConns(); n != 1 {
				t.Errorf("%d connections open, want 1: the first was closed by its last use", n)
			}
		})
	}
}

// TestLentCallIsCancelled: a call over the lent database with its loan, and one on the
// connection itself with the context of the flush, which ends for what uses that database,
// too.
func TestLentCallIsCancelled(t *testing.T) {
	fake, s := sqltest.NewFake(), &spy{}
	hold := sqltest.NewHold()
	fake.On(sqltest.Call{Query: guardProbe + "; UPDATE hangs"}, sqltest.Hang(hold))
	got := make(chan error, 1)
	s.flush = func(ctx context.Context, f hooks.Flush) (bool, error) {
		go func() {
			_, err := f.Conn.ExecContext(ctx, "UPDATE hangs")
			got <- err
		}()
		<-hold.Reached()
		return true, nil
	}
	abandoned := open(t, fake, s)
	tx := begin(t, abandoned)
	record(t, tx, "a.b")
	_ = tx.Commit()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("the call of the flush that ran on: %v, want it cancelled", err)
	}

	var kept context.Context
	s.flush = func(ctx context.Context, f hooks.Flush) (bool, error) {
		kept = ctx
		return f.Conn.DB() != nil, nil
	}
	commitOne(t, abandoned)
	if !errors.Is(kept.Err(), context.Canceled) {
		t.Errorf("the context after the flush: %v, want it cancelled", kept.Err())
	}
	s.flush = func(ctx context.Context, f hooks.Flush) (bool, error) {
		kept = ctx
		_, err := f.Conn.ExecContext(ctx, "INSERT journal")
		return err == nil, err
	}
	commitOne(t, abandoned)
	_ = abandoned.Close()
	if !errors.Is(kept.Err(), context.Canceled) {
		t.Errorf("the context after the connection: %v, want it cancelled", kept.Err())
	}

	fake, s = sqltest.NewFake(), &spy{}
	hold = sqltest.NewHold()
	fake.On(sqltest.Call{Query: "UPDATE hangs"}, sqltest.Hang(hold))
	s.end = func(_ context.Context, e hooks.Ended) hooks.Outcome {
		go func() {
			_, err := e.Conn.DB().ExecContext(context.Background(), "UPDATE hangs")
			got <- err
		}()
		<-hold.Reached()
		return e.Outcome
	}
	db := open(t, fake, s)
	commitOne(t, db)
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("the call that ran on: %v, want it cancelled", err)
	}
}

// A call over the lent connection is not tried again on ErrBadConn, as
// database/sql would: the second attempt would go without the guard, and might
// write outside any transaction.
func TestLentCallIsNotTriedAgain(t *testing.T) {
	fake, s := sqltest.NewFake(), &spy{}
	s.flush = func(ctx context.Context, f hooks.Flush) (bool, error) {
		_, err := f.Conn.DB().ExecContext(ctx, "INSERT journal a.b")
		return err == nil, err
	}
	db := open(t, fake, s)
	fake.On(sqltest.Call{Query: "SAVEPOINT aftercommit_guard"}, sqltest.Fail(driver.ErrBadConn))
	tx := begin(t, db)
	record(t, tx, "a.b")
	if err := tx.Commit(); !errors.Is(err, driver.ErrBadConn) {
		t.Errorf("Commit: %v, want the base driver's error", err)
	}
	for _, query := range fake.Sent() {
		if query == "INSERT journal a.b" {
			t.Errorf("the events went without the guard: %q", fake.Sent())
		}
	}
	want(t, "committed", fake.CommittedQueries())
}

// TestLentConnectionWithoutExec: a base connection that executes only what is prepared gets
// the guard, and then the statement with its arguments.
func TestLentConnectionWithoutExec(t *testing.T) {
	fake, s := sqltest.NewFakeOf(sqltest.Modern&^sqltest.ExecerContext, hooks.Postgres), &spy{}
	s.flush = func(ctx context.Context, f hooks.Flush) (bool, error) {
		_, err := f.Conn.ExecContext(ctx, "INSERT journal", "a.b", int64(1))
		return err == nil, err
	}
	commitOne(t, open(t, fake, s))
	committed := fake.Committed()
	if len(committed) != 1 || committed[0].Query != "INSERT journal" || len(committed[0].Args) != 2 || committed[0].Args[0].Value != "a.b" {
		t.Errorf("committed: %v", committed)
	}
	want(t, "sent", fake.Sent(), "BEGIN", guardProbe+"; ", "INSERT journal", "COMMIT")
}
