package driver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// fakeCommitter sends messages over a connection of the fake.
type fakeCommitter struct {
	base   driver.ExecerContext
	joined adriver.Joined // what it says
	ctx    *context.Context
}

func (f fakeCommitter) Commit(ctx context.Context, message string) (adriver.Joined, error) {
	*f.ctx = ctx
	if f.joined.Reached && f.joined.Rows == 0 { // the fake would write
		message = strings.Replace(message, "INSERT journal order.seen", "SELECT 1", 1)
	}
	_, err := f.base.ExecContext(ctx, message, nil)
	return f.joined, err
}

func (f fakeCommitter) Exec(ctx context.Context, message string) (adriver.Joined, error) {
	_, err := f.base.ExecContext(ctx, message, nil)
	return adriver.Joined{Reached: err == nil, Rows: 1}, err
}

// committing returns an option by which all connections have a Committer that says joined.
func committing(joined adriver.Joined, ctx *context.Context) adriver.Option {
	return adriver.WithCommitter(func(base driver.Conn) adriver.Committer {
		return fakeCommitter{base.(driver.ExecerContext), joined, ctx}
	})
}

var (
	reached   = adriver.Joined{Reached: true, Rows: 1}
	writeFree = adriver.Joined{Reached: true}
	errBefore = adriver.Joined{} // the COMMIT was not reached
)

// txJoin is one way in which the message of a Tx may go.
type txJoin struct {
	name      string
	joined    adriver.Joined
	mode      hooks.Mode
	fault     *sqltest.Fault
	err       error
	committed []string
	sent      []string // after orderStmt
	told      []string
	kinds     []string
}

var txJoins = []txJoin{
	{name: "well", joined: reached, sent: []string{joinedWrite}, committed: []string{orderStmt, journalStmt}, told: []string{"committed orders.inserted"}},
	{
		name: "refused", joined: reached, fault: of(sqltest.End(hooks.RolledBack, errRefused)), err: errRefused,
		sent: []string{joinedWrite}, told: []string{"rolled back orders.inserted"},
	},
	{
		name: "refused with the guard's words", joined: reached, fault: of(sqltest.End(hooks.RolledBack, errGone)), err: errGone,
		sent: []string{joinedWrite}, told: []string{"rolled back orders.inserted"},
	},
	{
		name: "write fails", joined: errBefore, fault: of(sqltest.Abort(errNoRight)), err: errNoRight,
		sent: []string{joinedWrite, guardProbe, "ROLLBACK"}, told: []string{"rolled back orders.inserted"}, kinds: []string{"failed journal"},
	},
	{
		name: "read-only", joined: errBefore, fault: of(sqltest.Abort(&sqltest.Error{Code: "25006"})), err: errAny,
		sent: []string{joinedWrite, guardProbe, "ROLLBACK"}, told: []string{"rolled back orders.inserted"}, kinds: []string{"failed read_only"},
	},
	{
		name: "the transaction has ended", joined: errBefore, fault: of(sqltest.End(hooks.Committed, nil)), err: nil,
		sent: []string{joinedWrite, "COMMIT"}, committed: []string{orderStmt}, told: []string{"rolled back orders.inserted"},
	},
	{
		name: "lost", joined: errBefore, fault: of(sqltest.LoseAs(errOdd)), err: errOdd,
		sent: []string{joinedWrite}, told: []string{"unknown orders.inserted"},
	},
	{
		name: "lost within the answer", joined: reached, fault: of(sqltest.LoseAs(errOdd).After()), err: errOdd,
		sent: []string{joinedWrite}, committed: []string{orderStmt, journalStmt}, told: []string{"unknown orders.inserted"},
	},
	{
		name: "the driver panics", joined: errBefore, fault: of(sqltest.Panic("within the message")), err: errAny,
		sent: []string{joinedWrite}, told: []string{"unknown orders.inserted"},
	},
	{
		name: "best effort", joined: reached, mode: hooks.BestEffort,
		sent: []string{"SAVEPOINT aftercommit_guard; " + journalStmt, "COMMIT"}, committed: []string{orderStmt, journalStmt}, told: []string{"committed orders.inserted"},
	},
}

var errGone = &sqltest.Error{Code: "25P01", Message: "as if there was no transaction"}

// TestCommitter: the COMMIT of a Tx goes with the write, and its answer is judged as if it had
// come alone.
func TestCommitter(t *testing.T) {
	for _, tt := range txJoins {
		t.Run(tt.name, tt.run)
	}
}

func (tt txJoin) run(t *testing.T) {
	fake, s := sqltest.NewFake(), &spy{flush: finalOrNot}
	var got context.Context
	db := open(t, fake, s, adriver.Capture(adriver.AllTables()), adriver.WithMode(tt.mode), adriver.DefaultActor(hooks.Actor{Type: "system", ID: "test"}), committing(tt.joined, &got))
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "BeginTx's")
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, orderStmt)
	fake.Reset()
	if tt.fault != nil {
		fake.On(sqltest.Call{Query: "SAVEPOINT aftercommit_guard"}, tt.fault.At(1))
	}
	err = tx.Commit()
	switch {
	case tt.err == errAny: //nolint:errorlint // a mark
		if err == nil {
			t.Error("Commit says nil")
		}
	case err != tt.err: //nolint:errorlint // nothing is wrapped around it
		t.Errorf("Commit: %v, want %v", err, tt.err)
	}
	want(t, "sent", fake.Sent(), tt.sent...)
	want(t, "committed", fake.CommittedQueries(), tt.committed...)
	want(t, "told", s.told(), tt.told...)
	want(t, "kinds", s.kinds(), tt.kinds...)
	if tt.mode == hooks.Strict {
		if got == nil || got.Value(key{}) != "BeginTx's" {
			t.Error("the message has another context than BeginTx had")
		} else if _, limited := got.Deadline(); limited {
			t.Error("the message has a deadline that BeginTx had not")
		}
	}
	exec(t, db, "SELECT 1") // the connection, or the next one, is well
}

// finalOrNot writes as package forward does, with the COMMIT where it may.
func finalOrNot(ctx context.Context, f hooks.Flush) (bool, error) {
	query := "INSERT journal " + f.Events[0].Action
	if f.Final != nil {
		query = f.Final(query)
	}
	res, err := f.Conn.ExecContext(ctx, query)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return f.Must || n > 0, err
}

// TestCommitterOfAWriteFreeTx: the message has committed it, and its events follow. Where that
// is not known they are lost: no row would ever show it.
func TestCommitterOfAWriteFreeTx(t *testing.T) {
	for _, tt := range []struct {
		name      string
		fault     *sqltest.Fault
		err       error
		committed []string
		told      []string
		kinds     []string
	}{
		{name: "well", committed: []string{"SELECT 1", "INSERT journal order.seen"}, told: []string{"committed order.seen"}},
		{name: "lost", fault: of(sqltest.LoseAs(errOdd)), err: errOdd, kinds: []string{"lost write_failed"}},
		{name: "refused", fault: of(sqltest.End(hooks.RolledBack, errRefused)), err: errRefused, told: []string{"rolled back order.seen"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake, s := sqltest.NewFake(), &spy{flush: finalOrNot}
			var got context.Context
			db := open(t, fake, s, adriver.DefaultActor(hooks.Actor{Type: "system", ID: "test"}), committing(writeFree, &got))
			tx := begin(t, db)
			record(t, tx, "order.seen")
			if tt.fault != nil {
				fake.On(sqltest.Call{Query: "SAVEPOINT aftercommit_guard"}, tt.fault.At(1))
			}
			if err := tx.Commit(); err != tt.err { //nolint:errorlint // nothing is wrapped around it
				t.Errorf("Commit: %v, want %v", err, tt.err)
			}
			want(t, "committed", fake.CommittedQueries(), tt.committed...)
			want(t, "told", s.told(), tt.told...)
			want(t, "kinds", s.kinds(), tt.kinds...)
		})
	}
}

// TestCommitterMaybeWriteFree: that the write has left no row shows a rollback unless the
// transaction may have written nothing, and nothing was heard of the write.
func TestCommitterMaybeWriteFree(t *testing.T) {
	for _, tt := range []struct {
		name   string
		joined adriver.Joined
		wrote  bool
		events int
		want   bool
	}{
		{name: "read", want: true, events: 1},
		{name: "read, and the write was answered", joined: reached, events: 1},
		{name: "written", wrote: true, events: 1},
		{name: "read, and written by the first of two parts", events: hooks.MaxFlush + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake, s := sqltest.NewFake(), &spy{flush: finalOrNot}
			var got context.Context
			db := open(t, fake, s, adriver.DefaultActor(hooks.Actor{Type: "system", ID: "test"}), committing(tt.joined, &got))
			tx := begin(t, db)
			if tt.wrote {
				exec(t, tx, orderStmt)
			}
			for range tt.events {
				record(t, tx, "order.seen")
			}
			message := guardProbe // is what it begins with
			if tt.events > hooks.MaxFlush {
				message = "INSERT journal"
			}
			fake.On(sqltest.Call{Query: message}, sqltest.LoseAs(errOdd).At(1))
			if err := tx.Commit(); err == nil {
				t.Error("Commit says nil")
			}
			if len(s.ended) != 1 || s.ended[0].Outcome != hooks.Unknown || s.ended[0].MaybeWriteFree != tt.want {
				t.Errorf("ended: %+v, want one that may be write-free: %t", s.ended, tt.want)
			}
		})
	}
}

// TestCommitterOnlyForTx: what the app commits in its own words is the base driver's to send,
// and so is what prepares or chains.
func TestCommitterOnlyForTx(t *testing.T) {
	fake, s := sqltest.NewFake(), &spy{flush: finalOrNot}
	var got context.Context
	db := open(t, fake, s, adriver.Capture(adriver.AllTables()), committing(reached, &got))
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exec(t, conn, "BEGIN", orderStmt, "COMMIT", "BEGIN", orderStmt, "COMMIT AND CHAIN", "ROLLBACK", "BEGIN", orderStmt, "PREPARE TRANSACTION 'x'")
	tx, err := conn.BeginTx(t.Context(), &sql.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	exec(t, conn, orderStmt)
	if got != nil {
		t.Error("the Committer was called")
	}
}

// emptyCommitter's server executes what it gets, but the write returns no row.
type emptyCommitter struct{ fakeCommitter }

func (e emptyCommitter) Exec(ctx context.Context, message string) (adriver.Joined, error) {
	_, err := e.base.ExecContext(ctx, message, nil)
	return adriver.Joined{Reached: err == nil}, err
}

// TestCommitterWithoutARow: where not even a transaction for the events alone writes them, as
// with a trigger that suppresses the row, they are lost and reported, once.
func TestCommitterWithoutARow(t *testing.T) {
	ofTx := func(t *testing.T, db *sql.DB) error {
		t.Helper()
		tx := begin(t, db)
		record(t, tx, "order.seen")
		return tx.Commit()
	}
	alone := func(t *testing.T, db *sql.DB) error {
		t.Helper()
		_, err := db.ExecContext(t.Context(), orderStmt)
		return err
	}
	for _, tt := range []struct {
		name string
		mode hooks.Mode
		do   func(*testing.T, *sql.DB) error
	}{
		{name: "after a Tx", do: ofTx},
		{name: "with a statement", do: alone},
		{name: "after a Tx, best effort", mode: hooks.BestEffort, do: ofTx},
		{name: "with a statement, best effort", mode: hooks.BestEffort, do: alone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake, s := sqltest.NewFake(), &spy{flush: finalRow}
			db := open(t, fake, s, adriver.Capture(adriver.AllTables()), adriver.WithMode(tt.mode), adriver.DefaultActor(hooks.Actor{Type: "system", ID: "test"}),
				adriver.WithCommitter(func(base driver.Conn) adriver.Committer {
					return emptyCommitter{fakeCommitter{base.(driver.ExecerContext), writeFree, new(context.Context)}}
				}))
			err := tt.do(t, db)
			if strict := tt.mode == hooks.Strict; strict != (err != nil) {
				t.Errorf("error: %v", err)
			}
			want(t, "told", s.told())
			want(t, "kinds", s.kinds(), "failed journal", "lost write_failed")
		})
	}
}

// finalRow is finalOrNot as the journal does it.
func finalRow(ctx context.Context, f hooks.Flush) (bool, error) {
	query := "INSERT journal " + f.Events[0].Action
	if f.Final != nil {
		query = f.Final(query)
	}
	_, n, err := f.Conn.QueryRow(ctx, query)
	return f.Must || n > 0, err
}
