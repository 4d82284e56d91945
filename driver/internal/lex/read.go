package lex

// query recognises a SELECT, VALUES or TABLE: it reads, but for SELECT INTO,
// which makes a table.
func (p *parser) query() Statement {
	if p.scan.dialect == SQLite {
		return Statement{}
	}
	path, restricts := p.configures()
	if !p.until("INTO") {
		return Statement{Path: path, Restricts: restricts}
	}
	st := Statement{Kind: Schema, Verb: "SELECT INTO"}
	p.advance()
	p.acceptAny("LOCAL", "GLOBAL", "UNLOGGED")
	st.Temporary = p.acceptAny("TEMP", "TEMPORARY")
	p.accept("TABLE")
	if t, ok := p.table(); ok {
		st.Tables = []Table{t}
		st.Temporary = st.Temporary || t.Schema == "pg_temp"
	}
	return st
}

// explain recognises an EXPLAIN, which runs its statement only if told to.
func (p *parser) explain() Statement {
	p.advance()
	if p.scan.dialect == SQLite {
		return Statement{}
	}
	runs := false
	if p.is('(') {
		runs = p.explainOptions()
	} else {
		runs = p.acceptAny("ANALYZE", "ANALYSE")
		p.accept("VERBOSE")
	}
	if !runs || p.at("EXPLAIN") {
		return Statement{}
	}
	switch st := p.statement(); st.Kind {
	case Read, Schema: // CREATE TABLE AS
		return st
	case Write:
		return within(st)
	default:
		return Statement{Kind: Opaque, Verb: "EXPLAIN"}
	}
}

// explainOptions moves past (ANALYZE, FORMAT json …) and reports whether the
// statement is run.
func (p *parser) explainOptions() bool {
	runs := false
	p.advance()
	for !p.end() && p.depth > 0 {
		if p.acceptAny("ANALYZE", "ANALYSE") {
			off := lower(p.tok.text)
			runs = off != "false" && off != "off" && off != "0"
			continue
		}
		p.advance()
	}
	if !p.end() {
		p.advance()
	}
	return runs
}

// copy recognises a COPY: TO reads, unless what it reads is the RETURNING of a
// write.
func (p *parser) copy() Statement {
	failed := p.opaque()
	p.advance()
	if p.is('(') {
		return p.bracket()
	}
	p.accept("BINARY")
	t, ok := p.table()
	for !p.end() && (p.nested() || !p.atAny("FROM", "TO")) {
		p.advance()
	}
	switch {
	case p.at("TO"):
		return Statement{}
	case ok:
		return Statement{Kind: Write, Op: Insert, Tables: []Table{t}, Verb: "COPY"}
	}
	return failed
}

// reindex recognises REINDEX, which changes nothing that is kept.
func (p *parser) reindex() Statement {
	p.advance()
	if p.scan.dialect == SQLite {
		return Statement{}
	}
	options := p.is('(')
	if options {
		concurrent := false
		for p.advance(); !p.end() && p.depth > 0; p.advance() {
			concurrent = concurrent || p.at("CONCURRENTLY")
		}
		if p.is(')') {
			p.advance()
		}
		if concurrent {
			return Statement{NoBlock: true}
		}
	}
	whole := p.acceptAny("DATABASE", "SYSTEM", "SCHEMA")
	if !whole {
		p.acceptAny("TABLE", "INDEX")
	}
	return Statement{NoBlock: whole || p.at("CONCURRENTLY")}
}

// cluster recognises CLUSTER, which without a table goes through them all.
func (p *parser) cluster() Statement {
	p.advance()
	if p.is('(') {
		p.group()
	}
	p.accept("VERBOSE")
	return Statement{NoBlock: p.end()}
}
