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
	for name, before := range map[string]string{
		"schemas made by the scripts": "",
		"schemas that are there":      "CREATE SCHEMA aftercommit; CREATE TABLE aftercommit.of_the_owner (id int); CREATE SCHEMA threadline",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dbtest.PQ)
			app := w.withDefaults()
			w.must(w.owner.ExecContext(ctx, before))
			w.install()
			want := forReaders + "PUBLIC SELECT on aftercommit.schema_versions; PUBLIC SELECT on threadline.schema_version"
			if before != "" { // as the owner has made them
				want += "; " + app + " CREATE, USAGE on aftercommit; " + app + " CREATE, USAGE on threadline"
			}
			if got := w.rights(); got != want {
				t.Errorf("others have the rights\n%s, want\n%s", got, want)
			}
			w.must(w.owner.ExecContext(ctx, "DROP FUNCTION aftercommit.enlist, aftercommit.acknowledge, threadline.refuse")) // which an older version had not
			upgrade, err := journal.Upgrade(hooks.Postgres, nil)
			w.must(err)
			w.must(w.owner.ExecContext(ctx, upgrade))
			w.must(w.owner.ExecContext(ctx, threadline.Schema(hooks.Postgres, nil)))
			if got := w.rights(); got != want {
				t.Errorf("after an upgrade others have the rights\n%s, want\n%s", got, want)
			}
			w.deniedByDefault(app, before != "")
		})
	}
}

// forReaders are rights on functions that a view calls, and that read nothing themselves.
const forReaders = "PUBLIC EXECUTE on aftercommit.unfold(text,text,integer,smallint); "

// withDefaults returns a role to which, as to PUBLIC, the owner's default privileges
// give all.
func (w *world) withDefaults() (app string) {
	w.Helper()
	app = dbtest.Name("app")
	w.must(w.super.ExecContext(ctx, `CREATE ROLE "`+app+`" LOGIN`))
	w.Cleanup(func() { w.must(w.super.ExecContext(ctx, `DROP OWNED BY "`+app+`" CASCADE; DROP ROLE "`+app+`"`)) })
	for _, what := range []string{"SCHEMAS", "TABLES", "SEQUENCES", "FUNCTIONS"} {
		w.must(w.owner.ExecContext(ctx, "ALTER DEFAULT PRIVILEGES GRANT ALL ON "+what+` TO "`+app+`"`))
		if what != "SCHEMAS" { // PUBLIC's CREATE on the owner's other schemas is not what this is about
			w.must(w.owner.ExecContext(ctx, "ALTER DEFAULT PRIVILEGES GRANT ALL ON "+what+" TO PUBLIC"))
		}
	}
	return app
}

// install makes both schemas as the owner.
func (w *world) install() {
	w.Helper()
	schema, err := journal.Schema(hooks.Postgres, nil)
	w.must(err)
	w.must(w.owner.ExecContext(ctx, schema))
	w.must(w.owner.ExecContext(ctx, threadline.Schema(hooks.Postgres, nil)))
}

// rights returns those that others than the owner have on our schemas and on all in
// them, whatever that is.
func (w *world) rights() string {
	w.Helper()
	return w.text(`SELECT coalesce(string_agg(r, '; ' ORDER BY r COLLATE "C"), '') FROM (
		SELECT what, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END || ' ' || string_agg(privilege_type, ', ' ORDER BY privilege_type) || ' on ' || what AS r
		FROM (SELECT nspname::text AS what, nspacl AS acl, nspowner AS owner, oid AS schema FROM pg_namespace
			UNION ALL SELECT oid::regclass::text, relacl, relowner, relnamespace FROM pg_class WHERE relname <> 'of_the_owner'
			UNION ALL SELECT oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)), proowner, pronamespace FROM pg_proc) o, aclexplode(acl)
		WHERE schema IN (SELECT oid FROM pg_namespace WHERE nspname IN ('aftercommit', 'threadline')) AND grantee <> owner
		GROUP BY what, grantee) x`)
}

const writes = "SELECT aftercommit.write(pg_catalog.gen_random_uuid(), 1, 1::int2, '[{}]', NULL, true, 100)"

// deniedByDefault tries what the rights would allow.
func (w *world) deniedByDefault(app string, made bool) {
	w.Helper()
	w.must(w.owner.ExecContext(ctx, `GRANT USAGE ON SCHEMA aftercommit, threadline TO "`+app+`"`))
	db := dbtest.Open(w.T, "postgres", w.as(app))
	for _, query := range []string{
		"SELECT count(*) FROM aftercommit.journal",
		"SELECT count(*) FROM aftercommit.audit_events",
		"UPDATE aftercommit.journal SET document = '[]'",
		"DELETE FROM aftercommit.journal",
		"DELETE FROM aftercommit.cursors",
		"TRUNCATE aftercommit.retries, aftercommit.acknowledged, aftercommit.workers, aftercommit.journal_purges",
		"UPDATE aftercommit.schema_versions SET version = 99",
		writes,
		"SELECT aftercommit.written(ARRAY[]::uuid[])",
		"SELECT aftercommit.claim(ARRAY[pg_catalog.gen_random_uuid()], 100)",
		"SELECT aftercommit.enlist('mine/default', 'x')",
		"DELETE FROM threadline.audit_actions",
		"UPDATE threadline.schema_version SET version = 99",
		"SELECT threadline.record('[]')",
	} {
		if _, err := db.ExecContext(ctx, query); hooks.SQLState(err) != "42501" {
			w.Errorf("%s: %v, want that it is denied", query, err)
		}
	}
	allowed := []string{"SELECT version FROM aftercommit.schema_versions", "SELECT version FROM threadline.schema_version"}
	if made {
		allowed = append(allowed, "SELECT id FROM aftercommit.of_the_owner") // which is none of ours
	}
	for _, query := range allowed {
		if _, err := db.ExecContext(ctx, query); err != nil {
			w.Errorf("%s: %v", query, err)
		}
	}
	w.must(w.owner.ExecContext(ctx, `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO "`+app+`"; GRANT EXECUTE ON FUNCTION threadline.record(json) TO "`+app+`"`))
	upgrade, err := journal.Upgrade(hooks.Postgres, nil)
	w.must(err)
	w.must(w.owner.ExecContext(ctx, upgrade))
	w.must(w.owner.ExecContext(ctx, threadline.Schema(hooks.Postgres, nil)))
	for _, query := range []string{writes, "SELECT threadline.record('[]')"} {
		if _, err := db.ExecContext(ctx, query); err != nil {
			w.Errorf("after an upgrade, %s: %v", query, err)
		}
	}
}
