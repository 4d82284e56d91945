package driver

import (
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// countUnseen counts what may have been written unseen, or more than is seen: by
// opaque statements, behind views of what is captured, and to what had its name
// only in the middle of a string.
func (p *capturer) countUnseen(j *job) {
	if p.names.rules == nil {
		return
	}
	opaque, views, passed, torn := 0, 0, 0, 0
	for i := range j.stmts {
		s := &j.stmts[i]
		if s.Kind == lex.Opaque || s.Partial {
			opaque++
		}
		if j.isLost(i) {
			passed++
		}
		for _, t := range s.Also {
			if a, _ := p.aimAt(j, j.names.of(i, t.Table), t.Op); a.torn {
				torn++
			}
		}
		if s.Kind != lex.Write {
			continue
		}
		for _, t := range s.Tables {
			r := j.names.of(i, t)
			a, ok := p.aimAt(j, r, s.Op)
			if a.torn {
				torn++
			}
			if !ok && !a.torn && p.missesAt(j, r, s.Op) {
				views++
			}
		}
	}
	p.uncaptured(opaque, "opaque")
	p.uncaptured(views, "view")
	p.uncaptured(passed, "several_statements")
	p.uncaptured(torn, "prepared")
}

// isLost reports whether what the i-th statement is about is not known, for one of
// its names.
func (j *job) isLost(i int) bool {
	s := &j.stmts[i]
	if i <= j.names.split {
		return false
	}
	lost := func(t lex.Table) bool { return j.names.of(i, t).unknown }
	switch {
	case s.Kind == lex.Schema && (s.Temporary || !aboutRelations(s)):
	case s.On.Name != "":
		return lost(s.On)
	case slices.ContainsFunc(s.Tables, lost):
		return true
	}
	return slices.ContainsFunc(s.Also, func(t lex.Target) bool { return lost(t.Table) })
}
