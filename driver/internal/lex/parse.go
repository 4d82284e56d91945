package lex

import "strings"

// Parse lexes query in full and appends one Statement to dst for each statement
// in it; empty ones are none. keyColumn is the name of the column that
// [Statement.Key] is about, as the dialect folds it.
//
// It accepts anything: what the server would refuse is recognised as far as it
// goes. It takes linear time. A query ends at a NUL byte, as it does for the
// servers but MySQL.
func Parse(d Dialect, query, keyColumn string, dst []Statement) []Statement {
	p := newParser(d, query, keyColumn)
	return p.all(dst)
}

// all appends the statements from here on.
func (p *parser) all(dst []Statement) []Statement {
	for p.open() {
		dst = append(dst, p.statement())
		p.close()
	}
	return dst
}

func newParser(d Dialect, query, keyColumn string) parser {
	p := parser{key: keyColumn}
	p.scan.configure(d)
	if i := strings.IndexByte(query, 0); i >= 0 && p.scan.dialect != MySQL {
		query = query[:i]
	}
	p.scan.src = query
	return p
}

// parser walks through the tokens of one statement after the other.
type parser struct {
	scan scanner
	key  string
	// tok is the token in hand, prev the one before it.
	tok, prev token
	// depth is how many brackets are open around tok; a bracket itself counts
	// as outside.
	depth int
	// base is the depth of the statement in hand, more than 0 within a WITH
	// clause; within is how many statements it is in.
	base, within int
}

// open moves to the first token of the next statement, if there is one.
func (p *parser) open() bool {
	for {
		p.scan.later = p.scan.dialect != Postgres && p.scan.params > 0
		p.prev, p.tok, p.depth, p.base = token{}, p.scan.next(), 0, 0
		if p.tok.kind == eof {
			return false
		}
		if !p.end() {
			return true
		}
	}
}

// close moves to the end of the statement.
func (p *parser) close() {
	for !p.end() {
		p.advance()
	}
}

func (p *parser) advance() {
	if p.opens() {
		p.depth++
	}
	p.prev, p.tok = p.tok, p.scan.next()
	if p.closes() && p.depth > 0 {
		p.depth--
	}
}

// end reports whether the statement is over. Only the bodies of routines,
// triggers and rules hold semicolons; whoever is in one does not ask.
func (p *parser) end() bool { return p.tok.kind == eof || p.is(';') || p.depth < p.base }

// nested reports whether the token in hand stands in brackets of the statement.
func (p *parser) nested() bool { return p.depth > p.base }

func (p *parser) opens() bool { return p.is('(') || p.is('[') }

func (p *parser) closes() bool { return p.is(')') || p.is(']') }

// is reports whether the token in hand is this operator or bracket.
func (p *parser) is(c byte) bool { return p.tok.op(c) }

// at reports whether the token in hand is this keyword, given in upper case. A
// word behind a dot or AS is a name, whatever it is.
func (p *parser) at(keyword string) bool {
	return p.tok.is(keyword) && !p.prev.op('.') && !p.prev.is("AS")
}

// atAny is at for any of the keywords.
func (p *parser) atAny(keywords ...string) bool {
	for _, k := range keywords {
		if p.at(k) {
			return true
		}
	}
	return false
}

// accept moves past the keyword if it is in hand.
func (p *parser) accept(keyword string) bool {
	if !p.at(keyword) {
		return false
	}
	p.advance()
	return true
}

// acceptAny moves past any of the keywords.
func (p *parser) acceptAny(keywords ...string) bool {
	if !p.atAny(keywords...) {
		return false
	}
	p.advance()
	return true
}

// after returns the token behind the one in hand.
func (p *parser) after() *token {
	ahead := p.scan
	t := ahead.next()
	return &t
}

// group moves past a bracket and all that is in it.
func (p *parser) group() {
	base := p.depth
	p.advance()
	for !p.end() && p.depth > base {
		p.advance()
	}
	if p.closes() {
		p.advance()
	}
}

// op reports whether t is this operator or bracket, of one character.
func (t *token) op(c byte) bool {
	return t.sign == c
}

func (t *token) is(keyword string) bool {
	return t.kind == word && len(t.text) == len(keyword) && equal(t.text, keyword)
}

// equal compares a word with a keyword of the same length.
func equal(s, keyword string) bool {
	for i := range len(keyword) {
		if upper(s[i]) != keyword[i] {
			return false
		}
	}
	return true
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c
}

// statement recognises the statement that begins at the token in hand.
func (p *parser) statement() Statement {
	for p.is('(') {
		p.advance()
	}
	p.depth = 0
	var buf [len("TRANSACTION")]byte
	if p.tok.kind != word || len(p.tok.text) > len(buf) {
		if p.scan.dialect == MySQL {
			return p.compound()
		}
		return p.opaque()
	}
	for i := range len(p.tok.text) {
		buf[i] = upper(p.tok.text[i])
	}
	first := buf[:len(p.tok.text)]
	if p.scan.dialect == MySQL {
		if st, ok := p.mysqlControl(first); ok {
			return st
		}
		return p.mysql(first)
	}
	if st, ok := p.control(first); ok {
		return st
	}
	if st, ok := p.schema(first); ok {
		return st
	}
	switch string(first) {
	case "SELECT", "VALUES", "TABLE":
		return p.query()
	case "WITH":
		return p.with()
	case "INSERT", "REPLACE":
		return p.insert()
	case "UPDATE":
		return p.update()
	case "DELETE":
		return p.delete()
	case "EXPLAIN":
		return p.explain()
	case "PRAGMA":
		return Statement{NoBlock: true, Restricts: p.says("query_only")}
	case "ATTACH", "DETACH":
		return Statement{NoBlock: true, Path: true}
	case "ANALYZE":
		return Statement{}
	case "VACUUM":
		return Statement{NoBlock: true}
	case "REINDEX":
		return p.reindex()
	}
	if p.scan.dialect == SQLite {
		return p.opaque()
	}
	return p.postgres(first)
}

// postgres recognises what only PostgreSQL has.
func (p *parser) postgres(first []byte) Statement {
	switch string(first) {
	case "SHOW":
		return Statement{Lead: LeadStays}
	case "LOCK":
		return Statement{Lead: LeadFirst}
	case "LISTEN", "UNLISTEN", "NOTIFY", "CHECKPOINT":
		return Statement{Lead: LeadPlain}
	case "FETCH", "MOVE", "DECLARE", "CLOSE", "PREPARE", "ANALYSE", "LOAD", "REFRESH":
		return Statement{}
	case "SET", "RESET":
		return p.set()
	case "DISCARD", "DEALLOCATE":
		return p.discard()
	case "CLUSTER":
		return p.cluster()
	case "TRUNCATE":
		return p.truncate()
	case "COPY":
		return p.copy()
	case "MERGE":
		return p.merge()
	case "CALL", "DO":
		st := p.opaque()
		st.EndsUnseen = true
		return st
	}
	return p.opaque()
}

// says reports whether the name, in lower case, is among the statement's words.
func (p *parser) says(name string) bool {
	for ; !p.end(); p.advance() {
		if p.names(name) {
			return true
		}
	}
	return false
}

// opaque is a statement that may write to what is not seen.
func (p *parser) opaque() Statement { return opaque(p.tok) }

// opaque is one that begins with this token.
func opaque(first token) Statement { return Statement{Kind: Opaque, Verb: verb(first)} }

// verb is a keyword as [Statement.Verb] has it; "" for other tokens.
func verb(t token) string {
	if t.kind != word {
		return ""
	}
	return strings.ToUpper(t.text[:min(len(t.text), 32)])
}
