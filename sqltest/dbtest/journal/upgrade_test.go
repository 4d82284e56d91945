package journal_test

import (
	_ "embed"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
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

// isCurrent checks that the journal does what version 1 did not.
func (r *rig) isCurrent() {
	r.t.Helper()
	ev := event("order.placed")
	r.exec("BEGIN")
	r.write(r.j, 1, ev)
	r.exec("COMMIT")
	ev.Action = "order.shipped"
	r.exec("BEGIN")
	_, err := r.j.Write(ctx, hooks.Flush{Conn: sqltest.Lent(r.conn), Events: []hooks.Event{ev}, Token: 2, Own: true, Timeout: dbtest.Patience})
	r.exec("ROLLBACK")
	if err == nil {
		r.t.Error("the journal is still that of version 1")
	}
	if n := len(r.entries()); n != 1 {
		r.t.Errorf("%d entries, want 1", n)
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
		if e.Dialect == hooks.Postgres {
			r.exec("INSERT INTO aftercommit.workers (name, seen_at, forwarders) VALUES ('w', now(), '{}')")
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
		r.exec(got.SQL)
		r.connect(app)
		app.exec("BEGIN")
		app.write(r.j, 7, event("order.placed"))
		app.exec("COMMIT")
	}, dbtest.PostgresEngines()...)
}
