package journal_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/lib/pq"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestSchemaAgain: what makes the journal, and what upgrades it, may be run again, in a
// transaction or not, and has nothing to say.
func TestSchemaAgain(t *testing.T) {
	s := newSession(t, noticing(t, func(n *pq.Error) { t.Errorf("%s: %s", n.Severity, n.Message) }))
	schema, err := journal.Schema(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	upgrade, err := journal.Upgrade(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	j := newJournal(t, hooks.Postgres, &journal.Options{NoMigrate: true})
	s.exec(schema)
	if err := j.Connect(ctx, s.conn); err != nil {
		t.Fatal(err)
	}
	s.exec("BEGIN")
	s.write(j, 1, event("order.placed"))
	s.exec("COMMIT")
	for _, script := range []string{schema, upgrade, "BEGIN; " + schema + "; COMMIT", "BEGIN; " + upgrade + "; COMMIT"} {
		s.exec(script)
	}
	s.exec("BEGIN")
	s.write(j, 2, event("order.placed"))
	s.exec("COMMIT")
	if list, err := j.List(ctx, s.conn, journal.Query{}); err != nil || len(list) != 2 {
		t.Errorf("%d entries, %v; want 2", len(list), err)
	}
}

func noticing(t *testing.T, notice func(*pq.Error)) *sql.DB {
	t.Helper()
	base, err := pq.NewConnector(dbtest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(pq.ConnectorWithNoticeHandler(base, notice))
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestSchemaWarns: a schema that was made before, in which others may create objects.
func TestSchemaWarns(t *testing.T) {
	var warned []string
	s := newSession(t, noticing(t, func(n *pq.Error) { warned = append(warned, n.Severity+": "+n.Message) }))
	s.exec("CREATE SCHEMA aftercommit; GRANT CREATE ON SCHEMA aftercommit TO PUBLIC")
	schema, err := journal.Schema(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.exec(schema)
	if len(warned) != 1 || !strings.Contains(warned[0], "WARNING: aftercommit: PUBLIC may create objects in schema aftercommit") ||
		!strings.HasSuffix(warned[0], "REVOKE CREATE ON SCHEMA aftercommit FROM PUBLIC") {
		t.Errorf("warnings: %q", warned)
	}
}

// TestSchemaRefuses: where it is not for, the script says what to do and leaves all as
// it was, without a transaction around it.
func TestSchemaRefuses(t *testing.T) {
	schema, err := journal.Schema(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ before, want string }{
		"a foreign table": {"CREATE SCHEMA aftercommit; CREATE TABLE aftercommit.journal (id int)", "rename it, or give the journal another schema by Options.Schema"},
		"a newer journal": {schema + "; UPDATE aftercommit.schema_versions SET version = 99", "build the program that this is from with that one"},
	} {
		t.Run(name, func(t *testing.T) {
			db := dbtest.Open(t, "postgres", dbtest.Postgres(t))
			s := newSession(t, db)
			s.exec(test.before)
			const objects = "SELECT count(*)::text FROM pg_class c, pg_namespace n WHERE n.oid = relnamespace AND nspname = 'aftercommit'"
			before := s.text(objects)
			_, err := db.ExecContext(ctx, schema)
			if hooks.SQLState(err) != "AC001" || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if n := s.text(objects); n != before {
				t.Errorf("%s objects, were %s", n, before)
			}
		})
	}
}
