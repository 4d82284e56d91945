package lex

import (
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/lent"
)

// Session returns the words in query that would change the session for longer than a
// transaction (a setting, a temporary table, a lock), or "". It does not see what
// functions, procedures, triggers and rules do. waits says that query sets how long SQLite
// waits for a lock, which can be put back and is not among these words.
func Session(d Dialect, query string) (words string, waits bool) {
	if !maySession(query) {
		return "", false
	}
	p := newParser(d, query, "")
	for p.open() {
		found, wait := p.session()
		if waits = waits || wait; found != "" {
			return found, waits
		}
		p.close()
	}
	return "", waits
}

// maySession reports false for most statements that read or write data, which need not be
// parsed: they contain none of the words that session looks for.
func maySession(query string) bool {
	for _, keyword := range []string{"select", "insert", "update", "delete", "with"} {
		if begins(strings.TrimLeft(query, " \t\r\n"), keyword) {
			return strings.IndexByte(query, ';') >= 0 || lent.MentionsSession(query)
		}
	}
	return true
}

func (p *parser) session() (words string, waits bool) {
	first := ""
	if p.tok.kind == word {
		first = strings.ToUpper(p.tok.text)
	}
	if first == "SET" {
		if next := p.after(); next.is("LOCAL") || next.is("TRANSACTION") || next.is("CONSTRAINTS") {
			return "", false
		}
		return first, false
	}
	switch p.scan.dialect {
	case SQLite:
		if first == "PRAGMA" {
			return p.pragma()
		}
		if first == "ATTACH" || first == "DETACH" {
			return first, false
		}
	case Postgres:
		words = p.sessionOfPostgres(first)
	default:
		if slices.Contains([]string{"USE", "LOCK", "UNLOCK", "PREPARE", "DEALLOCATE", "HANDLER"}, first) {
			return first, false
		}
	}
	if words == "" {
		words = p.changes()
	}
	return words, false
}

func (p *parser) pragma() (words string, waits bool) {
	name := p.tok
	for !p.end() && !p.is('=') && !p.is('(') {
		name = p.tok
		p.advance()
	}
	switch pragma := lower(name.text); {
	case p.end(), p.is('(') && slices.Contains(asking, pragma):
		return "", false
	case pragma == "busy_timeout":
		return "", true
	default:
		return "PRAGMA " + pragma, false
	}
}

// asking are the pragmas that set nothing with an argument in parentheses.
var asking = []string{
	"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list", "foreign_key_check",
	"integrity_check", "quick_check", "wal_checkpoint", "optimize", "incremental_vacuum",
}

func (p *parser) sessionOfPostgres(first string) string {
	switch first {
	case "RESET", "LISTEN", "UNLISTEN", "DISCARD", "DEALLOCATE", "LOAD":
		return first
	case "PREPARE":
		if !p.after().is("TRANSACTION") {
			return first
		}
	case "CLOSE":
		if p.after().is("ALL") {
			return "CLOSE ALL"
		}
	case "DECLARE":
		if ahead := *p; ahead.until("HOLD") && ahead.prev.is("WITH") {
			return "DECLARE … WITH HOLD"
		}
	}
	return ""
}

// changes looks through the statement in hand, whatever it is, for what makes or names a
// temporary object, calls a function that changes the session, or updates its settings.
func (p *parser) changes() string {
	var before, last token // the two ahead of the one in hand
	updates := false       // the name in hand is of what an UPDATE writes to
	for !p.end() {
		t := p.tok
		if words := p.makesTemporary(before, last); words != "" {
			return words
		}
		if words := p.changesBy(before, last, updates); words != "" {
			return words
		}
		updates = t.is("UPDATE") || updates && (t.is("ONLY") || t.op('.') || p.is('.'))
		before, last = last, t
	}
	return ""
}

// changesBy moves past the token in hand, and returns the words of a name that changes the
// session where it stands.
func (p *parser) changesBy(before, last token, updates bool) string {
	t := p.tok
	if t.kind != word && t.kind != quoted && (t.kind != str || p.scan.dialect != SQLite) {
		p.advance()
		return ""
	}
	name, _ := p.name()
	switch {
	case p.is('.') && p.temporary(name, before, last):
		return name + "." + p.after().text
	case p.is('(') && t.kind != str && p.setsSession(lower(name)):
		return lower(name)
	case updates && name == "pg_settings":
		return "UPDATE pg_settings"
	}
	return ""
}

// makesTemporary returns the words of CREATE [OR REPLACE] [LOCAL] TEMP, and of SELECT INTO
// [LOCAL] TEMP, if the word in hand is the TEMP of one.
func (p *parser) makesTemporary(before, last token) string {
	if !p.atAny("TEMP", "TEMPORARY") {
		return ""
	}
	if last.is("LOCAL") || last.is("GLOBAL") {
		before, last = token{}, before
	}
	switch {
	case last.is("CREATE"), last.is("REPLACE"):
		return "CREATE TEMPORARY"
	case last.is("INTO") && p.scan.dialect == Postgres && !before.is("INSERT") && !before.is("MERGE"):
		return "INTO TEMPORARY"
	}
	return ""
}

// temporary reports whether name, which a dot follows, is the schema of temporary objects.
// On SQLite it may also be that of a table, so there it counts only where a statement makes
// or writes to what it names.
func (p *parser) temporary(name string, before, last token) bool {
	switch p.scan.dialect {
	case Postgres:
		return name == "pg_temp" || strings.HasPrefix(name, "pg_temp_")
	case SQLite:
		target := slices.ContainsFunc([]string{"TABLE", "VIEW", "TRIGGER", "INDEX", "EXISTS", "INTO", "UPDATE"}, last.is) ||
			before.is("OR") || before.is("DELETE") && last.is("FROM")
		return target && lower(name) == "temp"
	}
	return false
}

// setsSession reports whether the function in hand, whose parenthesis is next, changes the
// session. set_config with a plain true lasts for the transaction only.
func (p *parser) setsSession(function string) bool {
	switch p.scan.dialect {
	case Postgres:
		advisory := strings.HasPrefix(function, "pg_advisory_") || strings.HasPrefix(function, "pg_try_advisory_")
		return advisory && !strings.Contains(function, "_xact_") || function == "setseed" ||
			strings.HasPrefix(function, "pg_replication_origin_session_") || function == "set_config" && !p.setsLocally()
	case MySQL:
		return slices.Contains([]string{"get_lock", "release_lock", "release_all_locks"}, function)
	}
	return false
}

// setsLocally reports whether is_local, the third argument of the set_config in hand, is
// the word true and nothing more.
func (p parser) setsLocally() (local bool) {
	base := p.depth
	commas, n := 0, 0 // of arguments so far, and of tokens in this one
	var name, arrow, value token
	p.advance()
	for ; !p.end(); p.advance() {
		if ends := p.depth == base; ends || p.depth == base+1 && p.is(',') {
			plain := n == 1 && commas == 2 || n == 3 && name.is("IS_LOCAL") && (arrow.text == "=>" || arrow.text == ":=")
			if local = local || plain && value.is("TRUE"); ends {
				return local
			}
			commas, n = commas+1, 0
			continue
		}
		n++
		name, arrow, value = arrow, value, p.tok
	}
	return false
}
