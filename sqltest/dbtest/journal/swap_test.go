package journal_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestSwap: once nothing of an earlier version is left, the view gets the name of the old table.
// Roles that could read the table can read the view, and a program of an earlier version gets an
// error that says what to do.
func TestSwap(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := outdatedRig(t, e)
		swap, err := journal.Swap(nil)
		if err != nil {
			t.Fatal(err)
		}
		refused := func(want string) {
			t.Helper()
			if _, e := r.conn.ExecContext(ctx, swap); hooks.SQLState(e) != "AC001" || !strings.Contains(e.Error(), want) {
				t.Errorf("err = %v, want %q", e, want)
			}
		}
		refused("run what journal.Upgrade returns")
		r.connect(r.session)
		id, reader := uuid.New(), newRole(t, r)
		r.writeOld(r.session, id)
		r.exec("BEGIN")
		r.write(r.j, 1, events(2)...)
		r.exec("COMMIT")
		refused("has written to table audit_events")
		r.exec("UPDATE aftercommit.audit_events SET recorded_at = now() - interval '2 hours'")
		r.exec("INSERT INTO aftercommit.forwarders (name, place, holder, lease_until, done) VALUES ('sink/default', 'p', 'old process', now() + interval '1 hour', '3:3:')")
		refused("process old process of an earlier version delivers to forwarder sink/default until " + r.text("SELECT lease_until::text FROM aftercommit.forwarders") + ": replace it before this or, if it has ended, wait until then")
		r.exec("UPDATE aftercommit.forwarders SET lease_until = now() - interval '1 hour'")
		refused("forwarder sink/default has not got all")
		r.exec("UPDATE aftercommit.forwarders SET done = pg_current_snapshot()")
		r.exec("INSERT INTO aftercommit.failures VALUES ('sink/default', gen_random_uuid(), 'retrying', 2, '2026-01-01', 'error', 'text', '2026-01-01', '2026-01-01')")
		refused("forwarder sink/default has not got all")
		r.exec("UPDATE aftercommit.failures SET state = 'discarded'")
		refused("forwarder sink/default has not got all")
		r.exec("DELETE FROM aftercommit.failures")
		r.exec("GRANT USAGE ON SCHEMA aftercommit TO " + reader + "; GRANT SELECT ON aftercommit.audit_events TO " + reader)
		for range 2 {
			r.exec(swap)
		}
		s := newSession(t, r.db)
		s.exec("SET SESSION AUTHORIZATION " + reader)
		if got := s.text("SELECT string_agg(action, ' ' ORDER BY key, ordinal) FROM aftercommit.audit_events"); got != "order.step_0 order.step_1" {
			t.Errorf("the view has %q", got)
		}
		if got := s.text("SELECT action FROM aftercommit.audit_events_before"); got != "order.old" {
			t.Errorf("the table has %q", got)
		}
		if _, err = r.conn.ExecContext(ctx, "SELECT aftercommit.record('[]', 5, true, 5000)"); hooks.SQLState(err) != "AC001" || !strings.Contains(err.Error(), "build it with a newer aftercommit") {
			t.Errorf("an old program: %v", err)
		}
		if got := r.text("SELECT version || ' ' || oldest FROM aftercommit.schema_versions WHERE component = 'journal'"); got != "6 5" {
			t.Errorf("versions %s", got)
		}
		if got, e := r.j.EarlierByID(ctx, r.conn, []uuid.UUID{id}); e != nil || len(got) != 1 {
			t.Errorf("by its ID: %+v, %v", got, e)
		}
		again := newJournal(t, e.Dialect, nil)
		if err = again.Connect(ctx, r.conn); err != nil {
			t.Errorf("Connect after it: %v", err)
		}
		upgrade, err := journal.Upgrade(e.Dialect, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.exec(upgrade)
		r.exec("DROP TABLE aftercommit.audit_events_before CASCADE")
		r.exec(swap)
		if n := len(r.entries()); n != 2 {
			t.Errorf("%d entries, want 2", n)
		}
		if got, err := r.j.EarlierByID(ctx, r.conn, []uuid.UUID{id}); err != nil || len(got) != 0 {
			t.Errorf("without the old table: %+v, %v", got, err)
		}
	}, dbtest.PostgresEngines()...)
}

// TestNothingToSwap: where no earlier version has been.
func TestNothingToSwap(t *testing.T) {
	r := newRig(t, dbtest.PQ)
	swap, err := journal.Swap(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.exec(swap)
	if got := r.text("SELECT version::text FROM aftercommit.schema_versions WHERE component = 'journal'"); got != "5" {
		t.Errorf("version %s", got)
	}
}

// TestSwapWithoutForwarders: the tables of the version before were dropped too early, but for
// that of the events.
func TestSwapWithoutForwarders(t *testing.T) {
	for _, gone := range []string{"forwarders", "failures", "failures, aftercommit.forwarders, aftercommit.purges, aftercommit.settled"} {
		r := lastBefore(t, dbtest.PQ)
		r.writeOld(r.session, uuid.New())
		r.connect(r.session)
		r.exec("DROP TABLE aftercommit." + gone)
		r.swap()
		r.exec("BEGIN")
		r.write(r.j, 1, events(2)...)
		r.exec("COMMIT")
		if got := r.text("SELECT string_agg(action, ' ' ORDER BY key, ordinal) FROM aftercommit.audit_events"); got != "order.step_0 order.step_1" {
			t.Errorf("without %s the view has %q", gone, got)
		}
		if err := newJournal(t, hooks.Postgres, nil).Connect(ctx, r.conn); err != nil {
			t.Errorf("without %s: %v", gone, err)
		}
	}
}

// TestSwapNamesDependents: what goes on reading the old table.
func TestSwapNamesDependents(t *testing.T) {
	var warned []string
	s := newSession(t, noticing(t, func(n *pq.Error) { warned = append(warned, n.Message) }))
	s.exec(strings.ReplaceAll(postgresV1, "{schema}", "aftercommit"))
	upgrade, err := journal.Upgrade(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.exec(upgrade)
	s.exec("CREATE VIEW public.seen AS SELECT action FROM aftercommit.audit_events")
	s.exec("CREATE TABLE public.noted (id uuid REFERENCES aftercommit.audit_events (id))")
	s.exec("CREATE TRIGGER notes AFTER INSERT ON aftercommit.audit_events EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()")
	s.exec("CREATE PUBLICATION everything FOR TABLE aftercommit.audit_events")
	s.exec("CREATE FUNCTION public.standard() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM aftercommit.audit_events; END")
	s.exec("CREATE FUNCTION public.of_rows() RETURNS SETOF aftercommit.audit_events LANGUAGE sql AS 'SELECT NULL::aftercommit.audit_events'")
	s.exec("CREATE TABLE public.more () INHERITS (aftercommit.audit_events)")
	s.exec("CREATE POLICY mine ON aftercommit.audit_events USING (true)")
	s.exec("CREATE RULE ignored AS ON DELETE TO aftercommit.audit_events DO INSTEAD NOTHING")
	swap, err := journal.Swap(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.exec(swap)
	all := strings.Join(warned, "; ")
	for _, want := range []string{
		"view seen is of", "publication everything is of", "foreign key noted_id_fkey of noted is of", "trigger notes is of",
		"function standard() is of", "function of_rows() is of", "inheriting table more is of", "policy mine is of", "rule ignored is of",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("warnings %q, want %q", all, want)
		}
	}
}

// TestUpgradeCopiesRights: readers of the old table read the view, the same columns of it, and may
// grant that if they could before. But not where row security has kept rows from them.
func TestUpgradeCopiesRights(t *testing.T) {
	for _, secured := range []bool{false, true} {
		dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
			r := outdatedRig(t, e)
			whole, columns := newRole(t, r), newRole(t, r)
			r.exec("GRANT USAGE ON SCHEMA aftercommit TO " + whole + ", " + columns)
			r.exec("GRANT SELECT ON aftercommit.audit_events TO " + whole + " WITH GRANT OPTION")
			r.exec("GRANT SELECT (id, action) ON aftercommit.audit_events TO " + columns)
			if secured {
				r.exec("ALTER TABLE aftercommit.audit_events ENABLE ROW LEVEL SECURITY")
			}
			r.connect(r.session)
			r.exec("BEGIN")
			r.write(r.j, 1, event("order.placed"))
			r.exec("COMMIT")
			check := func(view string) {
				t.Helper()
				for _, c := range []struct {
					role, query string
					may         bool
				}{
					{whole, "SELECT comment FROM aftercommit." + view, !secured},
					{whole, "SELECT personal FROM aftercommit.journal", !secured},
					{whole, "GRANT SELECT ON aftercommit." + view + " TO " + columns, !secured},
					{columns, "SELECT action FROM aftercommit." + view, !secured},
					{columns, "SELECT comment FROM aftercommit." + view, false},
				} {
					s := newSession(t, r.db)
					s.exec("BEGIN")
					s.exec("SET LOCAL ROLE " + c.role)
					_, err := s.conn.ExecContext(ctx, c.query)
					if may := err == nil; may != c.may {
						t.Errorf("%s: %s: %v", c.role, c.query, err)
					}
					s.exec("ROLLBACK")
				}
			}
			check("journal_events")
			swap, err := journal.Swap(nil)
			if err != nil {
				t.Fatal(err)
			}
			r.exec(swap)
			check("audit_events")
		}, dbtest.PQ)
	}
}
