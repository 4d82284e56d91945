package lex

// target is the table that a write is aimed at, as its conditions may call it.
type target struct {
	Table
	alias string
	// joined: other tables stand beside it, so that a column without the
	// table's name may be theirs.
	joined bool
}

func (p *parser) insert() Statement {
	first := p.tok
	st := Statement{Kind: Write, Op: Insert}
	if p.at("REPLACE") {
		if p.scan.dialect == Postgres {
			return opaque(first)
		}
		st.Op, st.Moves = Upsert, true
	}
	p.advance()
	p.or(&st)
	if !p.accept("INTO") {
		return opaque(first)
	}
	t, ok := p.table()
	if !ok {
		return opaque(first)
	}
	st.Tables = []Table{t}
	if p.accept("AS") {
		_, _ = p.name()
	}
	st.Command = p.commands(t.Name)
	st.Key = p.insertKey()
	p.conflict(&st)
	return st
}

// or reads SQLite's OR ROLLBACK, OR REPLACE …
func (p *parser) or(st *Statement) {
	if p.scan.dialect != SQLite || !p.accept("OR") {
		return
	}
	switch {
	case p.at("REPLACE"):
		st.Moves = true
		if st.Op == Insert {
			st.Op = Upsert
		}
	case p.at("ROLLBACK"):
		st.EndsUnseen = true
	}
	p.advance()
}

// conflict reads the rest of an INSERT: ON CONFLICT and RETURNING. An upsert
// may hit a row by another column than the key; then the key is not known.
func (p *parser) conflict(st *Statement) {
	byKey, sets := false, false
	for on := false; !p.end(); {
		st.Moves = st.Moves || sets && p.setsKey()
		switch {
		case p.nested():
			p.advance()
		case p.accept("ON"):
			sets = false
			if p.accept("CONFLICT") {
				on, byKey = true, p.onKey()
			}
		case on && p.accept("DO"):
			on = false
			if p.at("UPDATE") {
				st.Op, sets = Upsert, true
				if !byKey {
					st.Key = Key{}
				}
			}
		case p.accept("WHERE"):
			sets = false
		case p.accept("RETURNING"):
			st.Returning, st.ReturnsKey = true, p.returnsKey()
		default:
			p.advance()
		}
	}
}

// returnsKey reads a RETURNING list and reports whether the key is in it under
// its own name, or all columns are.
func (p *parser) returnsKey() (found bool) {
	for !p.end() {
		if p.after().op('.') {
			p.advance()
			p.advance()
		}
		plain := p.isKey() || p.is('*')
		p.advance()
		found = found || plain && (p.end() || p.is(','))
		for !p.end() && (p.nested() || !p.is(',')) {
			p.advance()
		}
		if p.is(',') {
			p.advance()
		}
	}
	return found
}

// onKey reports whether (key) is in hand, the target of an ON CONFLICT.
func (p *parser) onKey() bool {
	if !p.is('(') {
		return false
	}
	p.advance()
	if !p.isKey() {
		return false
	}
	p.advance()
	return p.is(')')
}

func (p *parser) update() Statement {
	first := p.tok
	st := Statement{Kind: Write, Op: Update}
	p.advance()
	p.or(&st)
	to, ok := p.target()
	if !ok || !p.until("SET") {
		return opaque(first)
	}
	if p.settings(to.Table) {
		return Statement{Path: true, Restricts: true, Defaults: true}
	}
	st.Tables = []Table{to.Table}
	p.rest(&st, to, "FROM")
	return st
}

func (p *parser) delete() Statement {
	first := p.tok
	st := Statement{Kind: Write, Op: Delete}
	p.advance()
	if !p.accept("FROM") {
		return opaque(first)
	}
	to, ok := p.target()
	if !ok {
		return opaque(first)
	}
	st.Tables = []Table{to.Table}
	p.rest(&st, to, "USING")
	return st
}

// target reads [ONLY] table [*] [[AS] alias].
func (p *parser) target() (target, bool) {
	t, ok := p.only()
	to := target{Table: t}
	if !ok {
		return to, false
	}
	if p.scan.dialect == SQLite && p.atAny("INDEXED", "NOT") {
		return to, true
	}
	if p.accept("AS") || p.tok.kind == quoted || p.tok.kind == word && !p.atAny("SET", "USING", "WHERE", "RETURNING", "ORDER", "LIMIT") {
		to.alias, _ = p.name()
	}
	return to, true
}

// only reads [ONLY] table [*], or ONLY (table).
func (p *parser) only() (Table, bool) {
	bracket := false
	if p.scan.dialect == Postgres && p.accept("ONLY") && p.is('(') {
		bracket = true
		p.advance()
	}
	t, ok := p.table()
	if ok && (p.is('*') || bracket && p.is(')')) {
		p.advance()
	}
	return t, ok
}

// until moves to the keyword outside brackets, and reports whether it is there.
func (p *parser) until(keyword string) bool {
	for !p.end() {
		if !p.nested() && p.at(keyword) {
			return true
		}
		p.advance()
	}
	return false
}

// rest reads an UPDATE from SET on, or a DELETE from behind its target. others
// is the keyword before further tables.
func (p *parser) rest(st *Statement, to target, others string) {
	sets := p.at("SET")
	for !p.end() {
		st.Moves = st.Moves || sets && p.setsKey()
		switch {
		case p.nested():
			p.advance()
		case p.at(others):
			// IS DISTINCT FROM is no list of tables.
			to.joined = to.joined || !p.prev.is("DISTINCT")
			p.advance()
		case p.accept("WHERE"):
			sets = false
			st.Key = p.where(to)
		case p.accept("RETURNING"):
			sets, st.Returning = false, true
		default:
			p.advance()
		}
	}
}

// setsKey reports whether what is in hand, in a SET list, may be the key's column.
// Only on MySQL a table's name may stand before it.
func (p *parser) setsKey() bool {
	if p.tok.kind == quoted && p.tok.form == 'U' {
		return true // U&"…", which is not read here
	}
	return p.writesKey() && (!p.prev.op('.') || p.scan.dialect == MySQL && !p.after().op('.'))
}

func (p *parser) merge() Statement {
	failed := p.opaque()
	p.advance()
	if !p.accept("INTO") {
		return failed
	}
	to, ok := p.target()
	if !ok || !p.until("USING") {
		return failed
	}
	return Statement{Kind: Write, Op: Merge, Tables: []Table{to.Table}, Returning: p.until("RETURNING")}
}

func (p *parser) truncate() Statement {
	failed := p.opaque()
	st := Statement{Kind: Write, Op: Truncate}
	p.advance()
	p.accept("TABLE")
	for {
		t, ok := p.only()
		if !ok {
			return failed
		}
		st.Tables = append(st.Tables, t)
		if !p.is(',') {
			break
		}
		p.advance()
	}
	st.Partial = p.until("CASCADE")
	return st
}
