package sqltest

import (
	"strings"
)

// splitSQL cuts a query string at its semicolons. Comments, quotes and dollar
// quotes are skipped, comments dropped, and empty statements left out.
func splitSQL(query string) []string {
	var stmts []string
	var b strings.Builder
	flush := func() {
		if s := strings.TrimSpace(b.String()); s != "" {
			stmts = append(stmts, s)
		}
		b.Reset()
	}
	for query != "" {
		n, comment := token(query)
		switch {
		case comment:
			b.WriteByte(' ')
		case query[:n] == ";":
			flush()
		default:
			b.WriteString(query[:n])
		}
		query = query[n:]
	}
	flush()
	return stmts
}

// token returns the length of the first token of s: a comment, something
// quoted, or one byte.
func token(s string) (n int, comment bool) {
	switch {
	case strings.HasPrefix(s, "--"):
		return until(s, 2, "\n"), true
	case strings.HasPrefix(s, "/*"):
		return until(s, 2, "*/"), true
	case s[0] == '\'' || s[0] == '"' || s[0] == '`':
		return until(s, 1, s[:1]), false
	case s[0] == '$':
		if i := strings.IndexByte(s[1:], '$'); i >= 0 && dollarTag(s[1:1+i]) {
			return until(s, i+2, s[:i+2]), false
		}
	}
	return 1, false
}

// until returns the length of s up to and with end, which is looked for from
// the offset; all of s where it is missing.
func until(s string, offset int, end string) int {
	if i := strings.Index(s[offset:], end); i >= 0 {
		return offset + i + len(end)
	}
	return len(s)
}

func dollarTag(s string) bool {
	return s == "" || s[0] > '9' && !strings.ContainsAny(s, " \t\n,;()=")
}

// countParams returns how many arguments a statement takes: question marks,
// and distinct $1, ?1, :name, @name.
func countParams(query string) int {
	marks, named := 0, map[string]bool{}
	for query != "" {
		n, comment := token(query)
		if comment || n > 1 {
			query = query[n:]
			continue
		}
		word := wordLen(query[1:])
		switch c := query[0]; {
		case strings.HasPrefix(query, "::"):
			n = 2 + wordLen(query[2:])
		case c == '?' && word == 0:
			marks++
		case strings.IndexByte("?$:@", c) >= 0 && word > 0:
			named[query[:1+word]] = true
			n = 1 + word
		}
		query = query[n:]
	}
	return marks + len(named)
}

// asksCatalog reports whether a query is for the database's catalog, in which the
// fake has nothing.
func asksCatalog(query string) bool {
	return strings.Contains(query, "pg_catalog.") || strings.Contains(query, "sqlite_master") ||
		strings.Contains(query, "sqlite_temp_master") || strings.HasPrefix(query, "PRAGMA database_list") ||
		strings.HasPrefix(query, "SHOW default_transaction_") || strings.HasPrefix(query, "SHOW CREATE TABLE") ||
		strings.Contains(query, "information_schema.")
}

func wordLen(s string) int {
	rest := strings.TrimLeft(s, "_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	return len(s) - len(rest)
}

type verb uint8

const (
	other verb = iota
	begin
	commit
	rollback
	savepoint
	release
	rollbackTo
	prepareTx
	commitPrepared
	rollbackPrepared
)

// control reads one statement's transaction control: what it does, to which
// savepoint or prepared transaction, and whether it chains.
func control(stmt string) (v verb, name string, chain bool) {
	words := strings.Fields(stmt)
	at := func(i int) string {
		if i < len(words) {
			return strings.ToUpper(words[i])
		}
		return ""
	}
	chain = len(words) > 2 && at(len(words)-2) == "AND" && at(len(words)-1) == "CHAIN"
	last := words[len(words)-1]
	switch first, second := at(0), at(1); {
	case first == "BEGIN", first == "START" && second == "TRANSACTION":
		return begin, "", false
	case first == "COMMIT" && second == "PREPARED":
		return commitPrepared, last, false
	case first == "ROLLBACK" && second == "PREPARED":
		return rollbackPrepared, last, false
	case first == "PREPARE" && second == "TRANSACTION":
		return prepareTx, last, false
	case first == "COMMIT", first == "END":
		return commit, "", chain
	case first == "ROLLBACK" && (second == "TO" || at(2) == "TO"):
		return rollbackTo, fold(last), false
	case first == "ROLLBACK", first == "ABORT":
		return rollback, "", chain
	case first == "SAVEPOINT":
		return savepoint, fold(last), false
	case first == "RELEASE":
		return release, fold(last), false
	}
	return other, "", false
}

// fold makes a name lower case, unless it is quoted.
func fold(name string) string {
	if strings.HasPrefix(name, `"`) {
		return strings.Trim(name, `"`)
	}
	return strings.ToLower(name)
}
