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

// Script makes a schema and what is in it. It is one statement: all of it happens or
// nothing, in a transaction or without, and no setting outlives it.
type Script struct {
	// Program is what errors begin with.
	Program string
	Schema  string
	// Lock is an expression of type bigint: the advisory lock that all who run the script
	// take.
	Lock string
	// Body makes what is missing in the schema, as statements of PL/pgSQL. Other roles
	// have only those rights on it that Grants gives.
	Body   string
	Grants string
}

// Install returns the script for a database that may not have the schema. A schema with
// objects of another role is refused (AC001).
func (s Script) Install() string { return s.fill(before, s.Grants) }

// Upgrade returns the script for a schema that exists. It does not look at who owns what
// in it, so that a superuser may run it, too.
func (s Script) Upgrade() string { return s.fill("", "") }

func (s Script) fill(first, last string) string {
	filled := strings.NewReplacer("{before}\n", first, "{body}\n", s.Body, "{after}\n", last).Replace(frame)
	return strings.NewReplacer("{program}", s.Program, "{schema}", Ident(s.Schema), "{name}", pgtext.Literal(s.Schema), "{lock}", s.Lock).Replace(filled)
}

// Ident quotes a name.
func Ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
