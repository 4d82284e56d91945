package roles_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/walk"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// TestAmbush shows first that the ambush is one. It runs everything in a database where another role has defined, in the
// search_path of the role that does, operators for all pairs of types and overloads
// of functions and aggregates, which write down that they have run. None does, and
// none would: each statement that was sent is planned once more by a role that may
// not execute them.
func TestAmbush(t *testing.T) {
	w := newWorld(t, dbtest.PQ)
	w.ambush()
	w.trapped()
	w.everything()
	w.e = dbtest.PGX
	w.must(w.owner.ExecContext(ctx, "DROP SCHEMA aftercommit CASCADE; DROP SCHEMA threadline CASCADE; DROP TABLE public.orders CASCADE; CREATE SCHEMA aftercommit; CREATE SCHEMA threadline"))
	w.everything()
	w.rowChanges()
	if n := w.count("SELECT pg_catalog.count(*) FROM trap.ran"); n > 0 {
		t.Errorf("%d calls of another role's functions: %s", n, w.text("SELECT pg_catalog.string_agg(DISTINCT what, ', ') FROM trap.ran"))
	}
	w.plan()
}

// trapped runs the smallest statements that another role's functions and operators
// take over.
func (w *world) trapped() {
	w.Helper()
	for _, query := range []string{
		"SELECT pg_visible_in_snapshot(pg_current_xact_id(), '1:1:')", // as of the journal's xid and a literal
		"SELECT pg_snapshot_xmin('1:1:')",
		"SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid = 'pg_class'::regclass", // oid, regclass
		"SELECT current_database() || 1::int4",
	} {
		_, err := w.owner.ExecContext(ctx, query)
		if w.count("SELECT pg_catalog.count(*) FROM trap.ran") == 0 {
			w.Errorf("%s calls nothing of theirs: %v", query, err)
		}
		w.must(w.super.ExecContext(ctx, "TRUNCATE trap.ran"))
	}
}

// ambush defines what another role can where it may create things in the schemas
// that the owner's search_path has: public, and one of the owner's name.
func (w *world) ambush() {
	w.Helper()
	w.must(w.super.ExecContext(ctx, strings.ReplaceAll(ambushSQL, "{owner}", w.ownerRole)))
	// So that the scripts have something to revoke, or to warn of.
	for _, what := range []string{"SCHEMAS", "TABLES", "FUNCTIONS"} {
		w.must(w.owner.ExecContext(ctx, "ALTER DEFAULT PRIVILEGES GRANT ALL ON "+what+" TO PUBLIC"))
	}
}

const ambushSQL = `
CREATE SCHEMA trap;
CREATE TABLE trap.ran (what text);
GRANT USAGE ON SCHEMA trap TO PUBLIC;
GRANT INSERT ON trap.ran TO PUBLIC;
CREATE SCHEMA "{owner}";
GRANT USAGE ON SCHEMA "{owner}" TO PUBLIC;
DO $make$
DECLARE
	types text[] := '{text,name,"\"char\"",int2,int4,int8,numeric,oid,regclass,uuid,json,jsonb,xid8,pg_snapshot,timestamptz,interval,bool,text[],anyelement,anynonarray}';
	ops text[] := '{=,<>,<,<=,>,>=,+,-,*,/,||,->>,~,~~}';
	body text := 'BEGIN INSERT INTO trap.ran VALUES (%L); RETURN NULL; END';
	l text; r text; o text; f record; i integer; args text; result text; variants text[];
BEGIN
	FOREACH l IN ARRAY types LOOP
		FOREACH r IN ARRAY types LOOP
			EXECUTE format('CREATE FUNCTION trap.yes(%1$s, %2$s) RETURNS bool LANGUAGE plpgsql AS %3$L', l, r, format(body, l || ' ' || r));
			EXECUTE format('CREATE FUNCTION trap.same(%1$s, %2$s) RETURNS %1$s LANGUAGE plpgsql AS %3$L', l, r, format(body, l || ' ' || r));
			EXECUTE format('CREATE FUNCTION trap.texts(%1$s, %2$s) RETURNS text LANGUAGE plpgsql AS %3$L', l, r, format(body, l || ' ' || r));
			FOREACH o IN ARRAY ops LOOP
				EXECUTE format('CREATE OPERATOR "{owner}".%1$s (LEFTARG = %2$s, RIGHTARG = %3$s, FUNCTION = trap.%4$s)', o, l, r,
					CASE WHEN o IN ('+', '-', '*', '/') THEN 'same' WHEN o IN ('||', '->>') THEN 'texts' ELSE 'yes' END);
			END LOOP;
		END LOOP;
		IF l NOT LIKE 'any%' THEN
			EXECUTE format('CREATE AGGREGATE "{owner}".min(%1$s) (SFUNC = trap.same, STYPE = %1$s)', l);
			EXECUTE format('CREATE AGGREGATE "{owner}".max(%1$s) (SFUNC = trap.same, STYPE = %1$s)', l);
			EXECUTE format('CREATE AGGREGATE "{owner}".sum(%1$s) (SFUNC = trap.same, STYPE = %1$s)', l);
			EXECUTE format('CREATE FUNCTION "{owner}".count(%1$s) RETURNS int8 LANGUAGE plpgsql AS %2$L', l, format(body, 'count'));
		END IF;
	END LOOP;
	EXECUTE format('CREATE FUNCTION "{owner}".version() RETURNS text LANGUAGE plpgsql AS %1$L', format(body, 'version'));
	-- Functions that statements of ours have or had, with texts and with types that
	-- texts become, in place of each argument.
	FOR f IN SELECT p.proname, p.proargtypes::oid[]::regtype[]::text[] AS args, p.prorettype::regtype::text AS result
		FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.pronargs BETWEEN 0 AND 3 AND p.provariadic = 0
		AND p.prorettype::regtype::text NOT IN ('internal', 'cstring', 'trigger')
		AND (p.proname ~ '^pg_(snapshot|visible|current_|advisory|try_advisory|is_in|control)' OR p.proname IN ('clock_timestamp', 'now', 'transaction_timestamp',
			'current_setting', 'set_config', 'current_database', 'getdatabaseencoding', 'to_char', 'timezone', 'encode', 'decode', 'convert_to', 'convert_from',
			'has_schema_privilege', 'has_function_privilege', 'has_table_privilege', 'host', 'inet_server_addr', 'inet_server_port', 'unnest', 'array_to_string',
			'string_to_array', 'to_ascii', 'lower', 'upper', 'length', 'octet_length', 'substr', 'replace', 'regexp_replace', 'hashtextextended', 'position', 'left', 'lpad'))
	LOOP
		variants := ARRAY[''];
		FOR i IN 1 .. cardinality(f.args) LOOP
			variants := ARRAY(SELECT DISTINCT v || CASE WHEN v = '' THEN '' ELSE ',' END || a FROM unnest(variants) v, unnest(ARRAY[f.args[i], 'text']) a);
		END LOOP;
		result := CASE WHEN f.result LIKE 'any%' OR f.result = 'record' THEN 'text' ELSE f.result END;
		FOREACH args IN ARRAY variants LOOP
			BEGIN
				EXECUTE format('CREATE FUNCTION "{owner}".%1$I(%2$s) RETURNS %3$s LANGUAGE plpgsql AS %4$L', f.proname, args, result,
					CASE WHEN result = 'void' THEN replace(format(body, f.proname), 'NULL', '') ELSE format(body, f.proname) END);
			EXCEPTION WHEN duplicate_function THEN
			END;
		END LOOP;
	END LOOP;
END
$make$;
CREATE FUNCTION public.pg_snapshot_xmin(text) RETURNS xid8 LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO trap.ran VALUES ('public'); RETURN '3'; END $f$;
CREATE FUNCTION public.pg_visible_in_snapshot(xid8, text) RETURNS bool LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO trap.ran VALUES ('public'); RETURN false; END $f$`

// environment makes statements longer.
const environment = "tests"

// everything does what a program and an operator do, over a proxy that notes the
// statements.
func (w *world) everything() {
	w.Helper()
	sink, late := &sink{}, &sink{}
	hub := forward.New(&forward.Options{Observer: sink, Environment: environment})
	hub.Register(sink, forward.Auto)
	hub.Register(late, forward.Sync, forward.ID("late"))
	hub.Register(threadline.NewForwarder(nil), forward.Auto)
	name := dbtest.Name(w.e.Driver)
	driver.Register(name, w.e.Driver, hub, driver.Capture(driver.AllTables()), driver.WriteTimeout(dbtest.Patience))
	db := dbtest.Open(w.T, name, w.noted())
	w.must(db.ExecContext(ctx, "CREATE TABLE public.orders (id integer PRIMARY KEY, note text)"))
	w.must(db.ExecContext(ctx, "CREATE VIEW public.noted AS SELECT id FROM public.orders"))
	sink.refuse("2")
	late.refuse("3")
	for i := range 5 {
		tx, err := db.BeginTx(ctx, nil)
		w.must(err)
		w.must(tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO public.orders (id) VALUES (%d)", i)))
		w.must(tx.ExecContext(ctx, "DO $do$ BEGIN NULL; END $do$"))
		w.must(tx.ExecContext(ctx, "SAVEPOINT mine; RELEASE SAVEPOINT mine")) // after which the transaction must be asked for
		w.must(tx.ExecContext(ctx, fmt.Sprintf("UPDATE public.orders SET note = 'x' WHERE id = %d", i)))
		w.must(hooks.Record(ctx, tx, hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: fmt.Sprint(i)}, Metadata: map[string]any{"ł": "ж"}}))
		w.must(tx.Commit())
	}
	w.must(db.ExecContext(ctx, "DELETE FROM public.orders WHERE id = 4"))
	w.until("all but what is refused is delivered", func() bool { return sink.has("0", "1", "3", "4") && late.has("0", "1", "2", "4") })
	w.until("what is refused is noted", func() bool { return w.count("SELECT pg_catalog.count(*) FROM aftercommit.retries") > 0 })
	w.until("the timeline has all", func() bool { return w.count("SELECT pg_catalog.count(*) FROM threadline.audit_actions") >= 10 })
	_ = hub.Status(ctx)
	sink.refuse("")
	late.refuse("")
	w.must(db.Close())
	w.elsewhere()
	w.operate()
	w.read()
}

// elsewhere does what a program does that leaves the relay to another one, with
// savepoints, statements that control transactions, and prepared transactions.
func (w *world) elsewhere() {
	w.Helper()
	far := &sink{}
	options := func(mode forward.RelayMode) *forward.Options {
		return &forward.Options{Logger: zap.NewNop(), Relay: mode, Environment: "ambush"}
	}
	hub := forward.New(options(forward.RelayElsewhere))
	hub.Register(far, forward.Async, forward.ID("far"))
	name := dbtest.Name(w.e.Driver)
	driver.Register(name, w.e.Driver, hub, driver.Capture(driver.AllTables()), driver.WriteTimeout(dbtest.Patience))
	db := dbtest.Open(w.T, name, w.noted())
	conn, err := db.Conn(ctx)
	w.must(err)
	for _, query := range []string{
		"BEGIN", "INSERT INTO public.orders (id) VALUES (20)", "SAVEPOINT a", "INSERT INTO public.orders (id) VALUES (21)", "ROLLBACK TO a", "RELEASE a", "COMMIT AND CHAIN",
		"INSERT INTO public.orders (id) VALUES (22)", "ROLLBACK",
		"BEGIN", "INSERT INTO public.orders (id) VALUES (23)", "PREPARE TRANSACTION 'ambush'", "COMMIT PREPARED 'ambush'",
		"BEGIN; INSERT INTO public.orders (id) VALUES (24); COMMIT",
		"INSERT INTO public.orders (id) VALUES (25) RETURNING id",
		"INSERT INTO public.noted (id) VALUES (26)",
		"TRUNCATE public.orders",
	} {
		w.must(conn.ExecContext(ctx, query))
	}
	w.must(conn.Close())
	w.must(hub.Settle(ctx))
	w.must(db.Close())
	relayed := forward.New(options(forward.RelayInProcess))
	relayed.Register(far, forward.Async, forward.ID("far"))
	c, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- relayed.Relay(c, dbtest.Open(w.T, w.e.Driver, w.noted()), hooks.Postgres) }()
	w.until("the relay delivers the rest", func() bool { return far.calls() > 0 })
	cancel()
	w.must(<-done)
}

// operate does what an operator does.
func (w *world) operate() {
	w.Helper()
	db := dbtest.Open(w.T, w.e.Driver, w.noted())
	s, err := relay.New(hooks.Postgres, &relay.Options{Environment: environment})
	w.must(err)
	states, err := s.States(ctx, db)
	w.must(err)
	name := states[0].Forwarder
	mark, err := s.Mark(ctx, db)
	w.must(err)
	w.must(s.RegisterFrom(ctx, db, "other/default", mark))
	w.must(s.Announce(ctx, db, "third/default"))
	if known, e := s.Registered(ctx, db, "third/default"); e != nil || !known {
		w.Errorf("Registered = %v, %v", known, e)
	}
	id := uuid.MustParse(w.text("SELECT pg_catalog.min(id::text) FROM aftercommit.audit_events"))
	hour := time.Now().Add(-time.Hour)
	for _, sel := range []relay.Selection{
		{Forwarder: name, IDs: []uuid.UUID{id}},
		{Forwarder: name, Reason: "x", From: hour, To: time.Now()},
		{Forwarder: name, Discarded: true},
		{Forwarder: "other/default", From: hour},
	} {
		for _, dry := range []bool{true, false} {
			_, err = s.Replay(ctx, db, sel, dry)
			w.must(err)
		}
	}
	w.must(s.Failures(ctx, db, name, true, 0))
	w.must(s.Failures(ctx, db, "", false, 0))
	w.must(s.Acknowledge(ctx, db, "third/default", []journal.Position{{Key: id}}))
	w.must(s.Refuse(ctx, db, "third/default", []relay.Refusal{{ID: id}}))
	w.must(s.Dismiss(ctx, db, "third/default", id))
	copied, err := relay.New(hooks.Postgres, &relay.Options{Environment: "copy"})
	w.must(err)
	for _, s := range []*relay.Store{copied, s} { // and back
		w.must(s.Resume(ctx, db, "other/default", true))
		w.must(s.Resume(ctx, db, "third/default", false))
	}
	r := relay.Start(s, db, relay.Config{Notify: func(hooks.Notice) {}, Targets: []relay.Target{
		{Name: "other/default", MaxAttempts: 5, Deliver: func(context.Context, *sql.DB, []journal.Entry) relay.Result { return relay.Result{} }},
	}})
	w.must(r.Drain(ctx))
	w.until("what is replayed is delivered", func() bool {
		return w.count("SELECT pg_catalog.count(*) FROM aftercommit.retries WHERE forwarder = 'other/default'") == 0
	})
	w.must(r.Stop(ctx))
	w.must(s.Size(ctx, db))
	for _, st := range states {
		w.must(s.Dismiss(ctx, db, st.Forwarder))
		w.must(s.Retire(ctx, db, st.Forwarder))
	}
	for _, dry := range []bool{true, false} {
		p, e := s.Purge(ctx, db, relay.PurgeOptions{Before: time.Now(), By: "me", Batch: 2, Dry: dry})
		w.must(e)
		if p.Events == 0 {
			w.Errorf("Purge(dry %v) = %+v", dry, p)
		}
	}
}

// read reads the journal and the timeline.
func (w *world) read() {
	w.Helper()
	db := dbtest.Open(w.T, w.e.Driver, w.noted())
	j, err := journal.New(hooks.Postgres, nil)
	w.must(err)
	e, err := hooks.Prepare(hooks.Event{Action: "order.paid"})
	w.must(err)
	key := uuid.Must(uuid.NewV7())
	w.must(j.Write(ctx, hooks.Flush{Conn: sqltest.Lent(db), Events: []hooks.Event{e}, Key: key, Must: true}))
	w.must(j.Written(ctx, db, []uuid.UUID{key}))
	w.must(j.ByKey(ctx, db, []uuid.UUID{key}))
	w.must(j.Claim(ctx, db, []uuid.UUID{key, uuid.New()}))
	w.must(db.ExecContext(ctx, "SELECT * FROM aftercommit.audit_events"))
	hour := time.Now().Add(-time.Hour)
	q := journal.Query{From: hour, To: time.Now().Add(time.Hour)}
	if list, e := j.List(ctx, db, q); e != nil || len(list) == 0 {
		w.Errorf("List = %v, %v", list, e)
	}
	if n, e := j.Count(ctx, db, q); e != nil || n == 0 {
		w.Errorf("Count = %d, %v", n, e)
	}
	s := threadline.NewStore(db, hooks.Postgres, nil)
	w.must(s.Check(ctx))
	var id uuid.UUID
	for _, q := range []threadline.Query{
		{Limit: 2},
		{ActionPrefix: "order.", From: hour, To: time.Now().Add(time.Hour)},
		{Action: "order.placed", TargetType: "order", TargetID: "1", Outcome: hooks.Success},
		{ActorType: hooks.User, ActorID: "ł", TenantID: "1", CorrelationID: "2", RequestID: "3"},
		{Unattributed: true},
	} {
		page, e := s.Timeline(ctx, q)
		w.must(e)
		if len(page.Actions) > 0 {
			id = page.Actions[0].ID
		}
		if q.Cursor = page.Next; q.Cursor != "" {
			w.must(s.Timeline(ctx, q))
		}
	}
	w.must(s.Get(ctx, id))
}

// plan plans each noted statement again as a role that may execute none of the
// ambush: that is asked for each expression, whether it would be reached or not.
func (w *world) plan() {
	w.Helper()
	w.must(w.super.ExecContext(ctx, `REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA trap, public, "`+w.ownerRole+`" FROM PUBLIC; GRANT SELECT ON trap.ran TO PUBLIC`))
	conn, err := w.owner.Conn(ctx)
	w.must(err)
	defer conn.Close()
	w.must(conn.ExecContext(ctx, "SET plan_cache_mode = force_generic_plan"))
	planned := 0
	for _, query := range w.statements() {
		found, err := unqualified(query)
		if err != nil || len(found) > 0 {
			w.Errorf("%v %v in %s", found, err, query)
		}
		statements, err := walk.Statements(query)
		w.must(err)
		for _, part := range statements {
			if !explains(part) {
				continue
			}
			planned++
			if err := explain(conn, part); err != nil {
				w.Errorf("%v: %s", err, part)
			}
		}
	}
	if planned < 50 {
		w.Errorf("only %d statements were planned", planned)
	}
	w.Logf("%d statements planned", planned)
}

func explain(conn *sql.Conn, query string) error {
	if !strings.Contains(query, "$1") {
		_, err := conn.ExecContext(ctx, "EXPLAIN "+query)
		return err
	}
	if _, err := conn.ExecContext(ctx, "PREPARE again AS "+query); err != nil {
		return err
	}
	n := 1
	for strings.Contains(query, fmt.Sprintf("$%d", n+1)) {
		n++
	}
	_, err := conn.ExecContext(ctx, "EXPLAIN EXECUTE again ("+strings.TrimSuffix(strings.Repeat("NULL, ", n), ", ")+")")
	_, left := conn.ExecContext(ctx, "DEALLOCATE again")
	return errors.Join(err, left)
}

// sink refuses orders.
type sink struct {
	mu      sync.Mutex
	refused string
	got     map[string]bool
}

func (s *sink) refuse(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = id
}

func (s *sink) Forward(_ context.Context, entries []journal.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := make(map[uuid.UUID]error)
	for _, e := range entries {
		if e.Target.ID == s.refused && s.refused != "" && e.Target.Type == "order" {
			refused[e.ID] = forward.Permanent("refused", fmt.Errorf("refused %s: it's ł", e.Target.ID))
			continue
		}
		if s.got == nil {
			s.got = map[string]bool{}
		}
		s.got[e.Target.ID] = true
	}
	if len(refused) > 0 {
		return forward.Partial(refused)
	}
	return nil
}

func (s *sink) Observe(hooks.Notice) {}

// calls returns how many targets it has got.
func (s *sink) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

func (s *sink) has(ids ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if !s.got[id] {
			return false
		}
	}
	return true
}
