package roles_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

const secret = "the other's secret"

// hostile is a world with two apps that have README's grants. The one attacks; the
// other's events go through a relay of the owner to a sink and to the timeline.
type hostile struct {
	*world
	appRole, victimRole string
	app, victim         *sql.DB
	journal             *journal.Journal
	store               *relay.Store
	sink                *sink
	place               string
	known               string // the ID of an event of the victim's
	key                 string // of its flush
	done                []string
}

func (w *world) hostile() *hostile {
	w.Helper()
	h := w.apps()
	var err error
	h.store, err = relay.New(hooks.Postgres, nil)
	w.must(err)
	w.must(h.store.Register(ctx, w.owner, "sink/default"))
	h.place = w.text("SELECT place FROM aftercommit.cursors")
	store := threadline.NewStore(w.owner, hooks.Postgres, nil)
	r := relay.Start(h.store, dbtest.Open(w.T, w.e.Driver, w.as(h.ownerRole)), relay.Config{
		Notify: func(hooks.Notice) {}, Log: zap.NewNop(),
		Targets: []relay.Target{{Name: "sink/default", MaxAttempts: 5, Deliver: func(c context.Context, _ *sql.DB, entries []journal.Entry) relay.Result {
			if err := store.Record(c, entries); err != nil {
				return relay.Result{Err: &relay.Failure{Err: err}}
			}
			_ = h.sink.Forward(c, entries)
			return relay.Result{}
		}}},
	})
	w.Cleanup(func() { w.must(r.Stop(ctx)) })
	h.check("first")
	h.known = w.text("SELECT pg_catalog.min(id::text) FROM aftercommit.audit_events")
	h.key = w.text("SELECT pg_catalog.min(key::text) FROM aftercommit.journal")
	return h
}

// apps makes the tables, and the roles of the two apps.
func (w *world) apps() *hostile {
	w.Helper()
	h := &hostile{world: w, appRole: dbtest.Name("app"), victimRole: dbtest.Name("victim"), sink: &sink{}}
	schema, err := journal.Schema(hooks.Postgres, nil)
	w.must(err)
	w.must(w.owner.ExecContext(ctx, "BEGIN; "+schema+"; COMMIT"))
	w.must(w.owner.ExecContext(ctx, threadline.Schema(hooks.Postgres, nil)))
	for _, role := range []string{h.appRole, h.victimRole} {
		w.must(w.super.ExecContext(ctx, `CREATE ROLE "`+role+`" LOGIN; GRANT CREATE ON SCHEMA public TO "`+role+`"`))
		w.must(w.owner.ExecContext(ctx, `GRANT USAGE ON SCHEMA aftercommit, threadline TO "`+role+`"; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO "`+role+`"; GRANT EXECUTE ON FUNCTION threadline.record(json) TO "`+role+`"`))
		w.Cleanup(func() { w.must(w.super.ExecContext(ctx, `DROP OWNED BY "`+role+`" CASCADE; DROP ROLE "`+role+`"`)) })
	}
	h.app, h.victim = dbtest.Open(w.T, w.e.Driver, w.as(h.appRole)), dbtest.Open(w.T, w.e.Driver, w.as(h.victimRole))
	h.app.SetMaxIdleConns(0)
	h.journal, err = journal.New(hooks.Postgres, nil)
	w.must(err)
	return h
}

// try runs an attempt in a session of the app's, which it returns.
func (h *hostile) try(a attempt) *sql.Conn {
	h.Helper()
	conn, err := h.app.Conn(ctx)
	h.must(err)
	h.must(conn.ExecContext(ctx, "SET statement_timeout = '30s'; SET search_path = public"))
	replace := strings.NewReplacer("{owner}", h.ownerRole, "{victim}", h.victimRole, "{id}", h.known, "{place}", h.place,
		"{key}", h.key, "{relay}", h.text("SELECT pg_catalog.max(pid)::text FROM pg_catalog.pg_stat_activity WHERE usename = '"+h.ownerRole+"'"))
	for i, query := range a.run {
		query = replace.Replace(query)
		last := i == len(a.run)-1
		var got sql.NullString
		if last && a.reads {
			err = conn.QueryRowContext(ctx, query).Scan(&got)
		} else {
			_, err = conn.ExecContext(ctx, query)
		}
		if state := hooks.SQLState(err); state != "" && (!last || a.want == "") || last && state != a.want {
			h.Errorf("%s: %v, want SQLSTATE %q", query, err, a.want)
		}
		if strings.Contains(got.String, secret) {
			h.Errorf("%s shows it: %s", query, got.String)
		}
	}
	return conn
}

// check commits an event of the victim's, and looks whether it reaches the sink and
// the timeline, and whether all that the victim has written is as it was.
func (h *hostile) check(name string) {
	h.Helper()
	begun := time.Now()
	h.write(name)
	h.until("it is delivered", func() bool { return h.sink.has(name) })
	h.Logf("delivered after %v", time.Since(begun).Round(time.Millisecond))
	h.done = append(h.done, name)
	for _, query := range []string{
		"SELECT pg_catalog.string_agg(target_id, ' ' ORDER BY key, ordinal) FROM aftercommit.audit_events WHERE action = 'thing.happened' AND reason = '%s' AND role = '%s'",
		"SELECT pg_catalog.string_agg(target_id, ' ' ORDER BY recorded_at, seq) FROM threadline.audit_actions WHERE name = 'thing.happened' AND reason = '%s' AND role = '%s'",
	} {
		if got, want := h.text(fmt.Sprintf(query, strings.ReplaceAll(secret, "'", "''"), h.victimRole)), strings.Join(h.done, " "); got != want {
			h.Errorf("the other has [%s], want [%s]", got, want)
		}
	}
}

// write commits an event of the victim's.
func (h *hostile) write(name string) {
	h.Helper()
	e, err := hooks.Prepare(hooks.Event{Action: "thing.happened", Reason: secret, Target: hooks.Target{Type: "thing", ID: name}})
	h.must(err)
	ok, err := h.journal.Write(ctx, hooks.Flush{Conn: sqltest.Lent(h.victim), Events: []hooks.Event{e}, Key: uuid.Must(uuid.NewV7()), Must: true, Timeout: 5 * time.Second})
	if err != nil || !ok {
		h.Fatalf("the other's write: %v, %v", ok, err)
	}
}

// relayWithLate runs a relay of the owner for one more sink, and returns that.
func (w *world) relayWithLate() *sink {
	w.Helper()
	late := &sink{}
	hub := forward.New(&forward.Options{Logger: zap.NewNop()})
	hub.Register(&sink{}, forward.Auto)
	hub.Register(late, forward.Auto, forward.ID("late"))
	c, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- hub.Relay(c, dbtest.Open(w.T, w.e.Driver, w.as(w.ownerRole)), hooks.Postgres) }()
	w.Cleanup(func() {
		cancel()
		w.must(<-done)
	})
	w.until("the relay has registered the other", func() bool {
		return w.count("SELECT pg_catalog.count(*) FROM aftercommit.cursors WHERE name = 'roles_test.sink/default' AND holder IS NOT NULL") == 1
	})
	return late
}
