// Package pgschema has what the journal's and the timeline's schemas have in common on
// PostgreSQL: the frame of the scripts that make them, and the wording of errors about
// missing rights.
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

// Install returns a script that makes the schema, unless it exists, and then runs body
// and grants in it. The script is one statement: all of it happens or nothing, in a
// transaction or without. On what body makes, other roles have only the rights that
// grants gives. A schema with objects of another role is refused (AC001), with an error
// that names program.
func Install(program, schema, body, grants string) string {
	return fill(program, schema, before, body, grants)
}

// Upgrade is [Install] for a schema that exists. It does not look at who owns what in it,
// so that a superuser may run it, too.
func Upgrade(schema, body string) string { return fill("", schema, "", body, "") }

func fill(program, schema, before, body, after string) string {
	s := strings.NewReplacer("{before}\n", before, "{body}\n", body, "{after}\n", after).Replace(frame)
	return strings.NewReplacer("{program}", program, "{schema}", Ident(schema), "{name}", pgtext.Literal(schema)).Replace(s)
}

// Ident quotes a name.
func Ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
