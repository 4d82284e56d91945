package journal_test

import (
	_ "embed"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

var (
	//go:embed testdata/postgres_v1.sql.txt
	postgresV1 string
	//go:embed testdata/sqlite_v1.sql.txt
	sqliteV1 string
)

// outdatedRig is a database with the tables of version 1.
func outdatedRig(t *testing.T, e dbtest.Engine) *rig {
	t.Helper()
	r := &rig{e: e, db: dbtest.Open(t, e.Driver, e.DSN(t)), j: newJournal(t, e.Dialect, nil)}
	r.session = newSession(t, r.db)
	script := strings.ReplaceAll(postgresV1, "{schema}", "aftercommit")
	if e.Dialect == hooks.SQLite {
		script = strings.ReplaceAll(sqliteV1, "{prefix}", "aftercommit_")
	}
	r.exec(script)
	return r
}

// isCurrent checks that the journal writes and reads rows, and that a program of version 1
// writes on beside it.
func (r *rig) isCurrent() {
	r.t.Helper()
	r.exec("BEGIN")
	r.write(r.j, 1, events(2)...)
	r.exec("COMMIT")
	if got := actions(r.entries()); got != "order.step_0 order.step_1" {
		r.t.Errorf("entries: %s", got)
	}
	r.writeOld(r.session, uuid.New())
	if n := r.text("SELECT CAST(count(*) AS text) FROM " + oldTable(r.e)); n != "1" {
		r.t.Errorf("%s events in the old table, want 1", n)
	}
}

func oldTable(e dbtest.Engine) string {
	return map[hooks.Dialect]string{hooks.Postgres: "aftercommit.audit_events", hooks.SQLite: "aftercommit_events"}[e.Dialect]
}

// writeOld writes an event over s as a program of version 1 does.
func (r *rig) writeOld(s *session, id uuid.UUID) {
	r.t.Helper()
	doc := `'[{"id": "` + id.String() + `", "occurred_at": "2026-01-02T03:04:05.000006Z", "action": "order.old", "outcome": "success", "actor_type": "user", "actor_id": "7"}]'`
	if r.e.Dialect == hooks.SQLite {
		s.exec("INSERT INTO main.aftercommit_record (events, token, now) VALUES (" + doc + ", 5, '2026-01-02T03:04:05.000006Z')")
	} else {
		s.exec("SELECT 1 FROM aftercommit.record(" + doc + "::json, 5, true, 5000)")
	}
}

func TestUpgrade(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := outdatedRig(t, e)
		at := map[hooks.Dialect]string{hooks.Postgres: "aftercommit.", hooks.SQLite: "aftercommit_"}[e.Dialect]
		const id = "01a223fd-4c24-7000-8000-000000000000"
		r.exec("INSERT INTO " + at + "settled VALUES ('sink', '" + id + "')")
		r.exec("INSERT INTO " + at + "failures VALUES ('sink', '" + id + "', 'retrying', 2, '2026-01-01', 'error', 'text', '2026-01-01', '2026-01-01')")
		r.connect(r.session)
		r.isCurrent()
		if got := r.text("SELECT f.error FROM " + at + "failures f JOIN " + at + "settled s ON s.event_id = f.event_id WHERE f.attempts = 2"); got != "text" {
			t.Errorf("what the relay kept is gone: %q", got)
		}
		if err := newJournal(t, e.Dialect, nil).Connect(ctx, r.conn); err != nil {
			t.Errorf("after the upgrade: %v", err)
		}
		// A program of the version before works with it: see pgState and sqlite.check there.
		if got := r.text("SELECT CAST(oldest AS text) FROM " + at + "schema_versions WHERE component = 'journal'"); got != "1" {
			t.Errorf("the oldest program that works with it is of version %s", got)
		}
		if e.Dialect == hooks.Postgres {
			r.exec("INSERT INTO aftercommit.workers (name, seen_at, forwarders) VALUES ('w', now(), '{}')")
			if n := r.text("SELECT count(*)::text FROM aftercommit.journal_events"); n != "2" {
				t.Errorf("the view has %s events, want 2", n)
			}
		}
	})
}

// TestFreshIsNotForOldPrograms: they would look for tables that are not there.
func TestFreshIsNotForOldPrograms(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		versions := partsOf[e.Dialect].versions
		if r.text("SELECT CAST(oldest AS text) FROM "+versions+" WHERE component = 'journal'") != r.text("SELECT CAST(version AS text) FROM "+versions+" WHERE component = 'journal'") {
			t.Error("programs of earlier versions are let in")
		}
	})
}

// TestByIDOfEarlierVersions: a job that was enqueued by one has nothing but the IDs.
func TestByIDOfEarlierVersions(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := outdatedRig(t, e)
		r.connect(r.session)
		list := []uuid.UUID{uuid.New(), uuid.New()}
		for _, id := range list {
			r.writeOld(r.session, id)
		}
		got, err := r.j.EarlierByID(ctx, r.conn, append(list, uuid.New()))
		if err != nil || len(got) != 2 || got[0].ID != list[0] || got[0].Actor.ID != "7" || got[1].Ordinal <= got[0].Ordinal || got[0].Unreadable != "" {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := newRig(t, e).of(r.session); len(got) != 0 || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestUpgradeByHand(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := outdatedRig(t, e)
		r.j = newJournal(t, e.Dialect, &journal.Options{NoMigrate: true})
		got := setup(t, r.j.Connect(ctx, r.conn))
		want, err := journal.Upgrade(e.Dialect, nil)
		if err != nil || got.SQL != want || !strings.Contains(got.Error(), "older version") || !strings.Contains(got.Error(), "journal.Upgrade") {
			t.Fatalf("got %q and SQL of %d bytes, want the %d bytes of Upgrade", got, len(got.SQL), len(want))
		}
		r.exec("BEGIN")
		r.exec(got.SQL)
		r.exec("COMMIT")
		r.connect(r.session)
		r.isCurrent()
	})
}

// A role that may only write says what its owner has to run, and keeps its
// rights by that.
func TestUpgradeByTheOwner(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := outdatedRig(t, e)
		role := newRole(t, r)
		r.exec("GRANT USAGE ON SCHEMA aftercommit TO " + role)
		r.exec("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO " + role)
		app := newSession(t, r.db)
		app.exec("SET SESSION AUTHORIZATION " + role)
		got := setup(t, r.j.Connect(ctx, app.conn))
		if hooks.SQLState(got) != "42501" || !strings.Contains(got.Error(), "journal.Upgrade") {
			t.Errorf("err = %v", got)
		}
		reader := newRole(t, r)
		r.exec("GRANT USAGE ON SCHEMA aftercommit TO " + reader + "; GRANT SELECT ON aftercommit.audit_events, aftercommit.forwarders TO " + reader)
		r.exec(got.SQL)
		r.connect(app)
		app.exec("BEGIN")
		app.write(r.j, 7, event("order.placed"))
		app.exec("COMMIT")
		r.writeOld(app, uuid.New())
		// Who could read the old tables can read what is beside them.
		s := newSession(t, r.db)
		s.exec("SET SESSION AUTHORIZATION " + reader)
		if n := s.text("SELECT count(*)::text FROM aftercommit.journal_events, (SELECT count(*) FROM aftercommit.journal) j, (SELECT count(*) FROM aftercommit.cursors) c"); n != "1" {
			t.Errorf("the reader sees %s events, want 1", n)
		}
		if _, err := s.conn.ExecContext(ctx, "SELECT * FROM aftercommit.retries"); hooks.SQLState(err) != "42501" {
			t.Errorf("a right that it did not have: %v", err)
		}
		// What an operator takes away is not given again.
		r.exec("REVOKE SELECT ON aftercommit.journal FROM " + reader + "; REVOKE EXECUTE ON FUNCTION aftercommit.claim(uuid[], integer) FROM " + role)
		r.exec(got.SQL)
		if r.text("SELECT has_table_privilege('"+reader+"', 'aftercommit.journal', 'SELECT')::text") != "false" || r.text("SELECT has_function_privilege('"+role+"', 'aftercommit.claim(uuid[], integer)', 'EXECUTE')::text") != "false" {
			t.Error("the script has given back what was revoked")
		}
	}, dbtest.PostgresEngines()...)
}
