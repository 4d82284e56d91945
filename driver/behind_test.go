package driver_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// writesApart is a spy that leaves events to a transaction that is begun for them.
func writesApart() *spy {
	s := &spy{}
	plain := &spy{}
	s.flush = func(ctx context.Context, f hooks.Flush) (bool, error) {
		if !f.Must {
			return false, nil
		}
		return plain.Flush(ctx, f)
	}
	return s
}

// fates are what became of events: how their transactions ended, and those that are lost.
func (s *spy) fates() []string {
	fates := s.told()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.notices {
		if n.Kind == hooks.NoticeLost {
			fates = append(fates, strings.Repeat("lost ", len(n.Events))+n.Reason)
		}
	}
	return fates
}

// troubles are what can happen to the transaction that is begun for events.
var troubles = map[string]struct {
	at    string
	fault sqltest.Fault
	open  bool // the outcome is not known
}{
	"cannot begin":         {at: "BEGIN", fault: sqltest.Fail(&sqltest.Error{Code: "25006", Message: "recovery"})},
	"lost at its BEGIN":    {at: "BEGIN", fault: sqltest.Lose()},
	"cannot write":         {at: "SAVEPOINT", fault: sqltest.Abort(&sqltest.Error{Code: "53100", Message: "disk full"})},
	"lost while it writes": {at: "SAVEPOINT", fault: sqltest.Lose()},
	"refused at its end":   {at: "COMMIT", fault: sqltest.Fail(&sqltest.Error{Code: "40001", Message: "serialization"})},
	"lost at its end":      {at: "COMMIT", fault: sqltest.Lose(), open: true},
}

// behinds are what has committed when its events are written.
var behinds = map[string]struct {
	do func(t *testing.T, db *sql.DB, fake *sqltest.Fake, fail func()) error
	// chains says that the events are written with a later statement, whose error
	// says nothing of them.
	chains bool
	// fails: the app gets an error in any mode.
	fails bool
}{
	"Commit": {do: func(t *testing.T, db *sql.DB, _ *sqltest.Fake, fail func()) error {
		t.Helper()
		tx := begin(t, db)
		record(t, tx, "a.b")
		fail()
		return tx.Commit()
	}},
	"AND CHAIN": {chains: true, do: func(t *testing.T, db *sql.DB, fake *sqltest.Fake, fail func()) error {
		t.Helper()
		conn := chained(t, db, fake)
		fail()
		if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		return conn.Close()
	}},
	"no transaction block": {do: func(_ *testing.T, db *sql.DB, _ *sqltest.Fake, fail func()) error {
		fail()
		_, err := db.ExecContext(context.Background(), "CREATE INDEX CONCURRENTLY i ON t (a)")
		return err
	}},
	"failed halfway": {fails: true, do: func(_ *testing.T, db *sql.DB, fake *sqltest.Fake, fail func()) error {
		fake.On(sqltest.Call{Query: "CREATE INDEX"}, sqltest.Fail(&sqltest.Error{Code: "23505", Message: "not unique"}))
		fail()
		_, err := db.ExecContext(context.Background(), "CREATE INDEX CONCURRENTLY i ON t (a)")
		return err
	}},
}

// chained returns a connection in the second transaction of a chain. The first was
// read-only, and its event waits for the end of the second.
func chained(t *testing.T, db *sql.DB, fake *sqltest.Fake) *sql.Conn {
	t.Helper()
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, conn, "BEGIN READ ONLY")
	record(t, conn, "a.b")
	fake.On(sqltest.Call{Query: "SAVEPOINT"}, sqltest.Fail(&sqltest.Error{Code: "25006", Message: "read-only"}).At(1))
	exec(t, conn, "COMMIT AND CHAIN")
	return conn
}

// TestLostBehindACommit: events of what has committed that cannot be written after it are
// reported as lost, and nothing says that they were rolled back; in strict mode the app
// gets an error, and none for which database/sql would do it again.
func TestLostBehindACommit(t *testing.T) {
	for how, b := range behinds {
		for trouble, tr := range troubles {
			for _, mode := range []hooks.Mode{hooks.Strict, hooks.BestEffort} {
				t.Run(how+", "+trouble+", "+mode.String(), func(t *testing.T) {
					fake, s := sqltest.NewFake(), writesApart()
					db := open(t, fake, s, adriver.WithMode(mode), adriver.Capture(adriver.AllTables()))
					fault := tr.fault
					if (how == "no transaction block" || b.fails) && tr.at != "COMMIT" && mode == hooks.Strict {
						fault = fault.At(2) // the first is that of the trial
					}
					err := b.do(t, db, fake, func() { fake.On(sqltest.Call{Query: tr.at}, fault) })
					if (err != nil) != (b.fails || mode == hooks.Strict && !b.chains) {
						t.Errorf("the app gets %v", err)
					}
					_ = db.Close()
					if fates := s.fates(); tr.open && (len(fates) != 1 || !strings.HasPrefix(fates[0], "unknown ")) ||
						!tr.open && !slices.Equal(fates, []string{"lost write_failed"}) {
						t.Errorf("fates %q", fates)
					}
				})
			}
		}
	}
}

// TestClosedBehindACommit: so are those whose connection is closed before there is a
// moment to write them.
func TestClosedBehindACommit(t *testing.T) {
	fake, s := sqltest.NewFake(), writesApart()
	db := open(t, fake, s)
	conn := chained(t, db, fake)
	_ = conn.Raw(func(any) error { return context.Canceled })
	_ = db.Close()
	_ = conn.Close()
	want(t, "fates", s.fates(), "lost write_failed")
}

// TestLostWithAWriteFreeCommit: if the connection is lost during the COMMIT of a
// transaction that wrote nothing, no row would ever show how that ended.
func TestLostWithAWriteFreeCommit(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault sqltest.Fault
		fate  string
	}{
		{"lost", sqltest.Lose().After(), "lost write_failed"},
		{"refused", sqltest.Fail(&sqltest.Error{Code: "40001", Message: "serialization"}), "rolled back a.b"},
	} {
		fake, s := sqltest.NewFake(), writesApart()
		db := open(t, fake, s)
		tx := begin(t, db)
		record(t, tx, "a.b")
		fake.On(sqltest.Call{Method: "Commit"}, c.fault)
		if tx.Commit() == nil {
			t.Errorf("%s: Commit gives no error", c.name)
		}
		want(t, c.name, s.fates(), c.fate)
	}
}

// TestAloneIsRefused: an event outside any transaction that cannot be written is refused
// by Record, and reported: nothing has committed without it. Of a connection that was
// lost before, database/sql tries another one, in silence.
func TestAloneIsRefused(t *testing.T) {
	for trouble, tr := range troubles {
		t.Run(trouble, func(t *testing.T) {
			fake, s := sqltest.NewFake(), writesApart()
			db := open(t, fake, s)
			exec(t, db, "SELECT 1")
			fake.On(sqltest.Call{Query: tr.at}, tr.fault.At(1))
			err := hooks.Record(context.Background(), db, hooks.Event{Action: "a.b"})
			outcome := "rolled back a.b"
			switch {
			case trouble == "lost at its BEGIN", trouble == "lost while it writes":
				if err != nil || !slices.Contains(s.told(), "committed a.b") {
					t.Errorf("Record: %v, %q; want it on another connection", err, s.told())
				}
				if trouble == "lost at its BEGIN" {
					want(t, "notices", s.kinds(), "unattributed")
				}
				return
			case tr.open:
				outcome = "unknown a.b"
			}
			if err == nil {
				t.Error("Record gives no error")
			}
			want(t, "fates", s.fates(), outcome)
			if trouble == "cannot begin" {
				want(t, "notices", s.kinds(), "failed journal")
			}
		})
	}
}

// TestMySQLLostBehind: MySQL's events are handed over after the COMMIT, or the statement.
// What the handler refuses then is lost, but for an event that is recorded alone.
func TestMySQLLostBehind(t *testing.T) {
	full := errors.New("full")
	for _, c := range []struct {
		name string
		do   func(db *sql.DB) error
		fate string
	}{
		{"a statement", func(db *sql.DB) error {
			_, err := db.ExecContext(context.Background(), "INSERT INTO things VALUES (1)")
			return err
		}, "lost write_failed"},
		{"Record", func(db *sql.DB) error {
			return hooks.Record(context.Background(), db, hooks.Event{Action: "a.b"})
		}, "rolled back a.b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, s, db := openMySQL(t)
			s.flush = func(context.Context, hooks.Flush) (bool, error) { return false, full }
			if err := c.do(db); !strings.Contains(fmt.Sprint(err), "full") {
				t.Errorf("the app gets %v", err)
			}
			_ = db.Close()
			want(t, "fates", s.fates(), c.fate)
		})
	}
}
