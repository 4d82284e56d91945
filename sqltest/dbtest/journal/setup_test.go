package journal_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// names of the journal's parts, by dialect.
type parts struct{ events, versions, drop string }

var partsOf = map[hooks.Dialect]parts{
	hooks.Postgres: {"aftercommit.journal", "aftercommit.schema_versions", "DROP FUNCTION aftercommit.written(uuid[])"},
	hooks.SQLite:   {"aftercommit_journal", "aftercommit_schema_versions", "DROP VIEW aftercommit_write"},
}

func setup(t *testing.T, err error) *journal.SetupError {
	t.Helper()
	var s *journal.SetupError
	if !errors.As(err, &s) {
		t.Fatalf("err = %v, want a *journal.SetupError", err)
	}
	return s
}

// empty returns a session in a database without a journal.
func empty(t *testing.T, e dbtest.Engine) *session {
	t.Helper()
	return newSession(t, dbtest.Open(t, e.Driver, e.DSN(t)))
}

func TestSetupProblems(t *testing.T) {
	tests := map[string]struct {
		before  func(s *session, p parts)
		problem string
	}{
		"a table of our name": {func(s *session, p parts) {
			if s.text("SELECT 'x'"); strings.Contains(p.events, ".") {
				s.exec("CREATE SCHEMA aftercommit")
			}
			s.exec("CREATE TABLE " + p.events + " (id integer)")
		}, "that is not aftercommit's"},
		"a newer version": {func(s *session, p parts) {
			s.exec("UPDATE " + p.versions + " SET version = 7, oldest = 7 WHERE component = 'journal'")
		}, "have version 7, this program knows "},
		"a part is missing": {func(s *session, p parts) { s.exec(p.drop) }, "are missing, though"},
	}
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				s := empty(t, e)
				if name != "a table of our name" {
					if err := newJournal(t, e.Dialect, nil).Connect(ctx, s.conn); err != nil {
						t.Fatal(err)
					}
				}
				test.before(s, partsOf[e.Dialect])
				err := newJournal(t, e.Dialect, nil).Connect(ctx, s.conn)
				if got := setup(t, err); !strings.Contains(got.Problem, test.problem) || got.Remedy == "" {
					t.Errorf("err = %v, want it to say that %q", err, test.problem)
				}
				if strings.HasPrefix(name, "a part") && !strings.Contains(err.Error(), "delete nothing") {
					t.Errorf("err = %v: it does not keep the operator from deleting the trail", err)
				}
				// The failure must not leave the connection in a transaction.
				s.exec("BEGIN")
				s.exec("COMMIT")
			})
		}
	})
}

// TestTablesDropped: on SQLite views outlive the tables that they read.
func TestTablesDropped(t *testing.T) {
	s := empty(t, dbtest.SQLite)
	if err := newJournal(t, hooks.SQLite, nil).Connect(ctx, s.conn); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(s.text("SELECT group_concat(name, ' ') FROM sqlite_master WHERE type = 'table' AND name LIKE 'aftercommit%'")) {
		s.exec("DROP TABLE " + name)
	}
	j := newJournal(t, hooks.SQLite, &journal.Options{NoMigrate: true})
	got := setup(t, j.Connect(ctx, s.conn))
	if !strings.Contains(got.Problem, "not its views") {
		t.Errorf("err = %v", got)
	}
	s.exec(got.SQL)
	if err := j.Connect(ctx, s.conn); err != nil {
		t.Error(err)
	}
}

func TestNoMigrate(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s := empty(t, e)
		j := newJournal(t, e.Dialect, &journal.Options{NoMigrate: true})
		got := setup(t, j.Connect(ctx, s.conn))
		want, err := journal.Schema(e.Dialect, nil)
		if err != nil || got.SQL != want || !strings.Contains(got.Error(), "journal.Schema") {
			t.Fatalf("got %q and SQL of %d bytes, want the %d bytes of Schema", got, len(got.SQL), len(want))
		}
		s.exec("BEGIN")
		s.exec(got.SQL)
		s.exec("COMMIT")
		if err := j.Connect(ctx, s.conn); err != nil {
			t.Errorf("after running its SQL: %v", err)
		}
		s.exec("BEGIN")
		s.write(j, 1, event("order.placed"))
		s.exec("COMMIT")
	})
}

// Another schema or prefix is another journal.
func TestTwoJournalsInOneDatabase(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		other := newJournal(t, e.Dialect, &journal.Options{Schema: "order"}) // a reserved word
		if err := other.Connect(ctx, r.conn); err != nil {
			t.Fatal(err)
		}
		r.exec("BEGIN")
		r.write(other, 1, event("order.placed"))
		r.exec("COMMIT")
		if n := len(r.entries()); n != 0 {
			t.Errorf("the first journal has %d entries of the second", n)
		}
		list, err := other.List(ctx, r.conn, journal.Query{})
		if err != nil || len(list) != 1 {
			t.Errorf("the second journal has %d entries, %v; want 1", len(list), err)
		}
	})
}

// An app that starts in several processes opens many connections at once, and
// all of them migrate.
func TestManyOpenersAtOnce(t *testing.T) {
	engines := append(dbtest.Engines(),
		dbtest.SQLite.With("sqlite bare", func(tb testing.TB) string { return dbtest.SQLiteFile(tb) }))
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		const openers = 12
		sessions := make([]*session, openers)
		for i := range sessions {
			sessions[i] = newSession(t, db)
		}
		var wg sync.WaitGroup
		errs := make(chan error, openers)
		for _, s := range sessions {
			j := newJournal(t, e.Dialect, nil)
			wg.Go(func() { errs <- connectPatiently(t, db, s, j) })
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				t.Error(err)
			}
		}
	}, engines...)
}

// connectPatiently connects again while another session holds the lock, which is what the
// error says to do, and over another connection if the server has ended this one: a process
// may stand still while it makes the tables.
func connectPatiently(tb testing.TB, db *sql.DB, s *session, j *journal.Journal) (err error) {
	tb.Helper()
	for deadline := time.Now().Add(dbtest.Patience); time.Now().Before(deadline); {
		err = j.Connect(ctx, s.conn)
		switch {
		case errors.Is(err, driver.ErrBadConn):
			s = newSession(tb, db)
		case hooks.SQLState(err) != "55P03":
			return err
		}
	}
	return err
}

// A process that is frozen while it makes the tables does not keep others from
// making them: the server ends its session.
func TestFrozenOpener(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		dsn := e.DSN(t)
		p := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
		frozen := newSession(t, dbtest.Open(t, e.Driver, dbtest.Via(dsn, p.Addr())))
		trap := p.Next(dbtest.HoldAnswer, func(query string) bool { return strings.Contains(query, "pg_advisory_xact_lock") })
		defer trap.Release()
		done := make(chan error, 1)
		go func() { done <- newJournal(t, e.Dialect, nil).Connect(ctx, frozen.conn) }()
		<-trap.Sprung()
		var err error
		for deadline := time.Now().Add(dbtest.Patience); time.Now().Before(deadline); {
			if err = newJournal(t, e.Dialect, nil).Connect(ctx, newSession(t, dbtest.Open(t, e.Driver, dsn)).conn); err == nil {
				break
			}
		}
		if err != nil {
			t.Errorf("the tables were not made: %v", err)
		}
		trap.Release()
		if err := <-done; err == nil {
			t.Error("the process that was frozen has made them, too")
		}
	}, dbtest.PostgresEngines()...)
}

// Missing rights are found with the first connection and not with the first
// commit, and the error says what to run, which then helps.
func TestMissingRights(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		role := newRole(t, r)
		s := newSession(t, r.db)
		s.exec("SET SESSION AUTHORIZATION " + role)
		got := setup(t, newJournal(t, e.Dialect, nil).Connect(ctx, s.conn))
		if !strings.Contains(got.Problem, `role "`+role+`" may not write`) {
			t.Errorf("problem = %q", got.Problem)
		}
		r.exec("GRANT USAGE ON SCHEMA aftercommit TO " + role)
		if again := setup(t, newJournal(t, e.Dialect, nil).Connect(ctx, s.conn)); again.SQL != got.SQL {
			t.Errorf("with USAGE: %v, want the same remedy", again)
		}
		r.exec(got.SQL)
		if err := newJournal(t, e.Dialect, nil).Connect(ctx, s.conn); err != nil {
			t.Errorf("after running its SQL: %v", err)
		}
	}, dbtest.PostgresEngines()...)
}

func TestRoleThatMayNotMigrate(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		role := newRole(t, r)
		s := newSession(t, r.db)
		s.exec("SET SESSION AUTHORIZATION " + role)
		err := newJournal(t, e.Dialect, &journal.Options{Schema: "elsewhere"}).Connect(ctx, s.conn)
		got := setup(t, err)
		if !strings.Contains(err.Error(), `role "`+role+`" may not make them`) || got.SQL == "" || hooks.SQLState(err) != "42501" {
			t.Errorf("err = %v", err)
		}
		s.exec("BEGIN")
		s.exec("COMMIT")
	}, dbtest.PostgresEngines()...)
}

// On PostgreSQL the first success is remembered: a further connection may be to
// a pool that is out of reach.
func TestConnectAsksOnce(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		if err := r.j.Connect(canceled(), nil); err != nil {
			t.Errorf("err = %v", err)
		}
	}, dbtest.PostgresEngines()...)
}

// The lock that migrations hold is waited for, but not for long.
func TestMigrationWaitsTwoSeconds(t *testing.T) {
	e := dbtest.PQ
	db := dbtest.Open(t, e.Driver, e.DSN(t))
	holder, s := newSession(t, db), newSession(t, db)
	before := s.text("SHOW lock_timeout")
	holder.exec("BEGIN")
	holder.exec("SELECT pg_advisory_xact_lock(7022364301936586083)")
	err := newJournal(t, e.Dialect, nil).Connect(ctx, s.conn)
	if got := setup(t, err); !strings.Contains(got.Problem, "another session holds a lock") || hooks.SQLState(err) != "55P03" {
		t.Errorf("err = %v", err)
	}
	if after := s.text("SHOW lock_timeout"); after != before {
		t.Errorf("lock_timeout was %s and is %s afterwards", before, after)
	}
	holder.exec("COMMIT")
	if err := newJournal(t, e.Dialect, nil).Connect(ctx, s.conn); err != nil {
		t.Error(err)
	}
}

func TestConnectGivesUpWithItsContext(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s := empty(t, e)
		if err := newJournal(t, e.Dialect, nil).Connect(canceled(), s.conn); !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v", err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []*journal.Options{{Schema: `a"b`}, {Schema: "Übung"}, {Schema: "A"}, {Schema: strings.Repeat("a", 41)}} {
		if _, err := journal.New(hooks.Postgres, o); err == nil {
			t.Errorf("schema %q is taken", o.Schema)
		}
	}
	if _, err := journal.New("oracle", nil); err == nil || !strings.Contains(err.Error(), `"oracle"`) {
		t.Errorf("err = %v", err)
	}
}

// TestNextVersion: a newer program has migrated the tables in a way that this
// one can live with; both work on.
func TestNextVersion(t *testing.T) {
	change := map[hooks.Dialect][]string{
		hooks.Postgres: {
			"UPDATE aftercommit.schema_versions SET version = 6, oldest = 1 WHERE component = 'journal'",
			"ALTER TABLE aftercommit.journal ADD COLUMN severity text NOT NULL DEFAULT 'info'",
			"ALTER TABLE aftercommit.cursors ADD COLUMN note text",
		},
		hooks.SQLite: {
			"UPDATE aftercommit_schema_versions SET version = 6, oldest = 1 WHERE component = 'journal'",
			"ALTER TABLE aftercommit_journal ADD COLUMN severity TEXT NOT NULL DEFAULT 'info'",
			"ALTER TABLE aftercommit_cursors ADD COLUMN note TEXT",
		},
	}
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		write := func(j *journal.Journal, token int64) {
			r.exec("BEGIN")
			r.write(j, token, event("order.placed"))
			r.exec("COMMIT")
		}
		write(r.j, 1)
		for _, query := range change[e.Dialect] {
			r.exec(query)
		}
		write(r.j, 2) // the program that was running
		restarted := newJournal(t, e.Dialect, nil)
		if err := restarted.Connect(ctx, r.conn); err != nil {
			t.Fatal(err)
		}
		write(restarted, 3)
		if n := len(r.entries()); n != 3 {
			t.Errorf("%d entries, want 3", n)
		}
		store, err := relay.New(e.Dialect, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Register(ctx, r.db, "sink/default"); err != nil {
			t.Error(err)
		}
	})
}
