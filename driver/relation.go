package driver

import (
	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// relation is what a name in a statement stands for.
type relation struct {
	// steps lead from the relation of that name to the one that its rows belong
	// to: from a view to its table, from a partition to the partitioned table.
	// There is at least one.
	steps []step
	// reads are the tables behind a view that reads several: a write may reach
	// any of them.
	reads []lex.Table
	// schema is PostgreSQL's current schema, where a CREATE without one makes its
	// object.
	schema string
	// missing: there was none of that name.
	missing bool
	// hides are the relations of that name to which statements may go on writing
	// that were prepared earlier; see follow.
	hides []*relation
	// unknown: what it is cannot be found out.
	unknown bool
	// partial: its triggers could not be asked for inside a transaction.
	partial bool
}

// unknown is the relation of a name that cannot be looked up.
func unknown(t lex.Table) *relation {
	return &relation{steps: []step{{Table: t}}, unknown: true}
}

// step is one relation.
type step struct {
	lex.Table
	view      bool
	virtual   bool // an SQLite module's
	fullText  bool // and one that takes commands for rows
	temporary bool
	triggers  bool // a temporary one of SQLite: writing to it may set off triggers, which may write elsewhere
	// instead are the operations for which something else is done: by an INSTEAD
	// OF trigger, a DO INSTEAD rule.
	instead changes
	key     keyType
	// rekeys are the operations after which a row may have another key than the
	// statement gave it: a trigger may have changed it, or it is generated from other
	// columns.
	rekeys changes
	// replaces: SQLite's REPLACE is what the table does with a row in the way of
	// another, so that an INSERT is an upsert.
	replaces bool
	// cascades: a DELETE takes other rows of the table along, by a foreign key of the
	// table to itself.
	cascades bool
	// doubt are the operations for which a count of 0 rows proves nothing: a
	// trigger may have taken the row elsewhere.
	doubt changes
}

// changes are operations on rows, with the bits of pg_trigger.tgtype.
type changes uint8

const (
	inserts changes = 1 << (iota + 2)
	deletes
	updates
	anyChange = inserts | deletes | updates
)

// reached returns the steps up to the first that replaces one of these operations.
func (r *relation) reached(by changes) []step {
	for i := range r.steps {
		if r.steps[i].instead&by != 0 {
			return r.steps[:i+1]
		}
	}
	return r.steps
}
