package roles_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// scripts returns what users run by hand to make a schema, and to upgrade it.
func (w *world) scripts(schema string) (install, upgrade string) {
	w.Helper()
	if schema == "threadline" {
		script := threadline.Schema(hooks.Postgres, nil)
		return script, script
	}
	install, err := journal.Schema(hooks.Postgres, nil)
	w.must(err)
	upgrade, err = journal.Upgrade(hooks.Postgres, nil)
	w.must(err)
	return install, upgrade
}

// byHand is what a role lacks that runs a script by hand.
type byHand struct {
	installed bool   // as {owner}, which owns the database
	before    string // run by {owner}
	upgrade   bool   // instead of install
	want      string
	remedy    string
}

const someRights = "GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"

var byHands = map[string]byHand{
	"no right on the database": {
		want:   "permission denied for database {db}, for role {role}: run this as role {owner}, which owns database {db}, or run as that role: ",
		remedy: "GRANT CREATE ON DATABASE {db} TO {role}",
	},
	"no right on the schema": {
		before: "CREATE SCHEMA {schema}",
		want:   "permission denied for schema {schema}, for role {role}: run this as role {owner}, which owns schema {schema}, or run as that role: ",
		remedy: "GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}",
	},
	"no right to create in the schema": {
		before: "CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO {role}",
		want:   "permission denied for schema {schema}, for role {role}: run this as role {owner}, which owns schema {schema}, or run as that role: ",
		remedy: "GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}",
	},
	"others' tables": {
		installed: true, before: someRights,
		want: ", for role {role}: run this as role {owner}, which owns {schema}.",
	},
	"others' functions": {
		installed: true, before: someRights, upgrade: true,
		want: ", for role {role}: run this as role {owner}, which owns {schema}.",
	},
}

// TestScriptsByHand: the error names the role, whose that is which it may not touch, and
// what to run, which then helps.
func TestScriptsByHand(t *testing.T) {
	for _, e := range dbtest.PostgresEngines() {
		for name, test := range byHands {
			t.Run(e.Name+"/"+name, func(t *testing.T) {
				w := newWorld(t, e)
				for _, schema := range []string{"aftercommit", "threadline"} {
					test.run(w, schema)
				}
			})
		}
	}
}

func (b byHand) run(w *world, schema string) {
	w.Helper()
	s := w.stranger()
	filled := strings.NewReplacer("{db}", w.text("SELECT current_database()"), "{role}", `"`+s.role+`"`,
		"{owner}", w.text("SELECT current_user"), "{schema}", schema)
	script, upgrade := w.scripts(schema)
	if b.installed {
		w.must(w.super.ExecContext(ctx, script))
	}
	if b.upgrade {
		script = upgrade
	}
	w.must(w.super.ExecContext(ctx, filled.Replace(b.before)))
	_, err := s.db.ExecContext(ctx, script)
	if want := filled.Replace(b.want + b.remedy); hooks.SQLState(err) != "42501" || !strings.Contains(err.Error(), want) {
		w.Fatalf("%v\nwant %s", err, want)
	}
	if b.remedy == "" {
		return
	}
	w.must(w.super.ExecContext(ctx, filled.Replace(b.remedy)))
	if _, err = s.db.ExecContext(ctx, script); err != nil {
		w.Errorf("after that: %v", err)
	}
}
