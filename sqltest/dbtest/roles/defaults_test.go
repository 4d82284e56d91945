package roles_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// TestDefaultPrivileges installs both schemas as a role that gives the app, and
// PUBLIC, rights on all that it makes, as roles for migrations often do.
func TestDefaultPrivileges(t *testing.T) {
	w := newWorld(t, dbtest.PQ)
	app := dbtest.Name("app")
	w.must(w.super.ExecContext(ctx, `CREATE ROLE "`+app+`" LOGIN`))
	w.Cleanup(func() { w.must(w.super.ExecContext(ctx, `DROP OWNED BY "`+app+`" CASCADE; DROP ROLE "`+app+`"`)) })
	for _, to := range []string{`"` + app + `"`, "PUBLIC"} {
		for _, what := range []string{"TABLES", "SEQUENCES", "FUNCTIONS"} {
			w.must(w.owner.ExecContext(ctx, "ALTER DEFAULT PRIVILEGES GRANT ALL ON "+what+" TO "+to))
		}
	}
	w.must(w.owner.ExecContext(ctx, "CREATE SCHEMA aftercommit; CREATE TABLE aftercommit.of_the_owner (id int)"))
	schema, err := journal.Schema(hooks.Postgres, nil)
	w.must(nil, err)
	w.must(w.owner.ExecContext(ctx, "BEGIN; "+schema+"; COMMIT"))
	w.must(w.owner.ExecContext(ctx, threadline.Schema(hooks.Postgres, nil)))
	w.must(w.owner.ExecContext(ctx, `GRANT USAGE ON SCHEMA aftercommit, threadline TO "`+app+`"`))
	db := dbtest.Open(t, "postgres", w.as(app))
	for _, query := range []string{
		"SELECT count(*) FROM aftercommit.audit_events",
		"UPDATE aftercommit.audit_events SET actor_id = 'somebody else'",
		"DELETE FROM aftercommit.audit_events",
		"DELETE FROM aftercommit.forwarders",
		"TRUNCATE aftercommit.failures, aftercommit.settled, aftercommit.workers, aftercommit.purges",
		"UPDATE aftercommit.schema_versions SET version = 99",
		"SELECT pg_catalog.setval('aftercommit.audit_events_seq_seq', 1)",
		"SELECT aftercommit.record('[]', 1, true, 100)",
		"SELECT aftercommit.entries(ARRAY[]::uuid[])",
		"SELECT aftercommit.register('mine/default', 'x')",
		"DELETE FROM threadline.audit_actions",
		"UPDATE threadline.schema_version SET version = 99",
		"SELECT threadline.record('[]')",
	} {
		if _, err = db.ExecContext(ctx, query); hooks.SQLState(err) != "42501" {
			t.Errorf("%s: %v, want that it is denied", query, err)
		}
	}
	for _, query := range []string{
		"SELECT version FROM aftercommit.schema_versions", "SELECT version FROM threadline.schema_version",
		"SELECT id FROM aftercommit.of_the_owner", // which is none of ours
	} {
		if _, err = db.ExecContext(ctx, query); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	w.must(w.owner.ExecContext(ctx, `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit, threadline TO "`+app+`"`))
	upgrade, err := journal.Upgrade(hooks.Postgres, nil)
	w.must(nil, err)
	w.must(w.owner.ExecContext(ctx, "BEGIN; "+upgrade+"; COMMIT"))
	w.must(w.owner.ExecContext(ctx, threadline.Schema(hooks.Postgres, nil)))
	for _, query := range []string{"SELECT aftercommit.record('[]', 1, true, 100)", "SELECT threadline.record('[]')"} {
		if _, err = db.ExecContext(ctx, query); err != nil {
			t.Errorf("after an upgrade, %s: %v", query, err)
		}
	}
}
