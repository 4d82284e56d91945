// Package pgschema is what the schemas of the journal and of the timeline have in
// common on PostgreSQL: the frame of the scripts that make them, and the words for a
// role that lacks rights on one.
package pgschema

import (
	_ "embed" // the frame
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

var (
	//go:embed frame.sql
	frame string
	//go:embed before.sql
	before string
)

// Install returns a script that makes what body does, in a schema that it makes where
// there is none. It is one statement, so all or nothing, whether it runs in a
// transaction or not. What is in the schema when it ends and was not before has only
// the rights that grants, the last statements, give on it. The script refuses a schema
// with anything of another role in it (AC001); program is who says so.
func Install(program, schema, body, grants string) string {
	return fill(program, schema, before, body, grants)
}

// Upgrade is [Install] for a schema that is there, and for a superuser as well.
func Upgrade(schema, body string) string { return fill("", schema, "", body, "") }

func fill(program, schema, before, body, after string) string {
	s := strings.NewReplacer("{before}\n", before, "{body}\n", body, "{after}\n", after).Replace(frame)
	return strings.NewReplacer("{program}", program, "{schema}", Ident(schema), "{name}", pgtext.Literal(schema)).Replace(s)
}

// Ident quotes a name.
func Ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
