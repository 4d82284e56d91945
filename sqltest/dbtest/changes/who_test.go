package changes_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// app is an app on the world's database. Its connections are wrapped.
type app struct {
	*world
	db *sql.DB
}

// eachApp runs f with a captured table t and an app, whose transactions are in the timeline when they
// have committed, if it has one.
func eachApp(t *testing.T, f func(w *world, open func(o forward.Options, timeline bool) *app), opts ...driver.Option) {
	t.Helper()
	eachAppOn(t, dbtest.PostgresEngines(), f, opts...)
}

// eachAppOn is eachApp on some of the engines.
func eachAppOn(t *testing.T, engines []dbtest.Engine, f func(w *world, open func(o forward.Options, timeline bool) *app), opts ...driver.Option) {
	t.Helper()
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		f(w, func(o forward.Options, timeline bool) *app {
			o.Logger = zap.NewNop()
			if !o.NoJournal {
				o.Relay = forward.RelayElsewhere
			}
			hub := forward.New(&o)
			if timeline {
				hub.Register(threadline.NewForwarder(nil), forward.Sync)
			}
			name := dbtest.Name(w.e.Driver)
			w.e.Register(name, hub, append(opts, driver.Capture(driver.AllTables()))...)
			return &app{w, dbtest.Open(w.T, name, w.dsn)}
		})
	}, engines...)
}

func user(id string) context.Context {
	return hooks.With(ctx, hooks.Values{Actor: hooks.Actor{Type: hooks.User, ID: id, Name: "Name of " + id}, TenantID: "shop", RequestID: "req-1"})
}

// tx executes statements in one transaction, each as the user of its index, if there is one.
func (a *app) tx(users []string, queries ...string) {
	a.Helper()
	tx, err := a.db.BeginTx(ctx, nil)
	a.must(err)
	defer tx.Rollback()
	for i, q := range queries {
		by := ctx
		if i < len(users) && users[i] != "" {
			by = user(users[i])
		}
		_, err := tx.ExecContext(by, q)
		a.must(err)
	}
	a.must(tx.Commit())
}

// by is who made the last change of a row.
func (w *world) by(key string) *changes.Attribution {
	w.Helper()
	history, err := w.store.History(ctx, "t", key)
	w.must(err)
	return history[len(history)-1].By
}

func (w *world) wantBy(key string, state changes.State, want string) {
	w.Helper()
	by := w.by(key)
	if by.State != state || !strings.Contains(by.String(), want) {
		w.Errorf("row %s: %s, %s; want %s, %s", key, by.State, by, state, want)
	}
	if by.Origin.Role == "" {
		w.Errorf("row %s: the session's role is not known", key)
	}
}

// TestWho: changes have the actors of the events of their transaction, also when the journal was
// purged; changes without an event have the session, and nobody else's name.
func TestWho(t *testing.T) {
	eachApp(t, func(w *world, open func(forward.Options, bool) *app) {
		w.exec("INSERT INTO t VALUES (0, 0)")
		w.wantBy("0", changes.Unknown, "its events are not known") // nothing is there that could say
		a := open(forward.Options{}, true)
		a.tx([]string{"alice"}, "INSERT INTO t VALUES (1, 1)")
		a.tx([]string{"alice", "bob"}, "INSERT INTO t VALUES (2, 1)", "UPDATE t SET a = 2 WHERE id = 2")
		a.tx(nil, "INSERT INTO t VALUES (3, 1)")
		_, err := a.db.ExecContext(user("carol"), "INSERT INTO t VALUES (4, 1)")
		w.must(err)
		w.exec("SET application_name = 'by hand'; INSERT INTO t VALUES (5, 1)")
		address := w.text("SELECT coalesce(host(inet_client_addr()), '')")
		for range 2 {
			w.wantBy("1", changes.Recorded, "user:alice")
			w.wantBy("2", changes.Recorded, "user:alice")
			w.wantBy("2", changes.Recorded, "user:bob")
			w.wantBy("3", changes.Recorded, "(unattributed)")
			w.wantBy("4", changes.Recorded, "user:carol")
			w.wantBy("5", changes.NoEvent, ", by hand (no event)")
			w.wantBy("0", changes.Unknown, "its events are not known") // before the timeline began
			w.exec("DELETE FROM aftercommit.journal")
		}
		if got := w.by("5").Origin.Client; got != address {
			w.Errorf("the client's address is %q, want %q", got, address)
		}
		one, two := w.by("1"), w.by("2")
		if len(one.Contexts) != 1 || one.Events != 1 || one.First.IsZero() || one.First != one.Last {
			w.Errorf("%+v", one)
		}
		if c := one.Contexts[0]; c.Actor.Name != "Name of alice" || c.TenantID != "shop" || c.RequestID != "req-1" || c.Application == "" || c.Host == "" || c.Role == "" {
			w.Errorf("%+v", c)
		}
		if len(two.Contexts) != 2 || len(two.Actors()) != 2 || two.Events != 2 {
			w.Errorf("%+v", two)
		}
	})
}

// TestWhoIsPending: until its events are delivered, a transaction's actor is not known yet, which is not
// the same as none.
func TestWhoIsPending(t *testing.T) {
	eachApp(t, func(w *world, open func(forward.Options, bool) *app) {
		open(forward.Options{}, true).tx([]string{"alice"}, "INSERT INTO t VALUES (1, 1)")
		open(forward.Options{}, false).tx([]string{"bob"}, "INSERT INTO t VALUES (2, 1)")
		w.exec("INSERT INTO t VALUES (3, 1)")
		w.wantBy("2", changes.Pending, "its events are not yet delivered")
		w.wantBy("3", changes.NoEvent, "no event")
		j, err := journal.New(hooks.Postgres, nil)
		w.must(err)
		entries, err := j.List(ctx, w.db, journal.Query{})
		w.must(err)
		for range 2 {
			w.must(threadline.NewStore(w.db, hooks.Postgres, nil).Record(ctx, entries))
			w.wantBy("1", changes.Recorded, "user:alice")
			w.wantBy("2", changes.Recorded, "user:bob")
		}
	})
}

// TestWhoWithoutJournal: events from memory do not say which transaction they are of.
func TestWhoWithoutJournal(t *testing.T) {
	eachApp(t, func(w *world, open func(forward.Options, bool) *app) {
		open(forward.Options{NoJournal: true}, true).tx([]string{"alice"}, "INSERT INTO t VALUES (1, 1)")
		w.wantBy("1", changes.Unknown, "role ")
	})
}

// TestWhoForged: what a context or a role lies does not make the app's writes fail, and adds
// names to those that the transaction's own events say; it takes none away.
func TestWhoForged(t *testing.T) {
	eachApp(t, func(w *world, open func(forward.Options, bool) *app) {
		a := open(forward.Options{}, true)
		for i, actor := range []hooks.Actor{{Type: "No Type\x00", ID: "x"}, {Type: hooks.User, ID: strings.Repeat("x", 5000)}, {Type: hooks.User, ID: "\xff\xfe"}, {ID: "x"}} {
			_, err := a.db.ExecContext(hooks.WithActor(ctx, actor), "INSERT INTO t VALUES ($1, 1)", i)
			w.must(err)
		}
		for _, key := range []string{"0", "1", "2", "3"} {
			w.wantBy(key, changes.Recorded, "")
		}
		a.tx([]string{"alice"}, "INSERT INTO t VALUES (4, 1)")
		w.exec(`SELECT threadline.record(json_build_array(json_build_object('id', gen_random_uuid(), 'name', 'x.y', 'outcome', 'success', 'occurred_at', now(), 'recorded_at', now(),
			'actor_type', 'user', 'actor_id', 'mallory', 'tx_id', (SELECT xid::text::bigint FROM threadline.audit_changes WHERE new_row = '(4,1)'), 'tx_started_at', (SELECT tx_started_at FROM threadline.audit_changes WHERE new_row = '(4,1)'))))`)
		w.wantBy("4", changes.Recorded, "user:alice")
		w.wantBy("4", changes.Recorded, "user:mallory")
		w.exec("INSERT INTO threadline.audit_contexts (tx_id, tx_started_at, id, actor_type, actor_id, events, occurred_at, first_recorded_at, last_recorded_at) " +
			"SELECT tx_id, tx_started_at + interval '1 hour', gen_random_uuid(), 'user', 'restored', 1, now(), now(), now() FROM threadline.audit_contexts")
		if by := w.by("4").String(); strings.Contains(by, "restored") {
			w.Errorf("a transaction of the same ID in another cluster counts: %s", by)
		}

		setting := w.text("SELECT (regexp_match(prosrc, $$'(threadline[.]tx_[a-z0-9-]+)'$$))[1] FROM pg_proc WHERE pronamespace = 'threadline'::regnamespace AND prosrc LIKE '%threadline.tx_%' LIMIT 1")
		w.exec("SELECT set_config('" + setting + "', pg_current_xact_id()::text, true); INSERT INTO t VALUES (5, 1)")
		if by := w.by("5"); by.State != changes.NoEvent || by.String() != "unknown session (no event)" {
			w.Errorf("%s: %s", by.State, by)
		}
	})
}

// TestWhoWroteUnseen: where a function has written, the driver tells who, if it is told to, and not where a
// transaction has only read.
func TestWhoWroteUnseen(t *testing.T) {
	test := func(state changes.State, want string) func(w *world, open func(forward.Options, bool) *app) {
		return func(w *world, open func(forward.Options, bool) *app) {
			w.exec("CREATE FUNCTION f(id int) RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (id, 1) RETURNING id'")
			a := open(forward.Options{}, true)
			a.tx([]string{"alice"}, "INSERT INTO t VALUES (1, 1)")
			a.tx([]string{"alice", "bob"}, "SELECT f(2)", "SELECT f(3)")
			a.tx([]string{"alice"}, "SELECT count(*) FROM t")
			w.wantBy("2", state, want)
			if got := w.text("SELECT count(*) FROM threadline.audit_transactions WHERE txid NOT IN (SELECT xid::text::bigint FROM threadline.audit_changes)"); got != "0" {
				w.Errorf("%s transactions have no changes", got)
			}
		}
	}
	t.Run("told", func(t *testing.T) { eachApp(t, test(changes.Recorded, "user:"), driver.CaptureTransactions()) })
	t.Run("not told", func(t *testing.T) { eachApp(t, test(changes.NoEvent, "(no event)")) })
}

// TestWhoReads: a role that may read the changes and not the rest sees the sessions.
func TestWhoReads(t *testing.T) {
	eachApp(t, func(w *world, open func(forward.Options, bool) *app) {
		open(forward.Options{}, true).tx([]string{"alice"}, "INSERT INTO t VALUES (1, 1)")
		role := `"` + dbtest.Name("reader") + `"`
		w.exec("CREATE ROLE "+role, "GRANT USAGE ON SCHEMA threadline TO "+role, "GRANT SELECT ON t, threadline.audit_changes, threadline.audit_shapes TO "+role)
		defer w.exec("RESET ROLE", "DROP OWNED BY "+role, "DROP ROLE "+role)
		w.db.SetMaxOpenConns(1)
		w.exec("SET ROLE " + role)
		w.wantBy("1", changes.Unknown, "role ")
		w.exec("RESET ROLE", "GRANT SELECT ON threadline.audit_contexts TO "+role, "SET ROLE "+role)
		w.wantBy("1", changes.Recorded, "user:alice")
	})
}

// TestWhoIsPlanned: who made a change is read by indexes, however many other transactions there are.
func TestWhoIsPlanned(t *testing.T) {
	eachApp(t, func(w *world, open func(forward.Options, bool) *app) {
		a := open(forward.Options{}, true)
		a.tx([]string{"alice"}, "INSERT INTO t VALUES (1, 1)")
		w.must(a.db.Close()) // sessions are counted when they end
		w.exec("INSERT INTO threadline.audit_contexts (tx_id, tx_started_at, id, events, occurred_at, first_recorded_at, last_recorded_at) "+
			"SELECT 1000000 + n, now(), gen_random_uuid(), 1, now(), now(), now() FROM generate_series(1, 5000) n",
			"INSERT INTO aftercommit.journal (key, xid, role, events, format) SELECT gen_random_uuid(), (1000000 + n)::text::xid8, 'app', 1, 1 FROM generate_series(1, 5000) n",
			"ANALYZE threadline.audit_contexts, threadline.audit_changes, aftercommit.journal", "UPDATE t SET a = 2")
		const tables = "(SELECT 'audit_changes' AS relname, sum(seq_tup_read) AS scanned, sum(idx_scan) AS looked FROM pg_stat_user_tables WHERE schemaname IN ('threadline', 'aftercommit') AND relname IN ('audit_contexts', 'journal')) s"
		if n := w.countIn("scanned, looked", tables, func(store *changes.Store) error {
			(&world{T: w.T, db: w.db, store: store}).wantBy("1", changes.NoEvent, "no event")
			return nil
		}); n[0] > 0 || n[1] == 0 {
			w.Errorf("%d rows read one after the other, %d lookups by indexes", n[0], n[1])
		}
	})
}
