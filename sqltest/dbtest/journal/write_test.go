package journal_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// flush is a write of one event by a transaction that may not have written.
func (r *rig) flush(s *session, own bool) (bool, error) {
	return r.flushWithin(dbtest.Patience, s, own)
}

func (r *rig) flushWithin(limit time.Duration, s *session, own bool) (bool, error) {
	return r.j.Write(ctx, hooks.Flush{Conn: sqltest.Lent(s.conn), Events: events(1), Key: newKey(), Tx: 1, Must: own, Timeout: limit})
}

func TestWhatAWriteDependsOn(t *testing.T) {
	const insert = "INSERT INTO orders VALUES (1)"
	tests := map[string]struct {
		before  []string
		own     bool
		written bool
		state   string // SQLSTATE of the error
	}{
		"after an insert":            {before: []string{"BEGIN", insert}, written: true},
		"insert under a savepoint":   {before: []string{"BEGIN", "SAVEPOINT s", insert}, written: true},
		"insert rolled back to":      {before: []string{"BEGIN", "SAVEPOINT s", insert, "ROLLBACK TO s"}, written: true},
		"serializable":               {before: []string{"BEGIN ISOLATION LEVEL SERIALIZABLE", insert}, written: true},
		"nothing written":            {before: []string{"BEGIN", "SELECT * FROM orders"}},
		"nothing written, own":       {before: []string{"BEGIN"}, own: true, written: true},
		"read-only":                  {before: []string{"BEGIN READ ONLY"}},
		"read-only, own":             {before: []string{"BEGIN READ ONLY"}, own: true, state: "25006"},
		"read-only after an insert":  {before: []string{"BEGIN", insert, "SET TRANSACTION READ ONLY"}, state: "25X06"},
		"read-only, a temporary row": {before: []string{"CREATE TEMP TABLE scratch (id int)", "BEGIN READ ONLY", "INSERT INTO scratch VALUES (1)"}},
		"non-standard strings":       {before: []string{"SET standard_conforming_strings = off", "BEGIN"}, own: true, written: true},
		"a search_path of the app's": {before: []string{"SET search_path = evil, pg_catalog", "BEGIN"}, own: true, written: true},
		"a temporary table in front": {before: []string{"CREATE TEMP TABLE audit_events (id int)", "BEGIN"}, own: true, written: true},
		"datestyle and time zone":    {before: []string{"SET datestyle = 'German'", "SET timezone = 'Asia/Kathmandu'", "BEGIN"}, own: true, written: true},
	}
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		r.exec("CREATE SCHEMA evil")
		r.exec("CREATE TABLE evil.audit_events (id int)")
		r.exec("CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'evil' $$")
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				r.exec("TRUNCATE orders, aftercommit.journal")
				s := newSession(t, r.db)
				for _, query := range test.before {
					s.exec(query)
				}
				const xid = "SELECT pg_current_xact_id_if_assigned()::text"
				before := s.text(xid)
				written, err := r.flush(s, test.own)
				if written != test.written || hooks.SQLState(err) != test.state {
					t.Fatalf("Write = %v, %v; want %v, SQLSTATE %q", written, err, test.written, test.state)
				}
				if err != nil {
					return
				}
				if after := s.text(xid); !written && after != before {
					t.Errorf("xid %q became %q, though nothing was written", before, after)
				}
				s.exec("COMMIT")
				got := r.entries()
				if (len(got) == 1) != test.written {
					t.Errorf("the journal has %d rows; written is %v", len(got), test.written)
				}
				if len(got) > 0 && got[0].Role != "postgres" {
					t.Errorf("role = %q: a function of the app's was called with the owner's rights", got[0].Role)
				}
			})
		}
	}, dbtest.PostgresEngines()...)
}

// A lock on the journal, as of an ALTER TABLE or VACUUM FULL, must not hang
// every commit of the app; and giving up must leave the app's settings alone.
func TestLockOnTheJournal(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		other := newSession(t, r.db)
		other.exec("BEGIN")
		other.exec("LOCK TABLE aftercommit.journal")
		r.exec("SET lock_timeout = '77s'")
		r.exec("SET statement_timeout = '30s'") // 57014 if the write waits for that
		r.exec("BEGIN")
		r.exec("INSERT INTO orders VALUES (1)")
		r.exec("SAVEPOINT s")
		_, err := r.flushWithin(50*time.Millisecond, r.session, false)
		if hooks.SQLState(err) != "55P03" || !strings.Contains(err.Error(), "another session has kept aftercommit.journal locked for 50ms") {
			t.Fatalf("err = %v", err)
		}
		r.exec("ROLLBACK TO s")
		if got := r.text("SHOW lock_timeout"); got != "77s" {
			t.Errorf("after the failure, lock_timeout is %s, want the app's 77s", got)
		}
		other.exec("COMMIT")
		if written, err := r.flush(r.session, false); !written || err != nil {
			t.Fatalf("Write = %v, %v after the lock is gone", written, err)
		}
		if got := r.text("SHOW lock_timeout"); got != "77s" {
			t.Errorf("after the write, lock_timeout is %s, want the app's 77s", got)
		}
		if got := r.text("SHOW search_path"); got != `"$user", public` {
			t.Errorf("after the write, search_path is %s", got)
		}
		r.exec("COMMIT")
		if got := r.text("SHOW lock_timeout"); got != "77s" {
			t.Errorf("after the commit, lock_timeout is %s, want the app's 77s", got)
		}
	}, dbtest.PostgresEngines()...)
}

// The app's role needs EXECUTE, and can then neither read the table nor change
// it; what it wrote it can read back by id, and the row has its name.
func TestExecuteIsEnough(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		role := newRole(t, r)
		s := newSession(t, r.db)
		s.exec("SET SESSION AUTHORIZATION " + role)
		if _, err := r.flush(s, true); hooks.SQLState(err) != "42501" {
			t.Fatalf("without rights: err = %v, want SQLSTATE 42501", err)
		}
		r.exec("GRANT USAGE ON SCHEMA aftercommit TO " + role)
		if _, err := r.flush(s, true); hooks.SQLState(err) != "42501" {
			t.Fatalf("with USAGE alone: err = %v, want SQLSTATE 42501", err)
		}
		r.exec("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO " + role)

		ev := event("order.placed")
		s.exec("BEGIN")
		key := newKey()
		s.writeAs(r.j, key, 1, ev)
		s.exec("COMMIT")
		got, err := r.j.Written(ctx, s.conn, []uuid.UUID{key})
		if err != nil || len(got) != 1 || got[0].Role != role || got[0].Events != 1 || got[0].Document != nil {
			t.Errorf("read back %+v, %v; want one row of role %s, without its document", got, err, role)
		}
		if _, err := r.j.ByKey(ctx, s.conn, []uuid.UUID{key}); hooks.SQLState(err) != "42501" {
			t.Errorf("a role that knows the key reads the document: %v", err)
		}
		for _, query := range []string{
			"SELECT * FROM aftercommit.journal",
			"SELECT * FROM aftercommit.audit_events",
			"INSERT INTO aftercommit.journal (key) VALUES (gen_random_uuid())",
			"UPDATE aftercommit.journal SET document = '[]'",
			"DELETE FROM aftercommit.journal",
			"TRUNCATE aftercommit.journal",
			"DROP TABLE aftercommit.journal",
			"INSERT INTO aftercommit.schema_versions VALUES ('x', 1)",
		} {
			if _, err := s.conn.ExecContext(ctx, query); hooks.SQLState(err) != "42501" {
				t.Errorf("%s: err = %v, want SQLSTATE 42501", query, err)
			}
		}
	}, dbtest.PostgresEngines()...)
}

// TestLastvalIsTheApps: what the app has last taken from a sequence is what it gets from
// lastval(), after a flush in the middle of its transaction, and after the last one.
func TestLastvalIsTheApps(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		r.exec("CREATE SEQUENCE bills START 4711")
		r.exec("BEGIN")
		r.text("SELECT nextval('bills')::text")
		for range 2 {
			r.write(r.j, 1, events(2)...)
			if got := r.text("SELECT lastval()::text"); got != "4711" {
				t.Errorf("lastval() = %s after a flush, want 4711", got)
			}
		}
		r.exec("COMMIT")
		if got := r.text("SELECT lastval()::text"); got != "4711" {
			t.Errorf("lastval() = %s after the COMMIT, want 4711", got)
		}
	}, dbtest.PostgresEngines()...)
}

// newRole makes a role without rights, which goes with the test.
func newRole(t *testing.T, r *rig) string {
	t.Helper()
	role := "app_" + strings.ReplaceAll(event("a.b").ID.String(), "-", "")[16:]
	r.exec("CREATE ROLE " + role)
	t.Cleanup(func() {
		r.exec("DROP OWNED BY " + role)
		r.exec("DROP ROLE " + role)
	})
	return role
}

// SET ROLE is how apps with a role per tenant say who they are: the row has
// that one.
func TestSetRole(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		role := newRole(t, r)
		r.exec("GRANT USAGE ON SCHEMA aftercommit TO " + role)
		r.exec("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO " + role)
		s := newSession(t, r.db)
		s.exec("BEGIN")
		s.exec("SET LOCAL ROLE " + role)
		s.write(r.j, 1, event("order.placed"))
		s.exec("COMMIT")
		if got := r.entries()[0].Role; got != role {
			t.Errorf("role = %q, want %q", got, role)
		}
	}, dbtest.PostgresEngines()...)
}
