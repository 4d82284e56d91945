// Package pgschema has what the journal's and the timeline's schemas have in common on
// PostgreSQL: the frame of the scripts that make them, and the wording of errors about
// missing rights.
package pgschema

import (
	_ "embed" // the frame
	"regexp"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

var (
	//go:embed frame.sql
	frame string
	//go:embed before.sql
	before string
)

// Script makes a schema and what is in it. It is one statement: all of it happens or
// nothing, in a transaction or without, and no setting outlives it.
type Script struct {
	// Program is what errors begin with.
	Program string
	Schema  string
	// Table is the table whose owner owns all that is made beside it. If it does not
	// exist yet, all is the schema's owner's, unless that is a superuser.
	Table string
	// Lock is an expression of type bigint: the advisory lock that all who run the script
	// take.
	Lock string
	// Body makes what is missing in the schema, as statements of PL/pgSQL. Other roles
	// have only those rights on it that Grants gives.
	Body   string
	Grants string
	// Earlier are functions of earlier versions that run as their owner, and may still be
	// there.
	Earlier []string
	// Rights are further ones on what Body makes, which both scripts grant. They may use had, the
	// OIDs of what was there before.
	Rights string
}

// Install returns the script for a database that may not have the schema. A schema with
// objects of another role is refused (AC001).
func (s Script) Install() string { return s.fill(before, s.Grants+s.Rights) }

// Upgrade returns the script for a schema that exists. A superuser may run it, too: what
// it makes, and what superusers have made there before, it gives to the owner.
func (s Script) Upgrade() string { return s.fill("", s.Rights) }

func (s Script) fill(first, last string) string {
	filled := strings.NewReplacer("{before}\n", first, "{body}\n", s.Body, "{after}\n", last,
		"{table}", pgtext.Literal(s.Table), "{ours}", s.ours(), "{definers}", s.ours(s.Earlier...)).Replace(frame)
	return strings.NewReplacer("{program}", s.Program, "{schema}", Ident(s.Schema), "{name}", pgtext.Literal(s.Schema), "{lock}", s.Lock).Replace(filled)
}

var made = regexp.MustCompile(`CREATE (?:OR REPLACE (?:FUNCTION|VIEW)|TABLE)(?: IF NOT EXISTS)? (?:\{schema\}|"(?:[^"]|"")+")\.(\w+)`)

// ours is an expression for the names of the tables and functions that Body makes, and more.
func (s Script) ours(more ...string) string {
	names := append([]string{s.Table}, more...)
	for _, m := range made.FindAllStringSubmatch(s.Body, -1) {
		names = append(names, m[1])
	}
	return "'{" + strings.Join(names, ",") + "}'::pg_catalog.name[]"
}

// LongestName is how many bytes of a name PostgreSQL keeps.
const LongestName = 63

// Ident quotes a name.
func Ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
