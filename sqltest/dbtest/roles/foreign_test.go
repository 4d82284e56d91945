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
// is refused, by a superuser too.
func TestForeignSchema(t *testing.T) {
	w := newWorld(t, dbtest.PQ)
	script, err := journal.Schema(hooks.Postgres, nil)
	w.must(err)
	scripts := map[string]string{"aftercommit": "BEGIN; " + script + "; COMMIT", "threadline": threadline.Schema(hooks.Postgres, nil)}
	other := dbtest.Name("other")
	w.must(w.super.ExecContext(ctx, `CREATE ROLE "`+other+`"`))
	w.Cleanup(func() { w.must(w.super.ExecContext(ctx, `DROP OWNED BY "`+other+`"; DROP ROLE "`+other+`"`)) })
	for schema, script := range scripts {
		for what, prepare := range map[string]string{
			"its schema":   `CREATE SCHEMA {schema} AUTHORIZATION {other}; GRANT ALL ON SCHEMA {schema} TO PUBLIC`,
			"its function": `CREATE SCHEMA {schema} AUTHORIZATION {owner}; CREATE FUNCTION {schema}.now() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION {schema}.now() OWNER TO {other}`,
			"its table":    `CREATE SCHEMA {schema} AUTHORIZATION {owner}; CREATE TABLE {schema}.t (); ALTER TABLE {schema}.t OWNER TO {other}`,
		} {
			for name, db := range map[string]*sql.DB{"the owner": w.owner, "a superuser": w.super} {
				w.must(w.super.ExecContext(ctx, strings.NewReplacer("{schema}", schema, "{other}", `"`+other+`"`, "{owner}", `"`+w.ownerRole+`"`).Replace(prepare)))
				conn, err := db.Conn(ctx)
				w.must(err)
				_, err = conn.ExecContext(ctx, script)
				if hooks.SQLState(err) != "AC001" || !strings.Contains(err.Error(), "belongs to another role") {
					t.Errorf("%s, %s in %s: %v", name, what, schema, err)
				}
				w.must(conn.ExecContext(ctx, "ROLLBACK"))
				w.must(conn.Close())
				w.must(w.super.ExecContext(ctx, "DROP SCHEMA "+schema+" CASCADE"))
			}
		}
	}
}
