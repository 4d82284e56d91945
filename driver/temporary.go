package driver

import (
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// An SQLite transaction that writes only to temporary tables is, for other
// connections and for its locks, one that writes nothing: it may have read an old
// state of the main database and commit all the same. The journal, in the main
// database, can no longer be written in it once another connection has written
// there (SQLITE_BUSY_SNAPSHOT).

// onlyTemporary reports whether the statements write to temporary tables alone, as far
// as that is certain: not where triggers may write elsewhere. On PostgreSQL, where
// functions may do so too, it never is.
func (m *meanings) onlyTemporary() bool {
	for i := range m.stmts {
		if !m.staysTemporary(i) {
			return false
		}
	}
	return true
}

// staysTemporary reports whether the i-th statement writes to temporary tables alone. What
// its names stand for has been looked up before.
func (m *meanings) staysTemporary(i int) bool {
	s := &m.stmts[i]
	tables := s.Tables
	switch {
	case s.Kind == lex.Read:
		return true
	case s.Kind == lex.Schema && s.Temporary && strings.HasPrefix(s.Verb, "CREATE "):
		return true
	case s.Kind == lex.Schema && s.On.Name != "":
		tables = []lex.Table{s.On}
	case s.Kind == lex.Schema && !aboutRelations(s), s.Kind != lex.Schema && s.Kind != lex.Write, s.Partial, len(s.Also) > 0:
		return false
	}
	for _, t := range tables {
		r := m.early[t]
		if i > m.split || r == nil || r.missing || !r.steps[0].staysTemporary(s.Kind) {
			return false
		}
	}
	return len(tables) > 0
}

// staysTemporary reports whether a statement on s stays in the temporary database.
func (s *step) staysTemporary(k lex.Kind) bool {
	return s.temporary && !s.virtual && (k == lex.Schema || !s.triggers)
}
