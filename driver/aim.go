package driver

import (
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

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
func (p *capturer) aimOf(r *relation, op lex.Op) (aim, bool) {
	if r.unknown {
		return aim{}, false
	}
	by := p.names.is.changesBy(op)
	steps := r.reached(by)
	last := &steps[len(steps)-1]
	if last.temporary {
		return aim{}, false
	}
	found := -1
	for i := range steps {
		switch p.match(steps[i].Table) {
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
	a.keyed = !steps[0].view && !a.instead && a.key != otherColumn && (p.names.is.returnsStored || to.rekeys&by&inserts == 0)
	a.named = a.keyed && to.rekeys&by&inserts == 0
	a.replaces = to.replaces && op == lex.Insert
	a.cascades = to.cascades
	a.moves = to.rekeys&by&updates != 0 || to.replaces
	if via := steps[0]; found > 0 {
		if via.temporary && p.names.is.temporarySchema != "" {
			via.Schema = p.names.is.temporarySchema // and not that of this session
		}
		a.via = nameOf(p.names.dialect, via.Table)
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
func (p *capturer) misses(r *relation, op lex.Op) bool {
	if !r.steps[0].view {
		return false
	}
	behind := r.reads
	for _, s := range r.steps[len(r.reached(p.names.is.changesBy(op))):] {
		behind = append(behind, s.Table)
	}
	for _, t := range behind {
		if p.match(t) == ruleCaptures {
			return true
		}
	}
	return false
}

// nameOf is the exact name of a table, with its schema unless that is the
// default one.
func nameOf(d naming, t lex.Table) string {
	if d.isDefault(t.Schema) {
		return t.Name
	}
	return t.Schema + "." + t.Name
}

// schemaTargets returns the names of what the i-th statement changes the schema
// of, if that is captured; "" where it names nothing.
func (p *capturer) schemaTargets(j *job, i int) []string {
	s := &j.stmts[i]
	switch {
	case s.Temporary, p.names.rules == nil, p.names.rules.noDDL:
		return nil
	case s.On.Name != "": // an index, a trigger: what matters is the table
		on := j.names.of(i, s.On).steps[0]
		if !p.auditsStep(j.names.of(i, s.On)) {
			return nil
		}
		if len(s.Tables) == 0 {
			return []string{""}
		}
		t := s.Tables[0]
		if t.Schema == "" {
			t.Schema = on.Schema
		}
		return []string{nameOf(p.names.dialect, t)}
	case len(s.Tables) == 0:
		if p.names.rules.all {
			return []string{""}
		}
		return nil
	}
	var targets []string
	for _, t := range s.Tables {
		r := p.names.asWritten(t)
		if aboutRelations(s) {
			r = j.names.of(i, t)
		}
		if t.Schema == "" && r.schema != "" && creates(s) {
			r = &relation{steps: []step{{Table: lex.Table{Schema: r.schema, Name: t.Name}}}}
		}
		if p.auditsStep(r) {
			targets = append(targets, nameOf(p.names.dialect, r.steps[0].Table))
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
func (p *capturer) auditsStep(r *relation) bool {
	if r.unknown || r.steps[0].temporary {
		return false
	}
	captured := false
	for _, s := range r.steps {
		switch p.match(s.Table) {
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

// match is what the rules say of a table. A rule may name the schema that its name is
// written without.
func (p *capturer) match(t lex.Table) verdict {
	rules := p.names.rules
	v := rules.match(p.names.dialect, t)
	if home := p.names.dialect.home(p.names.session, t); home != t && v != ruleExcepts {
		if w := rules.match(p.names.dialect, home); w != ruleIgnores {
			v = w
		}
	}
	return v
}
