package journal_test

import (
	"math"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func (r *rig) ended(s *session, token int64) bool {
	r.t.Helper()
	over, err := r.j.Ended(ctx, s.conn, token)
	if err != nil {
		r.t.Fatal(err)
	}
	return over
}

func TestEndedOnceItIs(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		other := newSession(t, r.db)
		for _, end := range []string{"COMMIT", "ROLLBACK"} {
			for _, token := range []int64{1, math.MinInt64, math.MaxInt64} {
				r.exec("BEGIN")
				r.write(r.j, token, event("order.placed"))
				if r.ended(other, token) {
					t.Errorf("Ended(%d) is true before %s", token, end)
				}
				r.exec(end)
				if !r.ended(other, token) {
					t.Errorf("Ended(%d) is false after %s", token, end)
				}
			}
		}
	})
}

func TestEndedOfAnother(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		other := newSession(t, r.db)
		r.exec("BEGIN")
		r.write(r.j, 1, event("order.placed"))
		if !r.ended(other, 2) {
			t.Error("Ended is false for a transaction that is not there")
		}
		r.exec("COMMIT")
	}, dbtest.PostgresEngines()...)
}

// Two transactions may have drawn the same token; both must be over.
func TestEndedOfTwoWithOneToken(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		second, asking := newSession(t, r.db), newSession(t, r.db)
		r.exec("BEGIN")
		second.exec("BEGIN")
		r.write(r.j, 1, event("order.placed"))
		second.write(r.j, 1, event("order.placed"))
		r.exec("COMMIT")
		if r.ended(asking, 1) {
			t.Error("Ended is true while one of them is in progress")
		}
		second.exec("COMMIT")
		if !r.ended(asking, 1) {
			t.Error("Ended is false after both")
		}
	}, dbtest.PostgresEngines()...)
}

// A transaction may have written with several tokens, of which a ROLLBACK TO has
// released some.
func TestEndedOfSeveralTokens(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		asking := newSession(t, r.db)
		over := func() bool {
			t.Helper()
			over, err := r.j.Ended(ctx, asking.conn, 1, 2, 3)
			if err != nil {
				t.Fatal(err)
			}
			return over
		}
		for _, token := range []int64{1, 2, 3} {
			r.exec("BEGIN")
			r.write(r.j, token, event("order.placed"))
			r.exec("SAVEPOINT s")
			r.write(r.j, token%3+1, event("order.placed"))
			r.exec("ROLLBACK TO SAVEPOINT s")
			if over() {
				t.Errorf("Ended is true while %d is locked", token)
			}
			r.exec("COMMIT")
			if !over() {
				t.Error("Ended is false afterwards")
			}
		}
	}, dbtest.PostgresEngines()...)
}

// A transaction that was handed over by PREPARE TRANSACTION is not over, also
// when its connection is gone.
func TestEndedOfPrepared(t *testing.T) {
	c := dbtest.Start(t, &dbtest.Options{Settings: []string{"max_prepared_transactions=2"}})
	e := dbtest.PQ.With("pq", c.Database)
	r := newRig(t, e)
	asking := newSession(t, r.db)
	r.exec("BEGIN")
	r.write(r.j, 9, event("order.placed"))
	r.exec("PREPARE TRANSACTION 'g'")
	if r.ended(asking, 9) {
		t.Error("Ended is true for a prepared transaction")
	}
	asking.exec("COMMIT PREPARED 'g'")
	if !r.ended(asking, 9) {
		t.Error("Ended is false after COMMIT PREPARED")
	}
	if got := r.entries(); len(got) != 1 {
		t.Errorf("the journal has %q, want one row", actions(got))
	}
}

// A standby knows nothing of the locks of its primary, so it never says that a
// transaction is over; and since nothing can be written there, it is no error
// that the tables have not arrived yet.
func TestStandby(t *testing.T) {
	c := dbtest.Start(t, nil)
	dsn := c.Database(t)
	t.Cleanup(func() { c.Stop(t) }) // a standby drops no database
	db := dbtest.Open(t, dbtest.PQ.Driver, dsn)
	s := newSession(t, db)
	j := newJournal(t, hooks.Postgres, nil)
	if err := j.Connect(ctx, s.conn); err != nil {
		t.Fatal(err)
	}
	s.exec("COPY (SELECT '') TO PROGRAM 'cat > standby.signal'")
	c.Stop(t)
	c.Restart(t)
	s = newSession(t, db)
	if over, err := j.Ended(ctx, s.conn, 1); over || err != nil {
		t.Errorf("Ended = %v, %v; want false", over, err)
	}
	absent := newJournal(t, hooks.Postgres, &journal.Options{Schema: "absent"})
	if err := absent.Connect(ctx, s.conn); err != nil {
		t.Errorf("Connect without tables: %v", err)
	}
	if err := newJournal(t, hooks.Postgres, nil).Connect(ctx, s.conn); err != nil {
		t.Errorf("Connect with tables: %v", err)
	}
}
