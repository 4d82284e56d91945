package lex

import "slices"

// What a name without a schema means depends on settings of the session, which
// these statements change: Statement.Path. Another one makes the transaction
// read-only: Statement.Restricts.

// set recognises SET and RESET of what decides on names: the path itself, and the
// role, whose rights it goes by; and SET TRANSACTION.
func (p *parser) set() Statement {
	p.advance()
	p.acceptAny("SESSION", "LOCAL")
	lead := p.leadOfSet()
	st := p.setting()
	st.Lead = lead
	return st
}

// setting recognises what is set.
func (p *parser) setting() Statement {
	if p.tok.form == 'U' { // a name in escapes may be any
		return Statement{Path: true, Restricts: true, Defaults: true}
	}
	if p.at("TRANSACTION") || p.names(readOnlySetting) {
		return Statement{Restricts: true}
	}
	if p.at("CHARACTERISTICS") || p.names("default_transaction_isolation") || p.names("default_transaction_read_only") {
		return Statement{Defaults: true}
	}
	for _, setting := range pathSettings {
		if p.names(setting) {
			return Statement{Path: true}
		}
	}
	return Statement{Path: p.atAny("SCHEMA", "AUTHORIZATION", "ALL")}
}

const readOnlySetting = "transaction_read_only"

var pathSettings = []string{"search_path", "role", "session_authorization"}

// discard recognises DISCARD and DEALLOCATE. With ALL they drop what the session has
// prepared.
func (p *parser) discard() Statement {
	discards := p.at("DISCARD")
	p.advance()
	p.accept("PREPARE")
	all := p.at("ALL")
	return Statement{NoBlock: discards && all, Path: discards || all, Unprepares: all}
}

// configures recognises calls of set_config in the SELECT in hand, for one of
// these settings or one that is not plain to see.
func (p *parser) configures() (path, restricts bool) {
	for ahead := *p; !ahead.end(); ahead.advance() {
		if !ahead.names("set_config") && ahead.tok.form != 'U' || !ahead.after().op('(') {
			continue
		}
		ahead.advance()
		ahead.advance()
		if ahead.tok.kind != str {
			return true, true
		}
		setting := lower(literal(ahead.tok))
		path = path || slices.Contains(pathSettings, setting)
		restricts = restricts || setting == readOnlySetting
	}
	return path, restricts
}

// settings reports whether t is the view through which an UPDATE changes settings.
func (p *parser) settings(t Table) bool {
	return p.scan.dialect == Postgres && t.Name == "pg_settings" && (t.Schema == "" || t.Schema == "pg_catalog")
}

// callsConfig reports whether what stands behind SELECT may be a call of
// set_config, which Plain does not look into.
func callsConfig(s string) bool {
	for s != "" {
		switch s[0] {
		case ' ', '\n', '\t', '\r', '\f', '\v', '(', '"':
			s = s[1:]
			continue
		case '-', '/':
			n := commentEnd(s)
			if n == 0 {
				return s[0] == '-' && hasPrefix(s, "--") || hasPrefix(s, "/*") // one that Parse knows how to read
			}
			s = s[n:]
			continue
		}
		switch s[0] | 0x20 {
		case 's':
			return hasPrefix(s, "set_config")
		case 'p':
			return hasPrefix(s, "pg_catalog")
		case 'u':
			return hasPrefix(s, `u&"`)
		case 'a':
			if !begins(s, "all") {
				return false
			}
			s = s[len("all"):]
		case 'd':
			if !begins(s, "distinct") {
				return false
			}
			s = s[len("distinct"):]
		default:
			return false
		}
	}
	return false
}

// hasPrefix compares without case. A word may go on behind the prefix: then
// Parse has to look at it for nothing.
func hasPrefix(s, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if upper(s[i]) != upper(prefix[i]) {
			return false
		}
	}
	return true
}
