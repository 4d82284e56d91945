package lex

// query recognises a SELECT, VALUES or TABLE: it reads, but for SELECT INTO.
func (p *parser) query() Statement {
	if p.scan.dialect == SQLite {
		return Statement{}
	}
	for !p.end() {
		if p.depth == 0 && p.at("INTO") {
			p.advance()
			p.acceptAny("LOCAL", "GLOBAL")
			return Statement{Kind: Opaque, Verb: "SELECT INTO", Temporary: p.atAny("TEMP", "TEMPORARY")}
		}
		p.advance()
	}
	return Statement{}
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
	if p.statement().Kind == Read {
		return Statement{}
	}
	return Statement{Kind: Opaque, Verb: "EXPLAIN"}
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
	st := p.opaque()
	p.advance()
	if p.is('(') {
		p.advance()
		if p.atAny("SELECT", "VALUES", "TABLE") {
			return Statement{}
		}
		if p.at("WITH") && p.with().Kind == Read {
			return Statement{}
		}
		return st
	}
	for !p.end() && (p.depth > 0 || !p.atAny("FROM", "TO")) {
		p.advance()
	}
	if p.at("TO") {
		return Statement{}
	}
	return st
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
