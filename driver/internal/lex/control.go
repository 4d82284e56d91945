package lex

// control recognises transaction control (PostgreSQL manual, part VI: BEGIN,
// COMMIT, PREPARE TRANSACTION …; SQLite: lang_transaction, lang_savepoint).
func (p *parser) control(first []byte) (Statement, bool) {
	switch string(first) {
	case "BEGIN":
		return Statement{Kind: Begin}, true
	case "END":
		return p.commit(), true
	}
	if st, ok := p.commonControl(first); ok {
		return st, true
	}
	if p.scan.dialect == SQLite {
		return Statement{}, false
	}
	switch string(first) {
	case "START":
		return Statement{Kind: Begin}, p.after().is("TRANSACTION")
	case "ABORT":
		return p.rollback(), true
	case "PREPARE":
		return p.prepare()
	}
	return Statement{}, false
}

// commonControl recognises the transaction control that all dialects have.
func (p *parser) commonControl(first []byte) (Statement, bool) {
	switch string(first) {
	case "COMMIT":
		return p.commit(), true
	case "ROLLBACK":
		return p.rollback(), true
	case "SAVEPOINT":
		p.advance()
		return Statement{Kind: Savepoint, Name: p.savepoint()}, true
	case "RELEASE":
		p.advance()
		return Statement{Kind: Release, Name: p.savepoint()}, true
	}
	return Statement{}, false
}

func (p *parser) commit() Statement {
	p.advance()
	if st, ok := p.prepared(CommitPrepared); ok {
		return st
	}
	return Statement{Kind: Commit, Chain: p.chain()}
}

func (p *parser) rollback() Statement {
	p.advance()
	if st, ok := p.prepared(RollbackPrepared); ok {
		return st
	}
	if p.acceptAny("WORK", "TRANSACTION") && p.scan.dialect == SQLite && !p.at("TO") && !p.end() {
		p.advance() // SQLite lets a transaction have a name, and forgets it
	}
	if p.accept("TO") {
		return Statement{Kind: RollbackTo, Name: p.savepoint()}
	}
	return Statement{Kind: Rollback, Chain: p.chain()}
}

// chain reads the rest of a COMMIT or ROLLBACK: [WORK] AND [NO] CHAIN.
func (p *parser) chain() bool {
	p.acceptAny("WORK", "TRANSACTION")
	return p.scan.dialect != SQLite && p.accept("AND") && p.at("CHAIN")
}

// savepoint reads [SAVEPOINT] name. A savepoint may itself be called savepoint.
func (p *parser) savepoint() string {
	if next := p.after().kind; p.at("SAVEPOINT") && next != eof && next != punct {
		p.advance()
	}
	name, _ := p.name()
	if p.scan.dialect != Postgres {
		return lower(name)
	}
	return name
}

// prepared reads PREPARED 'gid'.
func (p *parser) prepared(k Kind) (Statement, bool) {
	if p.scan.dialect != Postgres || !p.accept("PREPARED") {
		return Statement{}, false
	}
	return Statement{Kind: k, Name: literal(p.tok), NoBlock: true}, true
}

// prepare tells PREPARE TRANSACTION 'gid' from PREPARE name AS …, where the
// name may be transaction.
func (p *parser) prepare() (Statement, bool) {
	ahead := *p
	ahead.advance()
	if !ahead.accept("TRANSACTION") || ahead.tok.kind != str {
		return Statement{}, false
	}
	*p = ahead
	return Statement{Kind: Prepare, Name: literal(p.tok)}, true
}

// literal is the value of a string; its text where that has escapes.
func literal(t token) string {
	if t.doubled {
		return undouble(t.text, t.quote)
	}
	return t.text
}
