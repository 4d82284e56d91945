package roles_test

import (
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// attempt is what a role with README's grants, and those of a usual app, tries
// against the events of another. Its statements run in one session, which stays
// open, in a transaction where it begins one, while the other goes on.
type attempt struct {
	name string
	run  []string
	// want is the SQLSTATE of the last statement that ran, "" if all succeed.
	want string
	// reads says that the last one returns a text, which must not have the other's
	// secret.
	reads bool
}

const (
	denied  = "42501" // insufficient_privilege
	refused = "22023" // invalid_parameter_value: the function's own checks
)

// patient is for statements that lock a table before they look at rights: the role has set
// itself a lock_timeout of 1 ms.
const patient = "SET lock_timeout = '1min'"

// {owner}, {victim}, {id}, {key}, {place} and {relay} are replaced: roles, the ID
// of an event of the victim's and the key of its flush, the name of this
// database, and the process ID of the relay's session.
var attempts = []attempt{
	// Reading.
	{name: "read the journal", run: []string{"SELECT pg_catalog.max(document) FROM aftercommit.journal"}, want: denied},
	{name: "read the view", run: []string{"SELECT pg_catalog.max(reason) FROM aftercommit.audit_events"}, want: denied},
	{name: "read the timeline", run: []string{"SELECT pg_catalog.max(reason) FROM threadline.audit_actions"}, want: denied},
	{name: "read failures' texts", run: []string{"SELECT pg_catalog.max(error) FROM aftercommit.retries"}, want: denied},
	{name: "COPY to a file", run: []string{"COPY aftercommit.journal TO '/dev/null'"}, want: denied},
	{name: "read events by their key", run: []string{"SELECT pg_catalog.string_agg(w::text, '') FROM aftercommit.written(ARRAY['{key}'::uuid, NULL]) w"}, reads: true},
	{name: "statistics", run: []string{"ANALYZE aftercommit.journal", "SELECT pg_catalog.string_agg(most_common_vals::text, '') FROM pg_catalog.pg_stats WHERE schemaname = 'aftercommit'"}, reads: true},
	{name: "other sessions' statements", run: []string{"SELECT pg_catalog.string_agg(query, '') FROM pg_catalog.pg_stat_activity WHERE usename <> current_user"}, reads: true},
	{name: "a cursor on the function's table", run: []string{"BEGIN", "DECLARE c CURSOR FOR TABLE aftercommit.journal"}, want: denied},
	{name: "a view of its own", run: []string{"CREATE VIEW public.peek AS TABLE aftercommit.journal", "SELECT pg_catalog.max(document) FROM public.peek"}, want: denied},
	{name: "a leaky operator in a query on the table", run: []string{"CREATE FUNCTION public.leak(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS 'BEGIN RAISE NOTICE ''%'', $1; RETURN true; END'", "SELECT 1 FROM aftercommit.journal WHERE public.leak(document)"}, want: denied},
	{name: "a foreign key to see which IDs exist", run: []string{"CREATE TABLE public.probe (id uuid REFERENCES aftercommit.journal (key))"}, want: denied},
	{name: "a publication of the journal", run: []string{"CREATE PUBLICATION p FOR TABLE aftercommit.journal"}, want: denied},

	// Becoming another.
	{name: "SET ROLE", run: []string{`SET ROLE "{owner}"`}, want: denied},
	{name: "SET SESSION AUTHORIZATION", run: []string{`SET SESSION AUTHORIZATION "{owner}"`}, want: denied},
	{name: "set_config of the role", run: []string{`SELECT pg_catalog.set_config('role', '{victim}', false)`}, want: denied},
	{name: "GRANT itself more", run: []string{"GRANT SELECT ON aftercommit.journal TO PUBLIC"}, want: denied},
	{name: "membership", run: []string{`GRANT "{owner}" TO CURRENT_USER`}, want: denied},
	{name: "own the function", run: []string{"ALTER FUNCTION aftercommit.write(uuid, integer, smallint, text, text, boolean, integer) OWNER TO CURRENT_USER"}, want: denied},
	{name: "the function without SECURITY DEFINER's path", run: []string{"ALTER FUNCTION aftercommit.written(uuid[]) RESET search_path"}, want: denied},
	{name: "settings of the owner", run: []string{`ALTER ROLE "{owner}" SET statement_timeout = 1`}, want: denied},
	{name: "settings of the database", run: []string{"DO $$ BEGIN EXECUTE pg_catalog.format('ALTER DATABASE %I SET statement_timeout = 1', pg_catalog.current_database()); END $$"}, want: denied},
	{name: "settings of the server", run: []string{"ALTER SYSTEM SET max_connections = 1"}, want: denied},
	{name: "settings of its own role", run: []string{"ALTER ROLE CURRENT_USER SET search_path = pg_temp, public", "ALTER ROLE CURRENT_USER SET lock_timeout = '1ms'"}},

	// Changing.
	{name: "add without the function", run: []string{"INSERT INTO aftercommit.journal DEFAULT VALUES"}, want: denied},
	{name: "lock the journal", run: []string{"BEGIN", "LOCK TABLE aftercommit.journal IN ACCESS SHARE MODE"}, want: denied},
	{name: "lock a row", run: []string{"BEGIN", "SELECT 1 FROM aftercommit.cursors FOR UPDATE"}, want: denied},
	{name: "create in our schema", run: []string{"CREATE TABLE aftercommit.mine ()"}, want: denied},
	{name: "an overload in our schema", run: []string{"CREATE FUNCTION aftercommit.written(text) RETURNS int LANGUAGE sql AS 'SELECT 1'"}, want: denied},
	{name: "replace our function", run: []string{"CREATE OR REPLACE FUNCTION aftercommit.claim(keys uuid[], wait_ms integer) RETURNS text LANGUAGE sql AS 'SELECT NULL'"}, want: denied},
	{name: "a trigger", run: []string{"CREATE FUNCTION public.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'", patient, "CREATE TRIGGER t BEFORE INSERT ON aftercommit.journal FOR EACH ROW EXECUTE FUNCTION public.t()"}, want: denied},
	{name: "a rule", run: []string{patient, "CREATE RULE r AS ON INSERT TO aftercommit.journal DO INSTEAD NOTHING"}, want: denied},
	{name: "a policy", run: []string{"CREATE POLICY p ON aftercommit.journal USING (false)"}, want: denied},
	{name: "an event trigger", run: []string{"CREATE FUNCTION public.et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'", "CREATE EVENT TRIGGER et ON ddl_command_start EXECUTE FUNCTION public.et()"}, want: denied},
	{name: "a cast between PostgreSQL's types", run: []string{"CREATE FUNCTION public.c(text) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb'", "CREATE CAST (text AS jsonb) WITH FUNCTION public.c(text) AS IMPLICIT"}, want: "42501"},
	{name: "a table that inherits the journal's", run: []string{"CREATE TABLE public.heir () INHERITS (aftercommit.journal)"}, want: denied},
	{name: "rename the schema", run: []string{"ALTER SCHEMA aftercommit RENAME TO gone"}, want: denied},
	{name: "VACUUM FULL", run: []string{"VACUUM FULL aftercommit.journal"}}, // which skips it with a warning
	{name: "a comment", run: []string{"COMMENT ON TABLE aftercommit.journal IS 'x'"}, want: denied},
	{name: "default rights in our schema", run: []string{"ALTER DEFAULT PRIVILEGES IN SCHEMA aftercommit GRANT ALL ON TABLES TO PUBLIC"}}, // of its own tables

	// Forging.
	{name: "an event with the ID of another", run: []string{`SELECT aftercommit.write(pg_catalog.gen_random_uuid(), 1, 1::pg_catalog.int2, '[{"id":"{id}","occurred_at":"2026-01-01T00:00:00Z","action":"thing.forged","outcome":"success"}]', NULL, true, 100)`}},
	{name: "a timeline entry with the ID of another", run: []string{`SELECT threadline.record('[{"id":"{id}","name":"thing.forged","outcome":"success","occurred_at":"2026-01-01T00:00:00Z","recorded_at":"2026-01-01T00:00:00Z"}]')`}},
	{name: "the role of an entry", run: []string{`SELECT aftercommit.write(pg_catalog.gen_random_uuid(), 1, 1::pg_catalog.int2, '[{"id":"00000000-0000-0000-0000-0000000000aa","occurred_at":"2026-01-01T00:00:00Z","action":"thing.forged","outcome":"success","role":"{victim}","seq":1,"xid":"3","recorded_at":"2000-01-01T00:00:00Z"}]', NULL, true, 100)`}},
	{name: "an unreadable event", run: []string{`SELECT aftercommit.write(pg_catalog.gen_random_uuid(), 1, 1::pg_catalog.int2, '[{"id":"00000000-0000-0000-0000-0000000000ab","occurred_at":"infinity","action":"thing.forged","outcome":"success"}]', NULL, true, 100)`}},
	{name: "an event of 1 MB", run: []string{`SELECT aftercommit.write(pg_catalog.gen_random_uuid(), 1, 1::pg_catalog.int2, pg_catalog.json_build_array(pg_catalog.json_build_object('id', pg_catalog.gen_random_uuid(), 'occurred_at', pg_catalog.now(), 'action', 'thing.forged', 'outcome', 'success', 'metadata', pg_catalog.json_build_object('a', pg_catalog.repeat('x', 1000000))))::text, NULL, true, 100)`}},

	// Temporary objects and search_path.
	{name: "temporary objects of our names", run: []string{
		"CREATE TEMP TABLE journal (key uuid, events int)", "CREATE TEMP TABLE pg_locks (pid int)", "CREATE TEMP TABLE pg_class (oid int)", "CREATE TEMP TABLE cursors (name text)",
		"CREATE DOMAIN pg_temp.uuid AS text CHECK (false)", "CREATE DOMAIN pg_temp.text AS int", "CREATE DOMAIN pg_temp.json AS int", "SET search_path = pg_temp, public, pg_catalog",
		`SELECT aftercommit.write(pg_catalog.gen_random_uuid(), 1, 1::pg_catalog.int2, '[{"id":"00000000-0000-0000-0000-0000000000ac","occurred_at":"2026-01-01T00:00:00Z","action":"thing.forged","outcome":"success"}]', NULL, true, 100)`,
		`SELECT threadline.record('[{"id":"00000000-0000-0000-0000-0000000000ac","name":"thing.forged","outcome":"success","occurred_at":"2026-01-01T00:00:00Z","recorded_at":"2026-01-01T00:00:00Z"}]'::pg_catalog.json)`,
		"SELECT aftercommit.enlist('mine/default', '{place}')",
	}},
	{name: "operators in front of pg_catalog's", run: []string{
		"CREATE TABLE public.stolen (what text)", "GRANT ALL ON public.stolen TO PUBLIC",
		"CREATE FUNCTION public.stole(uuid, uuid) RETURNS bool LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.stolen VALUES (current_user); RETURN true; END'",
		"CREATE OPERATOR public.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = public.stole)", "SET search_path = public, pg_catalog",
		"SELECT pg_catalog.string_agg(w::pg_catalog.text, '') FROM aftercommit.written(ARRAY['{key}'::pg_catalog.uuid]) w",
	}, reads: true},
	{name: "overloads for the relay", run: []string{
		"CREATE FUNCTION public.pg_visible_in_snapshot(xid8, text) RETURNS bool LANGUAGE sql AS 'SELECT false'",
		"CREATE FUNCTION public.pg_snapshot_xmin(text) RETURNS xid8 LANGUAGE sql AS 'SELECT ''3''::xid8'",
	}},

	// Holding up.
	{name: "a transaction that stays open", run: []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT pg_catalog.pg_current_xact_id()", "SELECT aftercommit.write(pg_catalog.gen_random_uuid(), 1, 1::pg_catalog.int2, '[{}]', NULL, true, 100)"}},
	{name: "the lock under which tables are made", run: []string{"SELECT pg_catalog.pg_advisory_lock(7022364301936586083)"}},
	{name: "a registration that stays open", run: []string{"BEGIN", "SELECT aftercommit.enlist('late/default', '{place}')"}},
	{name: "a prepared transaction left behind", run: []string{"BEGIN", "SELECT aftercommit.write(pg_catalog.gen_random_uuid(), 1, 1::pg_catalog.int2, '[{}]', NULL, true, 100)", "SELECT aftercommit.enlist('prepared/default', '{place}')", "PREPARE TRANSACTION '{victim}'"}},
	{name: "end the relay's session", run: []string{"SELECT pg_catalog.pg_terminate_backend({relay})"}, want: denied},
	{name: "cancel the relay's statement", run: []string{"SELECT pg_catalog.pg_cancel_backend({relay})"}, want: denied},
	{name: "notify", run: []string{"LISTEN aftercommit", "SELECT pg_catalog.pg_notify('aftercommit', pg_catalog.repeat('x', 7000)) FROM pg_catalog.generate_series(1, 1000)"}},
	{name: "large objects", run: []string{"SELECT pg_catalog.lo_create(0) FROM pg_catalog.generate_series(1, 100)"}},
	{name: "a flood of events", run: []string{`SELECT aftercommit.write(pg_catalog.gen_random_uuid(), 1000, 1::pg_catalog.int2, d.doc, NULL, true, 100) FROM pg_catalog.generate_series(1, 20), (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('id', pg_catalog.gen_random_uuid(), 'occurred_at', pg_catalog.now(), 'action', 'thing.forged', 'outcome', 'success'))::text AS doc FROM pg_catalog.generate_series(1, 1000)) d`}},

	{name: "claim what is written", run: []string{"SELECT aftercommit.claim(ARRAY['{key}'::uuid], 100)"}},
	{name: "claims that stay open", run: []string{"BEGIN", "SELECT aftercommit.claim(ARRAY[pg_catalog.gen_random_uuid()], 100)"}},

	// Forwarders.
	{name: "hand another's event over to a queue", run: []string{"BEGIN", "SELECT aftercommit.write(pg_catalog.gen_random_uuid(), 1, 1::pg_catalog.int2, '[{}]', NULL, true, 100)", "SELECT aftercommit.acknowledge('sink/default', ARRAY['{key}'::uuid])", "COMMIT"}}, // which takes its own only
	{name: "a forwarder of the relay's name", run: []string{"SELECT aftercommit.enlist('sink/default', 'nowhere')"}},                                                                                                                                                   // is left as it is
	{name: "a forwarder with a foreign place", run: []string{"SELECT aftercommit.enlist('next/default', 'nowhere')"}, want: refused},
	{name: "a forwarder with another environment", run: []string{"SELECT aftercommit.enlist('next/default', '{place} staging')"}, want: refused},
	{name: "a forwarder without a name", run: []string{"SELECT aftercommit.enlist(NULL, '{place}')"}, want: refused},
	// It waits for its own registration, which an attempt before has left prepared; the limit
	// itself is TestRegistrationsAtOnce's.
	{name: "thousands of forwarders", run: []string{"SELECT aftercommit.enlist('f' || i, '{place}') FROM pg_catalog.generate_series(1, 5000) AS i"}, want: "55P03"},
}

// TestAttempts: whatever a role with README's grants tries, it does not read or
// change what another role has written, and that reaches the sink meanwhile.
func TestAttempts(t *testing.T) {
	for _, e := range dbtest.PostgresEngines() {
		t.Run(e.Name, func(t *testing.T) { newWorld(t, e).attempts() })
	}
}

func (w *world) attempts() {
	w.Helper()
	h, t := w.hostile(), w.T
	for i, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			w.T, h.T = t, t
			conn := h.try(a)
			h.check(fmt.Sprint(i))
			w.must(conn.ExecContext(ctx, "ROLLBACK"))
			w.must(conn.Close())
		})
	}
	w.T, h.T = t, t
	w.must(h.super.ExecContext(ctx, `ROLLBACK PREPARED '`+h.victimRole+`'`))
	if n := w.count("SELECT pg_catalog.count(*) FROM public.stolen"); n > 0 {
		t.Errorf("%d calls of the app's operator by the owner's function", n)
	}
	if got := w.text("SELECT pg_catalog.string_agg(DISTINCT role, ' ') FROM aftercommit.audit_events WHERE action = 'thing.forged'"); got != h.appRole {
		t.Errorf("forged events have the roles %s, want %s", got, h.appRole)
	}
}

// TestRegistrationLocked: a role that keeps the registration of a forwarder in an
// open transaction keeps neither the relay from starting nor other sinks from
// getting theirs.
func TestRegistrationLocked(t *testing.T) {
	for _, e := range dbtest.PostgresEngines() {
		t.Run(e.Name, func(t *testing.T) { newWorld(t, e).registrationLocked() })
	}
}

func (w *world) registrationLocked() {
	w.Helper()
	h := w.hostile()
	conn := h.try(attempt{run: []string{"BEGIN", "SELECT aftercommit.enlist('roles_test.sink/late', '{place}')"}})
	late := w.relayWithLate()
	h.check("while it is locked")
	w.must(conn.ExecContext(ctx, "ROLLBACK"))
	w.must(conn.Close())
	w.until("it is registered", func() bool {
		return w.count("SELECT pg_catalog.count(*) FROM aftercommit.cursors WHERE name = 'roles_test.sink/late'") == 1
	})
	h.check("after it")
	w.until("the late one gets it too", func() bool { return late.has("after it") })
}
