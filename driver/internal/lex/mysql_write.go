package lex

func (p *parser) mysqlInsert() Statement {
	failed := p.unseen()
	st := Statement{Kind: Write, Op: Insert}
	if p.at("REPLACE") {
		st.Op, st.Moves = Upsert, true
	}
	p.advance()
	changes := p.modifiers() // a value that does not fit
	p.accept("INTO")
	t, ok := p.table()
	if !ok {
		return failed
	}
	st.Tables = []Table{t}
	p.partition()
	if p.accept("SET") {
		st.Key = p.assigned()
	} else {
		st.Key = p.insertKey()
	}
	if changes {
		st.Key = Key{}
	}
	for !p.end() {
		switch {
		case p.nested():
			p.advance()
		case p.at("ON") && p.after().is("DUPLICATE"):
			// It may hit a row by another column than the key.
			st.Op, st.Key = Upsert, Key{}
			p.advance()
		case p.accept("RETURNING"):
			st.Returning = true
		default:
			p.advance()
		}
	}
	return st
}

// modifiers moves past LOW_PRIORITY and the like, and reports whether IGNORE is
// among them.
func (p *parser) modifiers() (ignores bool) {
	for {
		ignores = ignores || p.at("IGNORE")
		if !p.acceptAny("LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "CONCURRENT", "QUICK", "IGNORE") {
			return ignores
		}
	}
}

// partition moves past PARTITION (name, …).
func (p *parser) partition() {
	if p.at("PARTITION") && p.after().op('(') {
		p.advance()
		p.group()
	}
}

// assigned reads column = value, … and returns the key's.
func (p *parser) assigned() (k Key) {
	for begins := true; !p.end() && (p.nested() || !p.atAny("ON", "RETURNING")); {
		if begins && !p.nested() && p.isKey() && p.after().op('=') {
			p.advance()
			p.advance()
			if k = p.value(); !p.end() && !p.is(',') && !p.atAny("ON", "RETURNING") {
				k = Key{}
			}
			begins = false
			continue
		}
		begins = p.is(',')
		p.advance()
	}
	return k
}

// mysqlUpdate recognises an UPDATE of one table. What one of several tables sets,
// their columns would have to say.
func (p *parser) mysqlUpdate() Statement {
	failed := p.opaque()
	st := Statement{Kind: Write, Op: Update}
	p.advance()
	p.modifiers()
	to, ok := p.mysqlTarget()
	if !ok || !p.at("SET") {
		return failed
	}
	return p.mysqlWrites(st, to)
}

// mysqlDelete recognises a DELETE from one table.
func (p *parser) mysqlDelete() Statement {
	failed := p.opaque()
	st := Statement{Kind: Write, Op: Delete}
	p.advance()
	p.modifiers()
	if !p.accept("FROM") {
		return failed
	}
	to, ok := p.mysqlTarget()
	if !ok || !p.end() && !p.atAny("WHERE", "ORDER", "LIMIT", "RETURNING") {
		return failed
	}
	return p.mysqlWrites(st, to)
}

// mysqlWrites reads the rest of st, which writes to one table.
func (p *parser) mysqlWrites(st Statement, to target) Statement {
	st.Tables = []Table{to.Table}
	alternatives := p.alternates()
	p.rest(&st, to, "JOIN")
	if alternatives {
		st.Key = Key{}
	}
	return st
}

// mysqlTarget reads table [PARTITION (…)] [[AS] alias].
func (p *parser) mysqlTarget() (target, bool) {
	t, ok := p.table()
	to := target{Table: t}
	if !ok {
		return to, false
	}
	p.partition()
	if p.tok.is("AS") {
		p.advance()
		to.alias, ok = p.name()
		return to, ok
	}
	if p.tok.kind == quoted || p.tok.kind == word && !p.atAny("SET", "USING", "WHERE", "RETURNING", "ORDER", "LIMIT", "FOR",
		"JOIN", "INNER", "CROSS", "LEFT", "RIGHT", "NATURAL", "STRAIGHT_JOIN") {
		to.alias, _ = p.name()
	}
	return to, true
}

// load recognises LOAD DATA and LOAD XML … [REPLACE | IGNORE] INTO TABLE.
func (p *parser) load() Statement {
	failed := p.unseen()
	p.advance()
	if !p.atAny("DATA", "XML") {
		return failed
	}
	st := Statement{Kind: Write, Op: Insert}
	for !p.end() && !p.at("INTO") {
		if p.at("REPLACE") {
			st.Op = Upsert
		}
		p.advance()
	}
	p.advance()
	if !p.accept("TABLE") {
		return failed
	}
	t, ok := p.table()
	if !ok {
		return failed
	}
	st.Tables = []Table{t}
	return st
}

// alternates reports whether the rest of the statement has an XOR or a || in it,
// which join conditions otherwise than AND.
func (p *parser) alternates() bool {
	for ahead := *p; !ahead.end(); ahead.advance() {
		if ahead.tok.is("XOR") || ahead.tok.kind == punct && ahead.tok.text == "||" {
			return true
		}
	}
	return false
}
