package lex

// schema recognises what changes the schema, the rights or the comments.
func (p *parser) schema(first []byte) (Statement, bool) {
	switch string(first) {
	case "CREATE":
		return p.create(), true
	case "DROP":
		return p.drop(), true
	case "ALTER":
		return p.alter(), true
	}
	if p.scan.dialect == SQLite {
		return Statement{}, false
	}
	switch string(first) {
	case "GRANT", "REVOKE", "COMMENT":
		return p.on(), true
	case "SECURITY", "IMPORT", "REASSIGN":
		return Statement{Kind: Schema, Verb: verb(p.tok)}, true
	}
	return Statement{}, false
}

// object reads the kind of object that a CREATE, ALTER or DROP is about, and
// returns it as the second word of the verb.
func (p *parser) object(first string) Statement {
	st := Statement{Kind: Schema}
	p.advance()
	for {
		switch {
		case p.acceptAny("TEMP", "TEMPORARY"):
			st.Temporary = true
			continue
		case p.at("FOREIGN") && !p.after().is("TABLE"):
		case p.acceptAny("OR", "REPLACE", "GLOBAL", "LOCAL", "UNLOGGED", "UNIQUE", "RECURSIVE", "MATERIALIZED",
			"VIRTUAL", "FULLTEXT", "SPATIAL", "IGNORE", "FOREIGN", "EVENT", "CONSTRAINT", "TRUSTED", "PROCEDURAL", "DEFAULT"):
			continue
		}
		break
	}
	st.Verb = first
	if second := verb(p.tok); second != "" {
		st.Verb = first + " " + second
	}
	st.NoBlock = p.atAny("DATABASE", "TABLESPACE", "SUBSCRIPTION", "SYSTEM") && p.scan.dialect == Postgres
	return st
}

// named reads [CONCURRENTLY] [IF [NOT] EXISTS] [ONLY] name.
func (p *parser) named(st *Statement) {
	p.advance()
	if p.accept("CONCURRENTLY") {
		st.NoBlock, st.Concurrent = true, true
	}
	if p.at("IF") && (p.after().is("NOT") || p.after().is("EXISTS")) {
		st.Conditional = true
		p.advance()
		p.accept("NOT")
		p.accept("EXISTS")
	}
	if p.atAny("ON", "AUTHORIZATION") {
		return // CREATE INDEX ON t, CREATE SCHEMA AUTHORIZATION r: the server makes up a name
	}
	if t, ok := p.only(); ok {
		st.Tables = []Table{t}
		st.Temporary = st.Temporary || p.same(t.Schema, "pg_temp") || p.scan.dialect == SQLite && p.same(t.Schema, "temp")
	}
}

// hasName lists the objects whose name stands behind their kind.
func (p *parser) hasName() bool {
	return p.atAny("TABLE", "INDEX", "VIEW", "SEQUENCE", "TRIGGER", "FUNCTION", "PROCEDURE", "TYPE", "SCHEMA",
		"DOMAIN", "AGGREGATE", "EXTENSION", "DATABASE", "ROLE", "USER", "GROUP", "POLICY", "RULE", "TABLESPACE",
		"SERVER", "COLLATION", "STATISTICS", "PUBLICATION", "SUBSCRIPTION", "CONVERSION", "LANGUAGE", "ROUTINE") &&
		!p.after().is("MAPPING")
}

func (p *parser) create() Statement {
	st := p.object("CREATE")
	trigger, rule := p.at("TRIGGER"), p.at("RULE")
	routine, table := p.atAny("FUNCTION", "PROCEDURE"), p.at("TABLE")
	located := trigger || p.atAny("INDEX", "POLICY")
	if p.hasName() {
		p.named(&st)
	}
	switch {
	case rule:
		p.location(&st, "TO") // AS ON INSERT TO table
	case located:
		p.location(&st, "ON")
	}
	switch {
	case p.scan.dialect == SQLite && trigger:
		p.triggerBody()
	case p.scan.dialect == Postgres && table:
		p.tableBody(&st)
	case p.scan.dialect == Postgres && routine:
		p.routineBody()
	case p.scan.dialect == Postgres && rule:
		p.ruleBody()
	}
	return st
}

// tableBody looks into the query of CREATE TABLE AS, which may write.
func (p *parser) tableBody(st *Statement) {
	for !p.end() && (p.nested() || !p.tok.is("AS")) {
		p.advance()
	}
	if p.end() {
		return
	}
	p.advance()
	p.prev = token{}
	for p.is('(') {
		p.advance()
	}
	p.depth = 0
	switch {
	case p.at("WITH"):
		st.hold(p.with())
	case p.at("EXECUTE"):
		st.Partial = true
	}
}

// location reads on to the keyword and the table behind it, which an index,
// trigger, rule or policy is of.
func (p *parser) location(st *Statement, keyword string) {
	if p.until(keyword) {
		p.advance()
		st.On, _ = p.only()
	}
}

func (p *parser) drop() Statement {
	st := p.object("DROP")
	if !p.hasName() {
		return st
	}
	located := p.atAny("TRIGGER", "RULE", "POLICY")
	p.named(&st)
	for p.is(',') && len(st.Tables) > 0 {
		p.advance()
		t, ok := p.table()
		if !ok {
			break
		}
		st.Tables = append(st.Tables, t)
	}
	if located && p.scan.dialect == Postgres {
		p.location(&st, "ON")
	}
	return st
}

func (p *parser) alter() Statement {
	st := p.object("ALTER")
	table, database := p.at("TABLE"), p.at("DATABASE")
	located := p.atAny("TRIGGER", "RULE", "POLICY")
	if p.hasName() {
		p.named(&st)
	}
	p.renamed(&st)
	switch {
	case p.scan.dialect == SQLite:
	case located:
		p.location(&st, "ON")
	case st.Verb == "ALTER TABLESPACE":
		st.NoBlock = false
	case database:
		st.NoBlock = p.until("TABLESPACE") // SET TABLESPACE moves the files
	case table:
		st.Concurrent = p.until("CONCURRENTLY") // DETACH PARTITION p CONCURRENTLY
		st.NoBlock = st.Concurrent
	}
	return st
}

// renamed looks for what makes an ALTER give a name to something else.
func (p *parser) renamed(st *Statement) {
	if len(st.Tables) == 0 {
		return
	}
	switch next := p.after(); {
	case p.at("RENAME") && next.is("TO"):
		p.advance()
		p.advance()
		if name, ok := p.name(); ok {
			st.To = Table{Schema: st.Tables[0].Schema, Name: name}
		}
	case p.at("SET") && next.is("SCHEMA"):
		p.advance()
		p.advance()
		if schema, ok := p.name(); ok {
			st.To = Table{Schema: schema, Name: st.Tables[0].Name}
		}
	}
}

// on recognises GRANT … ON [TABLE] name, REVOKE likewise, and COMMENT ON.
func (p *parser) on() Statement {
	st := Statement{Kind: Schema, Verb: verb(p.tok)}
	if !p.until("ON") {
		return st
	}
	p.advance()
	next := p.after()
	if p.accept("TABLE") || next.kind == punct || next.is("TO") || next.is("FROM") {
		if t, ok := p.table(); ok {
			st.Tables = []Table{t}
		}
	}
	return st
}

// triggerBody moves to the end of SQLite's CREATE TRIGGER … BEGIN …; END.
func (p *parser) triggerBody() {
	for !p.end() && !p.at("BEGIN") {
		p.advance()
	}
	if p.end() {
		return
	}
	p.advance()
	for p.tok.kind != eof {
		done := p.is(';')
		p.advance()
		if done && p.at("END") {
			p.advance()
			return
		}
	}
	p.scan.broken = true
}

// routineBody moves to the end of CREATE FUNCTION … BEGIN ATOMIC …; END. What
// another body is written in, PL/pgSQL for one, is a string.
func (p *parser) routineBody() {
	for !p.end() && (!p.at("BEGIN") || !p.after().is("ATOMIC")) {
		p.advance()
	}
	if p.end() {
		return
	}
	p.advance()
	for open := 1; open > 0; p.advance() {
		switch {
		case p.tok.kind == eof:
			p.scan.broken = true
			return
		case p.at("CASE"):
			open++
		case p.at("END"):
			open--
		}
	}
}

// ruleBody moves to the end of CREATE RULE … DO (…; …).
func (p *parser) ruleBody() {
	for p.tok.kind != eof && (p.depth > 0 || !p.is(';')) {
		p.advance()
	}
	p.scan.broken = p.scan.broken || p.depth > 0
}
