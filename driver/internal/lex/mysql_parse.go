package lex

// mysql recognises a statement of MySQL or MariaDB. What is not known may be a
// compound statement, which MariaDB executes outside routines, too.
func (p *parser) mysql(first []byte) Statement {
	switch string(first) {
	case "SELECT", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "HELP", "CHECKSUM", "HANDLER", "DO", "KILL",
		"SIGNAL", "RESIGNAL", "GET", "PREPARE", "DEALLOCATE":
		return Statement{}
	case "USE":
		return Statement{Path: true, EndsUnseen: true}
	case "EXPLAIN":
		return p.mysqlExplain()
	case "WITH":
		return p.mysqlWith()
	case "SET":
		return p.mysqlSet()
	case "INSERT", "REPLACE":
		return p.mysqlInsert()
	case "UPDATE":
		return p.mysqlUpdate()
	case "DELETE":
		return p.mysqlDelete()
	case "LOAD":
		return p.load()
	case "TRUNCATE":
		st := p.truncate()
		st.Commits = true
		return st
	case "CREATE", "DROP", "ALTER", "RENAME":
		return p.mysqlSchema(string(first))
	case "GRANT", "REVOKE", "INSTALL", "UNINSTALL":
		return Statement{Kind: Schema, Verb: verb(p.tok), Commits: true}
	case "LOCK":
		return Statement{Commits: true}
	case "UNLOCK", "FLUSH", "RESET", "CHECK", "OPTIMIZE", "REPAIR", "CACHE", "STOP", "CHANGE", "PURGE", "BACKUP":
		return Statement{EndsUnseen: true}
	case "ANALYZE":
		if next := p.after(); next.is("TABLE") || next.is("LOCAL") || next.is("NO_WRITE_TO_BINLOG") {
			return Statement{EndsUnseen: true}
		}
	case "CALL", "EXECUTE", "XA":
		return p.unseen()
	}
	return p.compound()
}

// mysqlControl recognises transaction control.
func (p *parser) mysqlControl(first []byte) (Statement, bool) {
	switch string(first) {
	case "BEGIN":
		next := p.after()
		return Statement{Kind: Begin}, next.kind == eof || next.op(';') || next.is("WORK")
	case "START":
		if p.after().is("TRANSACTION") {
			return Statement{Kind: Begin}, true
		}
		return Statement{EndsUnseen: true}, true
	}
	return p.commonControl(first)
}

// unseen is a statement that may do anything.
func (p *parser) unseen() Statement {
	st := p.opaque()
	st.EndsUnseen = true
	return st
}

// compound is a statement that may have others in it, to the end of the query.
func (p *parser) compound() Statement {
	st := p.unseen()
	p.finish()
	return st
}

// finish moves to the end of the query, and reports whether that has more behind
// a semicolon.
func (p *parser) finish() (more bool) {
	for p.tok.kind != eof {
		semicolon := p.is(';')
		p.advance()
		more = more || semicolon && p.tok.kind != eof
	}
	return more
}

// mysqlExplain recognises an EXPLAIN: with ANALYZE it runs what it explains.
func (p *parser) mysqlExplain() Statement {
	st := p.unseen()
	p.advance()
	if !p.accept("ANALYZE") {
		return Statement{}
	}
	for !p.end() && !p.atAny("SELECT", "TABLE", "UPDATE", "DELETE", "INSERT", "REPLACE", "WITH") {
		p.advance()
	}
	if p.atAny("SELECT", "TABLE") {
		return Statement{}
	}
	return st
}

// mysqlWith recognises a WITH: its expressions only read.
func (p *parser) mysqlWith() Statement {
	failed := p.unseen()
	for !p.end() {
		switch {
		case p.nested():
		case p.at("SELECT"):
			return Statement{}
		case p.at("UPDATE"):
			return p.mysqlUpdate()
		case p.at("DELETE"):
			return p.mysqlDelete()
		case p.atAny("INSERT", "REPLACE"):
			return p.mysqlInsert()
		}
		p.advance()
	}
	return failed
}

// mysqlSet recognises a SET. That of autocommit may commit, and so does that of a
// password; SET STATEMENT … FOR has another statement in it.
func (p *parser) mysqlSet() Statement {
	st := p.unseen()
	p.advance()
	switch {
	case p.at("STATEMENT"):
		return st
	case p.at("PASSWORD"):
		return Statement{Kind: Schema, Verb: "SET PASSWORD", Commits: true}
	}
	set := Statement{}
	for ; !p.end(); p.advance() {
		set.EndsUnseen = set.EndsUnseen || p.names("autocommit") || p.names("completion_type")
		set.Modes = set.Modes || p.names("sql_mode") || p.names("character_set_client") || p.atAny("NAMES", "CHARSET", "CHARACTER")
	}
	return set
}

// mysqlSchema recognises DDL, which commits, unless it makes or drops a temporary
// table. The body of a routine has semicolons of its own.
func (p *parser) mysqlSchema(first string) Statement {
	st := p.object(first)
	st.Commits = !st.Temporary || first != "CREATE" && first != "DROP"
	located := p.at("INDEX")
	plain := p.atAny("TABLE", "INDEX", "VIEW", "SEQUENCE", "DATABASE", "SCHEMA", "USER", "ROLE")
	if p.hasName() {
		p.named(&st)
	}
	switch {
	case located:
		p.location(&st, "ON")
	case !plain && first != "DROP":
		st.EndsUnseen = p.finish()
	case first == "DROP", first == "RENAME":
		p.further(&st)
	}
	return st
}

// further reads the names behind the first: DROP TABLE a, b; RENAME TABLE a TO b, c
// TO d.
func (p *parser) further(st *Statement) {
	for !p.end() {
		if p.is(',') || p.at("TO") {
			p.advance()
			if t, ok := p.table(); ok {
				st.Tables = append(st.Tables, t)
				continue
			}
		}
		p.advance()
	}
}
