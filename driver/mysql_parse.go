package driver

import (
	"context"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// parse recognises statements as the server will read them. What depends on
// sql_mode it asks for each time; what depends on the server's version counts as
// unseen.
func (mysql) parse(ctx context.Context, p *parser, query string, dst []lex.Statement, asks bool) []lex.Statement {
	if lex.Plain(query) {
		return append(dst, lex.Statement{})
	}
	key, reading := p.key, p.lexed
	stmts, looks := lex.Parse(reading, query, key, dst), lex.LooksBack(query)
	if lex.AmbiguousMySQL(query, key, stmts) {
		mode, known := "", false
		if p.session.reading == 0 && !looks && asks {
			bounded, cancel := p.own.unhurried(ctx)
			_ = p.own.read(bounded, "SELECT @@sql_mode, @@character_set_client", nil, func(row []string) {
				mode, known = row[0], !hidesBackslash(row[1])
			}) // what fails leaves it unknown
			cancel()
		}
		if !known {
			return append(dst[:0], unseenStatement)
		}
		reading = lex.MySQLDialect(mode)
		stmts = lex.Parse(reading, query, key, nil)
	}
	if lex.Conditional(reading, query, key, stmts) {
		return append(dst[:0], unseenStatement)
	}
	for i := range stmts {
		stmts[i].Looks = looks
	}
	return stmts
}

// hidesBackslash reports whether a character of that set may have a backslash as
// its second byte, which then escapes nothing.
func hidesBackslash(charset string) bool {
	switch charset {
	case "big5", "cp932", "gbk", "gb18030", "sjis":
		return true
	}
	return false
}

var unseenStatement = lex.Statement{Kind: lex.Opaque, EndsUnseen: true}
