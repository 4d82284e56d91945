package driver

import (
	"strings"

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

// changesBy returns what an operation may do to rows. A TRUNCATE sees neither
// rows nor rules.
func (c *conn) changesBy(op lex.Op) changes {
	switch op {
	case lex.Insert:
		return inserts
	case lex.Update:
		return updates
	case lex.Delete:
		return deletes
	case lex.Upsert:
		return c.is.upserts
	case lex.Merge:
		return anyChange
	default:
		return 0
	}
}

// reached returns the steps up to the first that replaces one of these operations.
func (r *relation) reached(by changes) []step {
	for i := range r.steps {
		if r.steps[i].instead&by != 0 {
			return r.steps[:i+1]
		}
	}
	return r.steps
}

// aim is the table that a write is captured for.
type aim struct {
	table lex.Table
	// via is the view or the partition that the statement names.
	via string
	// key is the type of the key's column.
	key keyType
	// keyed: a key that is returned is the row's, which it is not through a view.
	keyed bool
	// named: so is one in the statement, which a trigger may change.
	named bool
	// moves: the statement may be about rows with other keys than the one it names.
	moves bool
	// cascades: a DELETE may be about other rows than the one it names.
	cascades bool
	// replaces: an INSERT is an upsert.
	replaces bool
	// instead: the number of rows is that of something else.
	instead bool
	// doubt: no rows does not mean that nothing was changed.
	doubt bool
	// either: the rows may be those of a table that is not captured.
	either bool
	// torn: they are those of one of two captured tables.
	torn bool
}

// aimOf returns what a write to r is captured for, if it is. Of a view and its
// table, or a partition and the whole, it is the last that a rule matches.
func (c *conn) aimOf(r *relation, op lex.Op) (aim, bool) {
	if r.unknown {
		return aim{}, false
	}
	by := c.changesBy(op)
	steps := r.reached(by)
	last := &steps[len(steps)-1]
	if last.temporary {
		return aim{}, false
	}
	found := -1
	for i := range steps {
		switch c.match(steps[i].Table) {
		case ruleExcepts:
			return aim{}, false
		case ruleCaptures:
			found = i
		}
	}
	if found < 0 {
		return aim{}, false
	}
	a := aim{table: steps[found].Table, instead: last.instead&by != 0}
	to := stored(steps)
	a.doubt = a.instead || to.doubt&by != 0
	a.key = steps[found].key // of the same type in a partition, but unique there only, perhaps
	a.keyed = !steps[0].view && !a.instead && a.key != otherColumn && (c.is.returnsStored || to.rekeys&by&inserts == 0)
	a.named = a.keyed && to.rekeys&by&inserts == 0
	a.replaces = to.replaces && op == lex.Insert
	a.cascades = to.cascades
	a.moves = to.rekeys&by&updates != 0 || to.replaces
	if via := steps[0]; found > 0 {
		if via.temporary && c.is.temporarySchema != "" {
			via.Schema = c.is.temporarySchema // and not that of this session
		}
		a.via = nameOf(c.db.dialect, via.Table)
	}
	return a, true
}

// stored returns the first step that is no view: the rows pass its triggers.
func stored(steps []step) *step {
	for i := range steps {
		if !steps[i].view {
			return &steps[i]
		}
	}
	return &steps[len(steps)-1]
}

// misses reports whether a write to r, a view that is not captured, may change a
// captured table behind it.
func (c *conn) misses(r *relation, op lex.Op) bool {
	if !r.steps[0].view {
		return false
	}
	behind := r.reads
	for _, s := range r.steps[len(r.reached(c.changesBy(op))):] {
		behind = append(behind, s.Table)
	}
	for _, t := range behind {
		if c.match(t) == ruleCaptures {
			return true
		}
	}
	return false
}

// asWritten is what a name means as far as it says so itself.
func (c *conn) asWritten(t lex.Table) *relation {
	t = c.db.dialect.placed(c, t)
	return &relation{steps: []step{{Table: t, temporary: c.db.dialect.isTemporary(t.Schema)}}}
}

// unknown is a name of which only that is known which a statement has used.
func (c *conn) unknown(t lex.Table) *relation {
	return &relation{steps: []step{{Table: t}}, unknown: true}
}

// nameOf is the exact name of a table, with its schema unless that is the
// default one.
func nameOf(d dialect, t lex.Table) string {
	if d.isDefault(t.Schema) {
		return t.Name
	}
	return t.Schema + "." + t.Name
}

// schemaTargets returns the names of what the i-th statement changes the schema
// of, if that is captured; "" where it names nothing.
func (c *conn) schemaTargets(j *job, i int) []string {
	s := &j.stmts[i]
	switch {
	case s.Temporary, c.db.reg.cfg.rules == nil, c.db.reg.cfg.rules.noDDL:
		return nil
	case s.On.Name != "": // an index, a trigger: what matters is the table
		on := j.names.of(i, s.On).steps[0]
		if !c.auditsStep(j.names.of(i, s.On)) {
			return nil
		}
		if len(s.Tables) == 0 {
			return []string{""}
		}
		t := s.Tables[0]
		if t.Schema == "" {
			t.Schema = on.Schema
		}
		return []string{nameOf(c.db.dialect, t)}
	case len(s.Tables) == 0:
		if c.db.reg.cfg.rules.all {
			return []string{""}
		}
		return nil
	}
	var targets []string
	for _, t := range s.Tables {
		r := c.asWritten(t)
		if aboutRelations(s) {
			r = j.names.of(i, t)
		}
		if t.Schema == "" && r.schema != "" && creates(s) {
			r = &relation{steps: []step{{Table: lex.Table{Schema: r.schema, Name: t.Name}}}}
		}
		if c.auditsStep(r) {
			targets = append(targets, nameOf(c.db.dialect, r.steps[0].Table))
		}
	}
	return targets
}

// creates reports whether a statement makes a table, a view or a sequence, which
// goes into the first schema of the path whatever has its name elsewhere.
func creates(s *lex.Statement) bool {
	return strings.HasPrefix(s.Verb, "CREATE") || s.Verb == "SELECT INTO"
}

// auditsStep reports whether DDL on r is captured: if a rule matches r or the
// partitioned table that r is a part of. A view is not captured for its table.
func (c *conn) auditsStep(r *relation) bool {
	if r.unknown || r.steps[0].temporary {
		return false
	}
	captured := false
	for _, s := range r.steps {
		switch c.match(s.Table) {
		case ruleExcepts:
			return false
		case ruleCaptures:
			captured = true
		}
		if s.view {
			break
		}
	}
	return captured
}
