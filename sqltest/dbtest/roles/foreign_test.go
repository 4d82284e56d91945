package roles_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// TestForeignSchema: a schema that another role has made, or put something into,
// is refused, by a superuser too. The error names that role, and what to run.
func TestForeignSchema(t *testing.T) {
	w := newWorld(t, dbtest.PQ)
	script, err := journal.Schema(hooks.Postgres, nil)
	w.must(err)
	scripts := map[string]string{"aftercommit": script, "threadline": threadline.Schema(hooks.Postgres, nil)}
	other := dbtest.Name("other")
	w.must(w.super.ExecContext(ctx, `CREATE ROLE "`+other+`"`))
	w.Cleanup(func() { w.must(w.super.ExecContext(ctx, `DROP OWNED BY "`+other+`"; DROP ROLE "`+other+`"`)) })
	for schema, script := range scripts {
		for what, prepare := range map[string]string{
			"schema {schema}":        `CREATE SCHEMA {schema} AUTHORIZATION {other}; GRANT ALL ON SCHEMA {schema} TO PUBLIC`,
			"routine {schema}.now()": `CREATE SCHEMA {schema} AUTHORIZATION {owner}; CREATE FUNCTION {schema}.now() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION {schema}.now() OWNER TO {other}`,
			"table {schema}.t":       `CREATE SCHEMA {schema} AUTHORIZATION {owner}; CREATE TABLE {schema}.t (); ALTER TABLE {schema}.t OWNER TO {other}`,
		} {
			for name, db := range map[string]*sql.DB{"the owner": w.owner, "a superuser": w.super} {
				me := map[string]string{"the owner": `"` + w.ownerRole + `"`, "a superuser": "postgres"}[name]
				filled := strings.NewReplacer("{schema}", schema, "{other}", `"`+other+`"`, "{owner}", `"`+w.ownerRole+`"`, "{me}", me)
				w.must(w.super.ExecContext(ctx, filled.Replace(prepare)))
				_, err := db.ExecContext(ctx, script)
				want := filled.Replace(what + " belongs to role {other}, and this is run as role {me}")
				if name == "a superuser" { // to whom the schema is another's in any case
					want = filled.Replace("and this is run as role {me}")
				}
				if hooks.SQLState(err) != "AC001" || !strings.Contains(err.Error(), want) {
					t.Fatalf("%v\nwant %s", err, want)
				}
				_, remedy, _ := strings.Cut(err.Error(), "to this one: ")
				remedy, _, _ = strings.Cut(remedy, " (") // lib/pq and pgx add the SQLSTATE
				w.must(w.super.ExecContext(ctx, remedy))
				if name == "the owner" {
					w.must(db.ExecContext(ctx, script))
				}
				w.must(w.super.ExecContext(ctx, "DROP SCHEMA "+schema+" CASCADE"))
			}
		}
	}
}
