package journal_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func (r *rig) claimed(s *session, want journal.Claim, keys ...uuid.UUID) {
	r.t.Helper()
	if got, err := r.j.Claim(ctx, s.conn, keys); got != want || err != nil {
		r.t.Errorf("Claim = %v, %v; want %v", got, err, want)
	}
}

func TestClaimOnceItIsOver(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		other := newSession(t, r.db)
		for end, want := range map[string]journal.Claim{"COMMIT": journal.ClaimWritten, "ROLLBACK": journal.ClaimNever} {
			key := newKey()
			r.exec("BEGIN")
			r.writeAs(r.j, key, 1, event("order.placed"))
			r.claimed(other, journal.ClaimOpen, key)
			r.exec(end)
			for range 2 { // it stays so
				r.claimed(other, want, key)
			}
		}
		if n := len(r.entries()); n != 1 {
			t.Errorf("%d entries, want 1", n)
		}
	})
}

// TestClaimedBefore: what has been sent arrives after it was claimed, and is refused.
func TestClaimedBefore(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		key := newKey()
		r.claimed(r.session, journal.ClaimNever, key)
		r.exec("BEGIN")
		_, err := r.j.Write(ctx, hooks.Flush{Conn: sqltest.Lent(r.conn), Events: events(1), Key: key, Must: true, Timeout: dbtest.Patience})
		r.exec("ROLLBACK")
		if hooks.SQLState(err) != "23505" {
			t.Errorf("err = %v, want a unique violation", err)
		}
		r.claimed(r.session, journal.ClaimNever, key)
	}, dbtest.PostgresEngines()...)
}

// TestTombstonesAreNotShown: to no reader.
func TestTombstonesAreNotShown(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		key := newKey()
		r.claimed(r.session, journal.ClaimNever, key)
		if n := r.text("SELECT count(*)::text FROM aftercommit.journal"); n != "1" {
			t.Fatalf("%s rows, want the tombstone", n)
		}
		if n := len(r.entries()); n != 0 {
			t.Errorf("List has %d entries", n)
		}
		if n, err := r.j.Count(ctx, r.conn, journal.Query{}); n != 0 || err != nil {
			t.Errorf("Count = %d, %v", n, err)
		}
		for name, read := range map[string]func() ([]journal.Row, error){
			"ByKey":   func() ([]journal.Row, error) { return r.j.ByKey(ctx, r.conn, []uuid.UUID{key}) },
			"Written": func() ([]journal.Row, error) { return r.j.Written(ctx, r.conn, []uuid.UUID{key}) },
		} {
			if rows, err := read(); len(rows) != 0 || err != nil {
				t.Errorf("%s = %+v, %v", name, rows, err)
			}
		}
		if n := r.text("SELECT count(*)::text FROM aftercommit.audit_events"); n != "0" {
			t.Errorf("the view has %s events", n)
		}
	}, dbtest.PostgresEngines()...)
}

// TestClaimOfSeveral: of the writes of a transaction some may have been taken back.
func TestClaimOfSeveral(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		other := newSession(t, r.db)
		for back := range 2 {
			keys := []uuid.UUID{newKey(), newKey()}
			r.exec("BEGIN")
			for i, key := range keys {
				r.exec("SAVEPOINT s")
				r.writeAs(r.j, key, 1, event("order.placed"))
				if i == back {
					r.exec("ROLLBACK TO SAVEPOINT s")
				}
			}
			r.claimed(other, journal.ClaimOpen, keys...)
			r.exec("COMMIT")
			r.claimed(other, journal.ClaimWritten, keys...)
			rows, err := r.j.Written(ctx, other.conn, keys)
			if err != nil || len(rows) != 1 || rows[0].Key != keys[1-back] {
				t.Errorf("written are %+v, %v", rows, err)
			}
		}
	})
}

// TestClaimInASnapshot: a transaction whose snapshot is older than the row cannot see it, and
// says nothing.
func TestClaimInASnapshot(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		old := newSession(t, r.db)
		old.exec("BEGIN ISOLATION LEVEL REPEATABLE READ")
		old.text("SELECT count(*)::text FROM orders")
		key := newKey()
		r.exec("BEGIN")
		r.writeAs(r.j, key, 1, event("order.placed"))
		r.exec("COMMIT")
		r.claimed(old, journal.ClaimOpen, key)
		old.exec("ROLLBACK")
		r.claimed(old, journal.ClaimWritten, key)
	}, dbtest.PostgresEngines()...)
}

// A transaction that was handed over by PREPARE TRANSACTION is not over, also
// when its connection is gone.
func TestClaimOfPrepared(t *testing.T) {
	c := dbtest.Start(t, &dbtest.Options{Settings: []string{"max_prepared_transactions=2"}})
	r := newRig(t, dbtest.PQ.With("pq", c.Database))
	asking := newSession(t, r.db)
	key := newKey()
	r.exec("BEGIN")
	r.writeAs(r.j, key, 9, event("order.placed"))
	r.exec("PREPARE TRANSACTION 'g'")
	r.claimed(asking, journal.ClaimOpen, key)
	asking.exec("COMMIT PREPARED 'g'")
	r.claimed(asking, journal.ClaimWritten, key)
	if got := r.entries(); len(got) != 1 {
		t.Errorf("the journal has %q, want one row", actions(got))
	}
}

// TestClaimWaitsBriefly: however long the server would, and whatever the session has set.
func TestClaimWaitsBriefly(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		other := newSession(t, r.db)
		other.exec("SET lock_timeout = 0")
		key := newKey()
		r.exec("BEGIN")
		r.writeAs(r.j, key, 1, event("order.placed"))
		done := make(chan journal.Claim, 1)
		go func() {
			got, _ := r.j.Claim(ctx, other.conn, []uuid.UUID{key})
			done <- got
		}()
		select {
		case got := <-done:
			if got != journal.ClaimOpen {
				t.Errorf("Claim = %v", got)
			}
		case <-time.After(dbtest.Patience):
			t.Error("it waits for the transaction")
		}
		r.exec("ROLLBACK")
		if got := other.text("SHOW lock_timeout"); got != "0" {
			t.Errorf("lock_timeout is %s afterwards", got)
		}
	}, dbtest.PostgresEngines()...)
}

// TestClaimWithoutSynchronousStandby: while the standby is away, a COMMIT does not return, and
// clients that give up want to know what has become of it.
func TestClaimWithoutSynchronousStandby(t *testing.T) {
	c := dbtest.Start(t, nil)
	r := newRig(t, dbtest.PQ.With("pq", c.Database))
	written, never := newKey(), newKey()
	r.exec("BEGIN")
	r.writeAs(r.j, written, 1, event("order.placed"))
	r.exec("COMMIT")
	standby := func(name string) {
		r.exec("ALTER SYSTEM SET synchronous_standby_names = '" + name + "'")
		r.exec("SELECT pg_reload_conf()")
		for deadline := time.Now().Add(dbtest.Patience); r.text("SHOW synchronous_standby_names") != name; {
			if time.Now().After(deadline) {
				t.Fatal("the server does not read its configuration")
			}
		}
	}
	standby("away")
	defer standby("")
	limited, cancel := context.WithTimeout(ctx, dbtest.Patience)
	defer cancel()
	for key, want := range map[uuid.UUID]journal.Claim{written: journal.ClaimWritten, never: journal.ClaimNever} {
		if got, err := r.j.Claim(limited, r.conn, []uuid.UUID{key}); got != want || err != nil {
			t.Errorf("Claim = %v, %v; want %v", got, err, want)
		}
	}
}

// A standby cannot be written to, so it never says what became of a transaction; and since
// nothing can be written there, it is no error that the tables have not arrived yet.
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
	if got, err := j.Claim(ctx, s.conn, []uuid.UUID{newKey()}); got != journal.ClaimOpen || err != nil {
		t.Errorf("Claim = %v, %v; want %v", got, err, journal.ClaimOpen)
	}
	absent := newJournal(t, hooks.Postgres, &journal.Options{Schema: "absent"})
	if err := absent.Connect(ctx, s.conn); err != nil {
		t.Errorf("Connect without tables: %v", err)
	}
	if err := newJournal(t, hooks.Postgres, nil).Connect(ctx, s.conn); err != nil {
		t.Errorf("Connect with tables: %v", err)
	}
}

// TestReservedKeys: the keys of rows from the tables of earlier versions can be computed, so
// that no role may take one before the row is moved; and no row has the least key, behind
// which all reading begins.
func TestReservedKeys(t *testing.T) {
	for _, key := range []uuid.UUID{uuid.Nil, journal.MovedKey(1234, 5)} {
		dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
			r := newRig(t, e)
			queries := []string{"INSERT INTO aftercommit_write (key, tx, now, events, format, document) VALUES ('" + key.String() + "', 1, '2026-01-01', 1, 1, '[{}]')"}
			if e.Dialect == hooks.Postgres {
				queries = []string{
					"SELECT aftercommit.write('" + key.String() + "', 1, 1::int2, '[{}]', NULL, true, 100)",
					"SELECT aftercommit.claim('{" + uuid.NewString() + "," + key.String() + "}', 100)",
				}
			} else if key != uuid.Nil {
				t.Skip("a file is written by its app alone")
			}
			for _, query := range queries {
				if _, err := r.conn.ExecContext(ctx, query); err == nil {
					t.Errorf("no error: %s", query)
				}
			}
		})
	}
}

// TestKeysOfAnotherForm: what is no UUID could not be read again.
func TestKeysOfAnotherForm(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		for _, key := range []string{strings.Repeat("a", 36), strings.Repeat("-", 36), strings.ToUpper(uuid.NewString()[:35]) + "F"} {
			_, err := r.conn.ExecContext(ctx, "INSERT INTO aftercommit_write (key, tx, now, events, format, document) VALUES ('"+key+"', 1, '2026-01-01', 1, 1, '[{}]')")
			if err == nil {
				t.Errorf("%s is a key", key)
			}
		}
	}, dbtest.SQLite)
}
