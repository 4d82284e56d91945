package lex

import (
	"strings"
	"unicode/utf8"
)

// table reads the name of a table: schema.table, with or without a database in
// front.
func (p *parser) table() (Table, bool) {
	var t Table
	for {
		name, ok := p.name()
		if !ok {
			return t, false
		}
		t.Schema, t.Name = t.Name, name
		if !p.is('.') {
			return t, true
		}
		p.advance()
	}
}

// name reads a name and folds it as the server does.
func (p *parser) name() (string, bool) {
	t := p.tok
	switch {
	case t.kind == word || t.kind == quoted:
	case t.kind == str && p.scan.dialect == SQLite && t.form == 0:
		// SQLite takes a string for a name wherever only a name can stand.
	default:
		return "", false
	}
	p.advance()
	if t.form == 'U' {
		return p.unicode(t)
	}
	return fold(p.scan.dialect, t), true
}

// fold is the name that a word or a quoted name means (PostgreSQL manual,
// section 4.1.1). SQLite keeps names as they were written first and compares
// them without case.
func fold(d Dialect, t token) string {
	s := t.text
	if t.doubled {
		s = undouble(s, t.quote)
	}
	if d == SQLite || d == MySQL {
		return s
	}
	if t.kind == word {
		s = lower(s)
	}
	return clip(s)
}

func undouble(s string, quote byte) string {
	q := string(quote)
	return strings.ReplaceAll(s, q+q, q)
}

// lower folds ASCII letters only, as both servers do in UTF-8 databases.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return lowerFrom(s, i)
		}
	}
	return s
}

func lowerFrom(s string, i int) string {
	b := []byte(s)
	for ; i < len(b); i++ {
		if 'A' <= b[i] && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// maxName is how many bytes of a name PostgreSQL keeps (NAMEDATALEN - 1).
const maxName = 63

// clip cuts a name as PostgreSQL does, between characters.
func clip(s string) string {
	if len(s) <= maxName {
		return s
	}
	n := maxName
	for n > maxName-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
