package lex

import "strings"

// same compares names as the server does, once they are folded.
func (p *parser) same(a, b string) bool {
	if p.scan.dialect != Postgres {
		return lower(a) == lower(b)
	}
	return a == b
}

// names reports whether the token in hand is this name.
func (p *parser) names(name string) bool {
	return name != "" && (p.tok.kind == word || p.tok.kind == quoted) && p.tok.form == 0 &&
		p.same(fold(p.scan.dialect, p.tok), name)
}

func (p *parser) isKey() bool { return p.names(p.key) }

// isColumn is isKey where only a column can stand that is written to: on SQLite that
// may be a string.
func (p *parser) isColumn() bool {
	if p.scan.dialect != SQLite || p.tok.kind != str {
		return p.isKey()
	}
	return p.key != "" && p.tok.form == 0 && p.same(fold(SQLite, p.tok), p.key)
}

// writesKey reports whether such a column may be the key's: on SQLite the row's
// number, which may be the key, has three more names.
func (p *parser) writesKey() bool {
	if p.isColumn() {
		return true
	}
	named := p.tok.kind == word || p.tok.kind == quoted || p.tok.kind == str
	return p.scan.dialect == SQLite && named && p.tok.form == 0 && IsRowID(fold(SQLite, p.tok))
}

// IsRowID reports whether a name is one of those that SQLite has for a row's number
// (https://sqlite.org/lang_createtable.html#rowid).
func IsRowID(name string) bool {
	switch lower(name) {
	case "rowid", "oid", "_rowid_":
		return true
	}
	return false
}

// commands reports whether the column list in hand begins with the table's own
// name, on SQLite.
func (p *parser) commands(table string) bool {
	if p.scan.dialect != SQLite || !p.is('(') {
		return false
	}
	ahead := *p
	ahead.advance()
	return ahead.names(table)
}

// insertKey reads the columns and the values of an INSERT. The key is known if
// there is one row of values.
func (p *parser) insertKey() Key {
	column := p.keyIndex()
	if p.accept("OVERRIDING") {
		if p.at("USER") {
			column = -1 // a value for an identity column is ignored
		}
		p.advance()
		p.accept("VALUE")
	}
	if column < 0 || !p.accept("VALUES") || !p.is('(') {
		return Key{}
	}
	k := p.row(column)
	if p.end() || p.atAny("ON", "RETURNING") {
		return k
	}
	return Key{}
}

// keyIndex reads (column, …) and returns where the key is in it; -1 if it is not, or
// has two values there.
func (p *parser) keyIndex() int {
	if !p.is('(') || p.subquery() {
		return -1
	}
	index, found, times := 0, -1, 0
	base := p.depth
	for p.advance(); !p.end() && p.depth > base; p.advance() {
		switch {
		case p.depth > base+1:
		case p.is(','):
			index++
		case p.writesKey() && (p.after().op(',') || p.after().op(')')):
			times++
			if p.isColumn() {
				found = index
			}
		}
	}
	if p.is(')') {
		p.advance()
	}
	if times != 1 {
		return -1
	}
	return found
}

// row reads (value, …) and returns the one at the index.
func (p *parser) row(index int) Key {
	var k Key
	base := p.depth
	p.advance()
	for i := 0; !p.end() && p.depth > base; {
		if i == index && p.depth == base+1 && (p.prev.op('(') || p.prev.op(',')) {
			k = p.value()
			if !p.is(',') && !p.is(')') {
				k = Key{}
			}
			index = -1
			continue
		}
		if p.depth == base+1 && p.is(',') {
			i++
		}
		p.advance()
	}
	if p.is(')') {
		p.advance()
	}
	return k
}

// maxNesting is how many brackets around conditions are looked into.
const maxNesting = 8

// where reads the condition of an UPDATE or DELETE.
func (p *parser) where(to target) Key { return p.conditions(to, 0) }

// conditions reads conditions joined by AND, to the end of the bracket or the
// clause. One OR among them, and nothing is known.
func (p *parser) conditions(to target, level int) Key {
	var k Key
	alternatives := false
	for {
		c := p.condition(to, level)
		if !k.Found {
			k = c
		}
		switch {
		case p.accept("AND"):
		case p.accept("OR"):
			alternatives = true
		case alternatives:
			return Key{}
		default:
			return k
		}
	}
}

// condition reads one condition and returns the key if it is key = value, or a
// bracket that holds one.
func (p *parser) condition(to target, level int) Key {
	var k Key
	base := p.depth
	switch {
	case p.is('(') && level < maxNesting && !p.subquery():
		p.advance()
		k = p.conditions(to, level+1)
		if p.is(')') && p.depth == base {
			p.advance()
		}
	case p.column(to):
		if p.is('=') || p.tok.kind == punct && p.tok.text == "==" {
			p.advance()
			k = p.value()
		}
	}
	if !p.boundary(base) {
		k = Key{}
		p.skip(base)
	}
	return k
}

// subquery reports whether the bracket in hand is that of a query.
func (p *parser) subquery() bool {
	next := p.after()
	return next.is("SELECT") || next.is("WITH") || next.is("VALUES") || next.is("TABLE")
}

// boundary reports whether the condition is over that began at this depth.
func (p *parser) boundary(base int) bool {
	if p.end() || p.depth < base || p.is(')') && p.depth == base-1 {
		return true
	}
	return p.depth == base && !p.opens() && p.atAny("AND", "OR", "RETURNING", "ORDER", "LIMIT")
}

// skip moves to the end of the condition. An AND may belong to a BETWEEN, and
// CASE holds conditions of its own.
func (p *parser) skip(base int) {
	ranges, cases := 0, 0
	for {
		over := p.boundary(base)
		switch {
		case p.end() || p.depth < base:
			return
		case p.depth > base:
		case p.at("CASE"):
			cases++
		case p.at("END") && cases > 0:
			cases--
		case cases > 0:
		case p.at("BETWEEN"):
			ranges++
		case p.at("AND") && ranges > 0:
			ranges--
		case over:
			return
		}
		p.advance()
	}
}

// column moves past the key column, with or without the table's name before it,
// and reports whether it was there.
func (p *parser) column(to target) bool {
	qualifier := ""
	for (p.tok.kind == word || p.tok.kind == quoted) && p.after().op('.') {
		qualifier = fold(p.scan.dialect, p.tok)
		p.advance()
		p.advance()
	}
	called := to.Name
	if to.alias != "" {
		called = to.alias
	}
	switch {
	case qualifier == "" && to.joined, qualifier != "" && !p.same(qualifier, called), !p.isKey():
		return false
	}
	p.advance()
	return true
}

// value reads a literal or a parameter, with casts.
func (p *parser) value() Key {
	if p.at("CAST") && p.after().op('(') {
		base := p.depth
		p.advance()
		p.advance()
		k := p.plain()
		if !p.accept("AS") {
			k = Key{}
		}
		p.prev = token{} // behind AS, a keyword would be a name
		k = p.cast(k)
		if p.depth != base || !p.is(')') {
			k = Key{}
		}
		for !p.end() && p.depth > base {
			p.advance()
		}
		if p.is(')') {
			p.advance()
		}
		return k
	}
	k := p.plain()
	for p.tok.kind == punct && p.tok.text == "::" {
		p.advance()
		k = p.cast(k)
	}
	return k
}

// cast reads the type that k is cast to. What is an integer already has no
// second reading as a UUID, so one type is enough to keep.
func (p *parser) cast(k Key) Key {
	name, sure := p.typeName()
	t, known := castTypes[lower(name.Name)]
	switch {
	case !known, !sure, name.Schema != "" && name.Schema != "pg_catalog", !k.Found:
		return Key{}
	case t != AnyType:
		k.Type = t
	}
	return k
}

var castTypes = map[string]Type{
	"smallint": Integer, "int": Integer, "integer": Integer, "bigint": Integer, "int2": Integer, "int4": Integer, "int8": Integer,
	"text": AnyType, "varchar": AnyType, "character varying": AnyType, "uuid": UUID,
}

// plain reads a literal or a parameter.
func (p *parser) plain() Key {
	t := p.tok
	switch {
	case t.kind == param && (t.ordinal > 0 || t.text != ""):
		p.advance()
		return Key{Found: true, Param: t.ordinal, ParamName: t.text}
	case t.kind == str && (t.form == 0 || t.form == '$' || t.form == 'E' && strings.IndexByte(t.text, '\\') < 0 && !t.continued):
		p.advance()
		return Key{Found: true, Literal: literal(t)}
	case t.kind == number && digits(t.text):
		p.advance()
		return Key{Found: true, Literal: whole(t.text)}
	case p.is('-'):
		p.advance()
		if t = p.tok; t.kind == number && digits(t.text) {
			p.advance()
			n := whole(t.text)
			if n != "0" {
				n = "-" + n
			}
			return Key{Found: true, Literal: n}
		}
	}
	return Key{}
}

// whole is a whole number as both servers write it.
func whole(digits string) string {
	if n := strings.TrimLeft(digits, "0"); n != "" {
		return n
	}
	return "0"
}

func digits(s string) bool {
	for i := range len(s) {
		if classes[s[i]] != isDigit {
			return false
		}
	}
	return s != ""
}

// typeName reads the name of a type. It is sure if that has no length, time zone
// or array behind it.
func (p *parser) typeName() (name Table, sure bool) {
	name, sure = p.table()
	if !sure {
		return name, false
	}
	for p.at("PRECISION") || p.at("VARYING") {
		name.Name += " " + lower(p.tok.text)
		p.advance()
	}
	for p.is('(') || p.is('[') {
		sure = false
		p.group()
	}
	for p.acceptAny("WITH", "WITHOUT", "TIME", "ZONE") {
		sure = false
	}
	return name, sure
}
