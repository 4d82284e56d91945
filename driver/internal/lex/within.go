package lex

// A statement may hold others that write: in its WITH clause, behind EXPLAIN
// ANALYZE, in the brackets of a COPY TO.

// within is st as a part of another statement, which tells neither how many of
// its rows are changed nor returns them.
func within(st Statement) Statement {
	switch st.Kind {
	case Read:
		return Statement{}
	case Write:
		also := st.Also
		for _, t := range st.Tables {
			also = append(also, st.Target(t))
		}
		return Statement{Kind: Write, Also: also, Partial: st.Partial}
	default:
		return Statement{Kind: Write, Partial: true}
	}
}

// hold adds what a statement within it writes to.
func (st *Statement) hold(part Statement) {
	part = within(part)
	if part.Kind == Read {
		return
	}
	if st.Kind == Read {
		st.Kind = Write
	}
	st.Also = append(part.Also, st.Also...)
	st.Partial = st.Partial || part.Partial
}

// with recognises a statement with a WITH clause by what stands after that.
func (p *parser) with() Statement {
	failed := p.opaque()
	p.advance()
	p.accept("RECURSIVE")
	var parts Statement
	for !p.end() {
		part := p.expression()
		part.hold(parts)
		parts = part
		if !p.is(',') {
			break
		}
		p.advance()
	}
	var st Statement
	switch {
	case p.atAny("SELECT", "VALUES", "TABLE"), p.is('('):
		st = p.query()
	default:
		var ok bool
		if st, ok = p.change(); !ok {
			return failed
		}
	}
	st.hold(parts)
	return st
}

// change recognises a statement that writes rows.
func (p *parser) change() (Statement, bool) {
	switch {
	case p.atAny("INSERT", "REPLACE"):
		return p.insert(), true
	case p.at("UPDATE"):
		return p.update(), true
	case p.at("DELETE"):
		return p.delete(), true
	case p.at("MERGE") && p.scan.dialect == Postgres:
		return p.merge(), true
	}
	return Statement{}, false
}

// expression moves past one table expression of a WITH clause and returns what
// it writes.
func (p *parser) expression() Statement {
	p.advance() // its name
	if p.is('(') {
		p.group()
	}
	for p.tok.is("AS") || p.tok.is("NOT") || p.tok.is("MATERIALIZED") {
		p.advance()
	}
	if !p.is('(') {
		return Statement{}
	}
	st := p.bracket()
	if p.at("SEARCH") {
		p.past("SET")
		p.advance()
	}
	if p.at("CYCLE") {
		p.past("USING")
		p.advance()
	}
	return st
}

// past moves behind the keyword.
func (p *parser) past(keyword string) {
	for !p.end() && !p.accept(keyword) {
		p.advance()
	}
}

// bracket moves past a statement in brackets and returns what it writes.
func (p *parser) bracket() Statement {
	outer := p.base
	p.base = p.depth + 1
	p.within++
	p.advance()
	st, writes := p.change()
	switch {
	case writes:
	case p.at("WITH") && p.within > maxNesting:
		st = p.opaque()
	case p.at("WITH"):
		st = p.with()
	}
	p.close()
	p.base = outer
	p.within--
	if p.is(')') {
		p.advance()
	}
	return within(st)
}
