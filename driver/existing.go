package driver

import "github.com/go-aftercommit/aftercommit/driver/internal/lex"

// remake is a CREATE … IF NOT EXISTS of a table, a view, a sequence or an index.
// Programs execute theirs at each start, and nearly always they do nothing.
type remake struct {
	of, on lex.Table
	index  bool
}

// remakes returns the CREATE that a job consists of, if what is known of its names
// is asked for now: what the connection remembers of them may be out of date.
func (c *conn) remakes(j *job) (r remake, ok bool) {
	if len(j.stmts) != 1 {
		return remake{}, false
	}
	s := &j.stmts[0]
	if s.Kind != lex.Schema || !s.Conditional || s.Temporary || !creates(s) || !aboutRelations(s) || len(s.Tables) != 1 {
		return remake{}, false
	}
	r = remake{of: s.Tables[0], on: s.On, index: s.On.Name != ""}
	return r, c.names.found[r.of] == nil && (!r.index || c.names.found[r.on] == nil)
}

// exists reports whether the catalog has what r would make, in the place where it
// would make it.
func (c *conn) exists(r remake) bool {
	found := c.names.found[r.of]
	if found == nil || found.missing || found.unknown || found.steps[0].temporary {
		return false
	}
	schema := found.steps[0].Schema
	switch {
	case r.index:
		on := c.names.found[r.on]
		return on != nil && !on.missing && !on.unknown && on.steps[0].Schema == schema
	case r.of.Schema != "":
		return true
	case c.postgres():
		return schema == found.schema
	default:
		return folded(schema) == "main"
	}
}
