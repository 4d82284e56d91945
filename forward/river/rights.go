package river

import (
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// right is what a role needs on one of River's tables, or on its sequence.
type right struct {
	sequence bool
	on       string
	names    []string
}

// purpose is what a role is to do with River's tables.
type purpose struct {
	what   string
	rights []right
	// instead is what else to do where rights are missing, "" for nothing.
	instead string
	// makes says that the tables need not be there: the role makes them.
	makes bool
}

const asOwner = "or connect as that role"

var (
	// River inserts ON CONFLICT DO NOTHING, which takes SELECT.
	toInsert = purpose{what: "insert jobs", rights: []right{
		{on: "river_job", names: []string{"INSERT", "SELECT"}},
		{on: "river_job_id_seq", names: []string{"USAGE"}, sequence: true},
		{on: "river_migration", names: []string{"SELECT"}},
	}}
	toWork = purpose{what: "work jobs", rights: []right{
		{on: "river_job", names: []string{"SELECT", "UPDATE", "DELETE"}},
		{on: "river_leader", names: []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
		{on: "river_queue", names: []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
		{on: "river_migration", names: []string{"SELECT"}},
	}, instead: "or work the jobs of an app as another role: set Options.Relay to RelayElsewhere in the app, and call Hub.Work as that role"}
	toRead   = purpose{what: "read how jobs stand", rights: []right{{on: "river_job", names: []string{"SELECT"}}}, instead: asOwner}
	toDecide = purpose{what: "change jobs", rights: []right{
		{on: "river_job", names: []string{"SELECT", "UPDATE"}},
		{on: "river_queue", names: []string{"SELECT"}},
	}, instead: asOwner}
	toMigrate = purpose{what: "make River's tables", makes: true, instead: asOwner}
)

// held is an SQL expression for whether this role has the rights. A table that the schema
// does not have counts as held: of an older River, checkTables says what is missing.
func (p purpose) held(schemaOID string) string {
	all := []string{"true"}
	for _, r := range p.rights {
		kind := "table"
		if r.sequence {
			kind = "sequence"
		}
		for _, name := range r.names {
			all = append(all, "coalesce((SELECT pg_catalog.has_"+kind+"_privilege(c.oid, '"+name+"') FROM pg_catalog.pg_class c WHERE c.relnamespace = "+schemaOID+
				" AND c.relname = "+pgtext.Literal(r.on)+"), true)")
		}
	}
	return strings.Join(all, " AND ")
}

// grants are the statements that give {role} the rights. The schema is named only if
// statements name it, or the role may not use it.
func (p purpose) grants(s *setup, schema string) string {
	use, name := "USAGE", schema
	if p.makes {
		use = "USAGE, CREATE"
	}
	var all []string
	if schema != "" || !s.usable || p.makes {
		name = s.schema
		all = append(all, "GRANT "+use+" ON SCHEMA "+pgschema.Ident(name)+" TO {role}")
	}
	for _, r := range p.rights {
		kind := ""
		if r.sequence {
			kind = "SEQUENCE "
		}
		all = append(all, "GRANT "+strings.Join(r.names, ", ")+" ON "+kind+qualified(name, r.on)+" TO {role}")
	}
	return strings.Join(all, "; ")
}
