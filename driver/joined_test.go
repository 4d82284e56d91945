package driver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// final is a flush that puts the COMMIT behind its last query.
func final(ctx context.Context, f hooks.Flush) (bool, error) {
	_, err := f.Conn.ExecContext(ctx, f.Final("INSERT journal "+f.Events[0].Action))
	return err == nil, err
}

const (
	orderStmt   = "INSERT INTO orders VALUES (1)"
	journalStmt = "INSERT journal orders.inserted"
	joinedWrite = "SAVEPOINT aftercommit_guard; RELEASE SAVEPOINT aftercommit_guard; " + journalStmt + "; COMMIT"
	keptWrite   = "SAVEPOINT aftercommit_guard; " + journalStmt + "; COMMIT"
	guardProbe  = "SAVEPOINT aftercommit_guard; RELEASE SAVEPOINT aftercommit_guard"
)

var (
	errRefused = &sqltest.Error{Code: "23503", Message: "a deferred constraint"}
	errNoRight = &sqltest.Error{Code: "42501", Message: "no right"}
	errOdd     = errors.New("the driver did not send it")
)

// join is one way in which a write together with its COMMIT may go.
type join struct {
	name      string
	mode      hooks.Mode
	flush     func(context.Context, hooks.Flush) (bool, error)
	fault     *sqltest.Fault
	write     error // what the write answers
	err       error
	committed []string
	sent      []string
	told      []string
	kinds     []string
}

var joins = []join{
	{name: "well", sent: []string{"BEGIN", orderStmt, joinedWrite}, committed: []string{orderStmt, journalStmt}, told: []string{"committed orders.inserted"}},
	{
		name: "refused", fault: of(sqltest.End(hooks.RolledBack, errRefused)), err: errRefused,
		sent: []string{"BEGIN", orderStmt, joinedWrite, guardProbe}, told: []string{"rolled back orders.inserted"},
	},
	{
		name: "write fails", fault: of(sqltest.Abort(errNoRight)), err: errNoRight,
		sent: []string{"BEGIN", orderStmt, joinedWrite, guardProbe, "ROLLBACK"}, told: []string{"rolled back orders.inserted"}, kinds: []string{"failed journal"},
	},
	{
		name: "write fails, best effort", mode: hooks.BestEffort, write: errNoRight,
		sent:      []string{"BEGIN", orderStmt, keptWrite, guardProbe, "ROLLBACK TO SAVEPOINT aftercommit_guard", "COMMIT"},
		committed: []string{orderStmt}, kinds: []string{"failed journal", "lost write_failed"},
	},
	{
		name: "not sent", write: errOdd, err: errOdd,
		sent: []string{"BEGIN", orderStmt, joinedWrite, guardProbe, "ROLLBACK"}, told: []string{"rolled back orders.inserted"}, kinds: []string{"failed journal"},
	},
	{
		name: "lost before", fault: of(sqltest.Lose()), err: errAny,
		sent: []string{"BEGIN", orderStmt, joinedWrite}, told: []string{"unknown orders.inserted"},
	},
	{
		name: "lost after", fault: of(sqltest.Lose().After()), err: errAny,
		sent: []string{"BEGIN", orderStmt, joinedWrite}, committed: []string{orderStmt, journalStmt}, told: []string{"unknown orders.inserted"},
	},
	{
		name: "the driver panics", fault: of(sqltest.Panic("within the message")), err: errAny,
		sent: []string{"BEGIN", orderStmt, joinedWrite}, told: []string{"unknown orders.inserted"},
	},
	{
		name: "the transaction has ended", fault: of(sqltest.End(hooks.Committed, nil)),
		sent: []string{"BEGIN", orderStmt, joinedWrite, "COMMIT"}, committed: []string{orderStmt}, told: []string{"rolled back orders.inserted"},
	},
	{
		name: "the hook fails afterwards",
		flush: func(ctx context.Context, f hooks.Flush) (bool, error) {
			_, _ = final(ctx, f)
			panic("after it has written")
		},
		sent: []string{"BEGIN", orderStmt, joinedWrite}, committed: []string{orderStmt, journalStmt}, told: []string{"committed orders.inserted"},
	},
	{
		name: "something else failed before", fault: of(sqltest.Fail(errOdd)),
		flush: func(ctx context.Context, f hooks.Flush) (bool, error) {
			_, _ = f.Conn.ExecContext(ctx, "SELECT 1")
			return final(ctx, f)
		},
		sent: []string{"BEGIN", orderStmt, guardProbe + "; SELECT 1", journalStmt + "; COMMIT"}, committed: []string{orderStmt, journalStmt}, told: []string{"committed orders.inserted"},
	},
	{
		name: "the hook goes on",
		flush: func(ctx context.Context, f hooks.Flush) (bool, error) {
			if ok, err := final(ctx, f); err != nil {
				return ok, err
			}
			_, err := f.Conn.ExecContext(ctx, "INSERT more")
			return err == nil, err
		},
		sent: []string{"BEGIN", orderStmt, joinedWrite}, committed: []string{orderStmt, journalStmt}, told: []string{"committed orders.inserted"},
	},
	{
		name: "the hook does something else",
		flush: func(ctx context.Context, f hooks.Flush) (bool, error) {
			_ = f.Final("SELECT 1")
			_, err := f.Conn.ExecContext(ctx, journalStmt)
			return err == nil, err
		},
		sent:      []string{"BEGIN", orderStmt, guardProbe + "; " + journalStmt, "COMMIT"},
		committed: []string{orderStmt, journalStmt}, told: []string{"committed orders.inserted"},
	},
}

// TestJoined: the COMMIT of a transaction of the driver's own goes with the
// write, and its answer is judged as if it had come alone.
func TestJoined(t *testing.T) {
	for _, tt := range joins {
		t.Run(tt.name, tt.run)
	}
}

func (tt join) run(t *testing.T) {
	fake, s := sqltest.NewFake(), &spy{flush: final}
	if tt.flush != nil {
		s.flush = tt.flush
	}
	db := open(t, fake, s, adriver.Capture(adriver.AllTables()), adriver.WithMode(tt.mode), adriver.DefaultActor(hooks.Actor{Type: "system", ID: "test"}))
	if tt.fault != nil {
		fake.On(sqltest.Call{Query: "SAVEPOINT aftercommit_guard"}, tt.fault.At(1))
	}
	if tt.write != nil {
		fake.AnswerFunc(journalStmt, func(sqltest.Statement) (sqltest.Answer, error) { return sqltest.Answer{}, tt.write })
	}
	_, err := db.ExecContext(context.Background(), orderStmt)
	switch {
	case tt.err == errAny: //nolint:errorlint // a mark
		if err == nil || errors.Is(err, driver.ErrBadConn) {
			t.Errorf("Exec: %v, want an error after which the statement is not executed again", err)
		}
	case !errors.Is(err, tt.err):
		t.Errorf("Exec: %v, want %v", err, tt.err)
	}
	want(t, "sent", fake.Sent(), tt.sent...)
	want(t, "committed", fake.CommittedQueries(), tt.committed...)
	want(t, "told", s.told(), tt.told...)
	want(t, "kinds", s.kinds(), tt.kinds...)
	exec(t, db, "SELECT 1")                                                  // the connection, or the next one, is well
	if n := len(fake.Log("Connector.Connect")); tt.err == errAny && n != 2 { //nolint:errorlint // a mark
		t.Errorf("%d connections, want the one to be given up on which nothing is known", n)
	}
}

var errAny = errors.New("any")

func of(f sqltest.Fault) *sqltest.Fault { return &f }

// TestJoinedOnlyIfOwn: the COMMIT is the app's to send where it is the app's
// transaction, and SQLite has no round trip to save.
func TestJoinedOnlyIfOwn(t *testing.T) {
	var asked, given int
	s := &spy{flush: func(_ context.Context, f hooks.Flush) (bool, error) {
		asked++
		if f.Final != nil {
			given++
		}
		return true, nil
	}}
	db := open(t, sqltest.NewFake(), s, adriver.Capture(adriver.AllTables()))
	commitOne(t, db)
	for _, query := range []string{"BEGIN", "UPDATE orders SET n = 1", "COMMIT", "BEGIN", "UPDATE orders SET n = 1", "COMMIT AND CHAIN", "ROLLBACK", "BEGIN", "UPDATE orders SET n = 1", "PREPARE TRANSACTION 'x'"} {
		exec(t, db, query)
	}
	lite := open(t, sqltest.NewFakeOf(sqltest.Modern, hooks.SQLite), s, adriver.WithDialect(hooks.SQLite), adriver.Capture(adriver.AllTables()))
	exec(t, lite, "UPDATE orders SET n = 1")
	if asked != 5 || given != 0 {
		t.Errorf("of %d flushes %d may commit, want 0 of 5", asked, given)
	}
}

// watched is a fake whose connections tell which queries come with a deadline.
type watched struct {
	*sqltest.Fake
	bounded map[string]bool
}

func (w watched) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := w.Fake.Connect(ctx)
	return watchedConn{c, w.bounded}, err
}

type watchedConn struct {
	driver.Conn
	bounded map[string]bool
}

func (c watchedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	_, c.bounded[query] = ctx.Deadline()
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

// TestJoinedIsPatient: a COMMIT may wait for a standby as long as it has to, also
// with the write, which has a timeout where it goes alone.
func TestJoinedIsPatient(t *testing.T) {
	s := &spy{flush: final}
	w := watched{sqltest.NewFake(), make(map[string]bool)}
	c, err := adriver.WrapConnector(w, s, adriver.WithDialect(hooks.Postgres), adriver.Capture(adriver.AllTables()))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(c)
	defer db.Close()
	exec(t, db, orderStmt)
	if bounded, sent := w.bounded[joinedWrite]; bounded || !sent {
		t.Errorf("the COMMIT has a deadline: %v; it was sent: %v", bounded, sent)
	}
	s.flush = nil
	exec(t, db, orderStmt)
	if alone := guardProbe + "; " + journalStmt; !w.bounded[alone] {
		t.Error("a write that goes alone has no deadline")
	}
}
