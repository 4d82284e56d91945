package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestMigrateContexts: a timeline of a version that kept no contexts, or had no indexes on them, gets both, and the changes of
// earlier events are then found by who made them.
func TestMigrateContexts(t *testing.T) {
	eachAppOn(t, dbtest.PostgresEngines(), func(w *world, open func(o forward.Options, timeline bool) *app) {
		a := open(forward.Options{}, true)
		a.tx([]string{"alice", "bob"}, "INSERT INTO t VALUES (1, 1)", "UPDATE t SET a = 2 WHERE id = 1")
		a.tx([]string{"bob"}, "INSERT INTO t VALUES (2, 1)")
		a.tx([]string{""}, "INSERT INTO t VALUES (3, 1)")
		q := changes.Query{ActorType: hooks.User, ActorID: "alice", TenantID: "shop", RequestID: "req-1"}
		const contexts = "SELECT string_agg(concat(tx_id, id, action_id, actor_type, actor_id, actor_name, tenant_id, request_id, correlation_id, role, host, events, occurred_at, first_recorded_at, last_recorded_at), ' ' ORDER BY id) FROM threadline.audit_contexts"
		was := w.text(contexts)
		indexes := func() string {
			return w.text("SELECT count(*) FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid WHERE x.indisvalid AND c.relname IN ('audit_contexts_actor', 'audit_contexts_correlation', 'audit_contexts_request', 'audit_changes_late')")
		}
		if got := indexes(); got != "4" {
			w.Errorf("new tables have %s of the indexes", got)
		}
		// As an earlier version has left them.
		w.exec("DELETE FROM threadline.audit_contexts WHERE actor_id IS DISTINCT FROM 'bob' OR events = 1", "DROP INDEX threadline.audit_contexts_actor, threadline.audit_contexts_correlation, threadline.audit_contexts_request, threadline.audit_changes_late")
		w.must(threadline.NewStore(w.db, hooks.Postgres, nil).Migrate(ctx)) // as at each start of an app
		if got := w.keep(capture.Table{Name: "t"}); !strings.Contains(got, "audit_changes_late") || !strings.Contains(got, `"threadline"."audit_contexts" lacks indexes`) || indexes() != "0" {
			w.Errorf("the warnings are %s", got)
		}
		if got := keys(w.all(q)); got != "1 1" {
			w.Errorf("before: %s", got)
		}
		for range 2 {
			w.must(w.installer().Migrate(ctx))
			if got := w.text(contexts); got != was {
				w.Errorf("the contexts are\n%s\nand were\n%s", got, was)
			}
			if got := w.keep(capture.Table{Name: "t"}) + indexes(); got != "4" {
				w.Errorf("indexes and warnings: %s", got)
			}
			if got := keys(w.all(q)); got != "1 1" {
				w.Errorf("afterwards: %s", got)
			}
		}
	})
}

// TestContextsAreMissing: where a program has put a function back that keeps no contexts, changes are found as if there were no
// indexes, until Migrate has added the contexts.
func TestContextsAreMissing(t *testing.T) {
	eachAppOn(t, dbtest.PostgresEngines()[:1], func(w *world, open func(o forward.Options, timeline bool) *app) {
		a := open(forward.Options{}, true)
		a.tx([]string{"bob"}, "INSERT INTO t VALUES (1, 1)")
		body := w.text("SELECT pg_get_functiondef('threadline.add(json, integer)'::regprocedure)")
		from, to := strings.Index(body, "contexts AS (INSERT"), strings.Index(body, "SELECT count(*) INTO fresh")
		w.exec(strings.TrimRight(body[:from], ", \n") + "\n" + body[to:])
		a.tx([]string{"alice"}, "INSERT INTO t VALUES (2, 1)")
		w.exec(threadline.Schema(hooks.Postgres, nil))
		a.tx([]string{"alice"}, "INSERT INTO t VALUES (3, 1)")
		for range 2 {
			w.wantBy("2", changes.Recorded, "user:alice")
			if got := keys(w.all(changes.Query{ActorID: "alice"})); got != "3 2" {
				w.Errorf("found: %s", got)
			}
			w.must(w.installer().Migrate(ctx))
		}
	})
}
