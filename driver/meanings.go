package driver

import (
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// meanings are what the names in a job's statements stand for. The catalog can be
// asked before a string is executed and after it, but not in between.
type meanings struct {
	k     *catalog
	stmts []lex.Statement
	// split is the first statement that may change what names stand for; late is
	// for those behind it.
	split       int
	early, late map[lex.Table]*relation
	// bare: the string runs in a transaction that is over when late is asked, and
	// with it what was for the transaction only.
	bare bool
	// guess is the last name of which nothing else is known than how it is written.
	guess struct {
		of      lex.Table
		meaning *relation
	}
}

// moment is when a name has to be asked for to learn what it stands for in its
// statement.
type moment uint8

const (
	before moment = iota // the string is executed
	after
	never   // it stands for something else before and after, or may
	passing // it is a temporary object that the string has made
)

// of returns what a name in the i-th statement stands for.
func (m *meanings) of(i int, t lex.Table) *relation {
	var r *relation
	switch m.moment(i, t) {
	case before:
		r = m.early[t]
	case after:
		if r = m.late[t]; r != nil && r.missing && m.stmts[i].Kind != lex.Schema {
			return unknown(t) // it was written to, and is gone
		}
	case never:
		return unknown(t)
	case passing:
		return &relation{steps: []step{{Table: t, temporary: true}}}
	}
	if r != nil {
		return r
	}
	if r := m.k.stale[t]; r != nil {
		return r
	}
	if m.guess.meaning == nil || m.guess.of != t {
		m.guess.of, m.guess.meaning = t, m.k.asWritten(t)
	}
	return m.guess.meaning
}

// moment finds out what changes the meaning of t before the i-th statement, and
// what does behind it.
func (m *meanings) moment(i int, t lex.Table) moment {
	if i <= m.split {
		return before
	}
	k := i - 1
	for k >= m.split && !m.renames(k, t) {
		k--
	}
	if k >= m.split && m.k.makesTemporary(&m.stmts[k], t) {
		// Rows of a temporary view are those of what it reads.
		if m.stmts[i].Kind == lex.Schema || m.stmts[k].Verb != "CREATE VIEW" {
			return passing
		}
	}
	later := m.bare && m.k.is.searchPath && t.Schema == "" || m.loses(i, t)
	for n := i + 1; n < len(m.stmts) && !later; n++ {
		later = m.renames(n, t)
	}
	switch {
	case !later:
		return after
	case k < m.split:
		return before
	default:
		return never
	}
}

// renames reports whether the k-th statement may change what t stands for.
func (m *meanings) renames(k int, t lex.Table) bool {
	s := &m.stmts[k]
	switch {
	case s.Path:
		return t.Schema == ""
	case s.Kind == lex.Opaque:
		return true
	case s.Kind != lex.Schema:
		return false
	case strings.HasSuffix(s.Verb, " SCHEMA") && s.Verb != "IMPORT SCHEMA":
		return true // and what is in it
	case strings.HasSuffix(s.Verb, " RULE"):
		return m.k.is.sameName(s.On, t)
	}
	return m.loses(k, t) || creates(s) && m.about(k, t) || aboutRelations(s) && m.k.is.sameName(s.To, t)
}

// loses reports whether after the k-th statement t no longer stands for what it
// does in it.
func (m *meanings) loses(k int, t lex.Table) bool {
	s := &m.stmts[k]
	return s.Kind == lex.Schema && (strings.HasPrefix(s.Verb, "DROP ") || s.To.Name != "") && m.about(k, t)
}

// about reports whether the k-th statement, DDL, may be about what t stands for.
func (m *meanings) about(k int, t lex.Table) bool {
	s := &m.stmts[k]
	if !aboutRelations(s) {
		return false
	}
	permanent := t.Schema != "" && !m.k.asWritten(t).steps[0].temporary
	return slices.ContainsFunc(s.Tables, func(u lex.Table) bool {
		switch {
		case !m.k.is.sameName(u, t):
			return false
		case permanent && u.Schema == "":
			return !s.Temporary && (k <= m.split || m.moment(k, u) != passing)
		case permanent:
			return m.k.is.sameName(lex.Table{Name: u.Schema}, lex.Table{Name: t.Schema})
		}
		return true
	})
}

// makesTemporary reports whether t is the temporary table or view that a statement makes.
func (k *catalog) makesTemporary(s *lex.Statement, t lex.Table) bool {
	if s.Kind != lex.Schema || !s.Temporary || !creates(s) {
		return false
	}
	temp := t.Schema == "" || k.asWritten(t).steps[0].temporary
	return temp && slices.ContainsFunc(s.Tables, func(u lex.Table) bool { return k.is.sameName(u, t) })
}

// moves reports whether a statement may change what names stand for.
func moves(s *lex.Statement) bool {
	return s.Path || s.Kind == lex.Schema || s.Kind == lex.Opaque
}

// firstMove returns the index of the first statement that does, or how many there
// are.
func firstMove(stmts []lex.Statement) int {
	for i := range stmts {
		if moves(&stmts[i]) {
			return i
		}
	}
	return len(stmts)
}

// isMoving reports whether any of the statements may change what names stand for.
func isMoving(stmts []lex.Statement) bool { return firstMove(stmts) < len(stmts) }

// aboutRelations reports whether the names of a Schema statement are those of
// tables, views and the like.
func aboutRelations(s *lex.Statement) bool {
	switch s.Verb {
	case "GRANT", "REVOKE", "COMMENT", "SELECT INTO":
		return true
	}
	for _, kind := range []string{" TABLE", " VIEW", " INDEX", " SEQUENCE"} {
		if strings.HasSuffix(s.Verb, kind) {
			return true
		}
	}
	return false
}

// unprepares reports whether a statement drops what the session has prepared.
func unprepares(stmts []lex.Statement) bool {
	return slices.ContainsFunc(stmts, func(s lex.Statement) bool { return s.Unprepares })
}
