package lex

import (
	"slices"
	"strings"
)

// Session returns the words of a statement in query that would stay with the session
// after its transaction: a setting, a temporary table, a lock; "" if there is none. What
// a function does, it does not see, and a string that it cannot read has none.
func Session(d Dialect, query string) string {
	if !maySession(query) {
		return ""
	}
	p := newParser(d, query, "")
	for p.open() {
		if words := p.session(); words != "" {
			return words
		}
		p.close()
	}
	return ""
}

// maySession spares most statements the parser: those that write or read data, and call
// nothing that locks or sets.
func maySession(query string) bool {
	for _, keyword := range []string{"select", "insert", "update", "delete", "with"} {
		if begins(strings.TrimLeft(query, " \t\r\n"), keyword) {
			return strings.IndexByte(query, ';') >= 0 || mentions(query, "lock") || mentions(query, "set_config") || mentions(query, "temp")
		}
	}
	return true
}

func (p *parser) session() string {
	first := strings.ToUpper(p.tok.text)
	switch {
	case p.tok.kind != word:
		return ""
	case p.at("CREATE"):
		p.advance()
		if p.acceptAny("LOCAL", "GLOBAL"); p.atAny("TEMP", "TEMPORARY") {
			return "CREATE TEMPORARY"
		}
		return ""
	case p.at("SET"):
		p.advance()
		if p.atAny("LOCAL", "TRANSACTION", "CONSTRAINTS") {
			return ""
		}
		return first
	}
	switch p.scan.dialect {
	case SQLite:
		return p.sessionOfSQLite(first)
	case Postgres, Escapes:
		return p.sessionOfPostgres(first)
	}
	if slices.Contains([]string{"USE", "LOCK"}, first) {
		return first
	}
	return p.calls("GET_LOCK")
}

func (p *parser) sessionOfSQLite(first string) string {
	switch first {
	case "ATTACH", "DETACH":
		return first
	case "PRAGMA":
		name := p.tok
		for !p.end() && !p.is('=') && !p.is('(') {
			name = p.tok
			p.advance()
		}
		// That of a lock's patience is set and restored by what makes our tables.
		if p.end() || name.is("BUSY_TIMEOUT") || p.is('(') && slices.Contains(asking, lower(name.text)) {
			return ""
		}
		return "PRAGMA " + lower(name.text)
	}
	return ""
}

// asking are the pragmas whose bracket holds a question.
var asking = []string{
	"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list", "foreign_key_check",
	"integrity_check", "quick_check", "wal_checkpoint", "optimize", "incremental_vacuum",
}

func (p *parser) sessionOfPostgres(first string) string {
	switch first {
	case "RESET", "LISTEN", "UNLISTEN", "DISCARD", "DEALLOCATE", "LOAD":
		return first
	case "PREPARE":
		if p.advance(); p.at("TRANSACTION") {
			return ""
		}
		return first
	case "DECLARE":
		if p.until("HOLD") && p.prev.is("WITH") {
			return "DECLARE … WITH HOLD"
		}
		return ""
	}
	return p.calls("PG_ADVISORY_LOCK", "PG_ADVISORY_LOCK_SHARED", "PG_TRY_ADVISORY_LOCK", "PG_TRY_ADVISORY_LOCK_SHARED", "SET_CONFIG")
}

// calls returns the first of the functions that the statement in hand calls, and "INTO
// TEMPORARY" if it makes such a table. set_config with a plain true is the transaction's.
func (p *parser) calls(functions ...string) string {
	for ; !p.end(); p.advance() {
		if p.tok.is("INTO") && (p.after().is("TEMP") || p.after().is("TEMPORARY")) {
			return "INTO TEMPORARY"
		}
		name := strings.ToUpper(p.tok.text)
		if p.tok.kind != word && p.tok.kind != quoted || !p.after().op('(') || !slices.Contains(functions, name) {
			continue
		}
		if name == "SET_CONFIG" && p.setsLocally() {
			continue
		}
		return lower(name)
	}
	return ""
}

// setsLocally reports whether the last argument of the call in hand is true.
func (p *parser) setsLocally() bool {
	base := p.depth
	p.advance()
	last := p.tok
	for p.advance(); !p.end() && p.depth > base; p.advance() {
		last = p.tok
	}
	return last.is("TRUE")
}
