package lex

import "strings"

// MySQLDialect is how MySQL and MariaDB read a query with that sql_mode.
func MySQLDialect(mode string) Dialect {
	names, plain := false, false
	for m := range strings.SplitSeq(strings.ToUpper(mode), ",") {
		names = names || m == "ANSI_QUOTES"
		plain = plain || m == "NO_BACKSLASH_ESCAPES"
	}
	switch {
	case names && plain:
		return mysqlNamesPlain
	case names:
		return mysqlNames
	case plain:
		return mysqlPlain
	}
	return MySQL
}

// configure sets how the dialect is read.
func (s *scanner) configure(d Dialect) {
	s.dialect = d
	switch d {
	case Escapes:
		s.dialect, s.escapes = Postgres, true
	case MySQL, mysqlNames, mysqlPlain, mysqlNamesPlain:
		s.dialect, s.executes = MySQL, true
		s.escapes = d == MySQL || d == mysqlNames
		s.ansi = d == mysqlNames || d == mysqlNamesPlain
	}
}

// mysql reads a token of MySQL.
func (s *scanner) mysql() token {
	c := s.src[s.pos]
	switch {
	case classes[c]&isStart != 0 || c == '$':
		return s.mysqlWord()
	case classes[c]&isDigit != 0, c == '.' && classes[s.peek(1)]&isDigit != 0:
		return s.mysqlNumber()
	case c == '\'', c == '"' && !s.ansi:
		return s.quotation(str, 0)
	case c == '"', c == '`':
		return s.quotation(quoted, 0)
	case c == '?':
		s.pos++
		return s.ordinal("")
	}
	switch s.src[s.pos:min(s.pos+2, len(s.src))] {
	case "<=", ">=", "<>", "!=", "<<", ">>", "||", "&&", "->", ":=":
		return s.punct(2)
	}
	return s.punct(1)
}

func (s *scanner) mysqlWord() token {
	start := s.pos
	for s.pos < len(s.src) && (classes[s.src[s.pos]]&isPart != 0 || s.src[s.pos] == '$') {
		s.pos++
	}
	text := s.src[start:s.pos]
	if form := text[0] &^ 0x20; len(text) == 1 && (form == 'X' || form == 'B' || form == 'N') && s.peek(0) == '\'' {
		return s.quotation(str, form)
	}
	return token{kind: word, text: text}
}

// mysqlNumber reads a number, or a name that begins with a digit, such as
// 2fa_codes.
func (s *scanner) mysqlNumber() token {
	t := s.number()
	rest := strings.TrimLeft(t.text, "0123456789.")
	switch {
	case rest == "", strings.Contains(t.text, "."), rest[0]|0x20 == 'e', strings.HasPrefix(t.text, "0x"), strings.HasPrefix(t.text, "0b"):
	default:
		t.kind = word
	}
	return t
}

// mysqlComment skips a comment, or the marks around one whose text MySQL executes:
// /*! … */, /*!50110 … */, and MariaDB's /*M! … */. It reports whether there was
// one.
func (s *scanner) mysqlComment() bool {
	rest := s.src[s.pos:]
	switch {
	case rest[0] == '#', strings.HasPrefix(rest, "--") && (len(rest) == 2 || rest[2] <= ' '):
		s.pos = s.lineEnd(s.pos)
	case s.executes && (strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!")):
		s.pos += strings.IndexByte(rest, '!') + 1
		s.run(isDigit, 6)
		s.within = true
	case s.within && strings.HasPrefix(rest, "*/"):
		s.pos += 2
		s.within = false
	case strings.HasPrefix(rest, "/*"):
		s.comment()
	default:
		return false
	}
	return true
}

// AmbiguousMySQL is Ambiguous for MySQL, where sql_mode says whether a backslash
// escapes a quote and whether "…" is a name.
func AmbiguousMySQL(query, keyColumn string, stmts []Statement) bool {
	quotes := strings.IndexByte(query, '"') >= 0
	if !quotes && (strings.IndexByte(query, '\\') < 0 || strings.IndexByte(query, '\'') < 0) {
		return false
	}
	for _, d := range []Dialect{mysqlNames, mysqlPlain, mysqlNamesPlain} {
		if !alike(Parse(d, query, keyColumn, nil), stmts) {
			return true
		}
	}
	return false
}

// Conditional reports whether what a query of MySQL does, of which Parse says
// stmts, may depend on the version of the server: by comments that it executes.
func Conditional(d Dialect, query, keyColumn string, stmts []Statement) bool {
	if !strings.Contains(query, "/*!") && !strings.Contains(query, "/*M!") {
		return false
	}
	p := newParser(d, query, keyColumn)
	p.scan.executes = false
	other := p.all(nil)
	return !alike(other, stmts) && (!harmless(other) || !harmless(stmts))
}

// harmless reports whether statements only read, and change nothing that the
// driver follows.
func harmless(stmts []Statement) bool {
	for i := range stmts {
		if s := &stmts[i]; s.Kind != Read || s.EndsUnseen || s.Commits || s.Path || s.Modes {
			return false
		}
	}
	return true
}
