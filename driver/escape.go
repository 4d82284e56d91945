package driver

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
)

// conformingStrings is the setting that decides whether a backslash escapes the
// quote behind it in a plain string, and so where that ends. A database, a role, a
// DSN, a SET, a function can change it.
const conformingStrings = "standard_conforming_strings"

// WithParameter is for a base driver of PostgreSQL that hands on what the server
// reports of a setting, and reports again when it changes (PostgreSQL manual,
// section 55.2.7); "" is for one that is not known. The function gets the base
// driver's connection and, where that is a wrapper that shows what it wraps, what is
// below. The driver then does not have to ask how it must read a statement with a
// backslash in a string. Package driver/pgxdriver does this for pgx.
func WithParameter(parameter func(base driver.Conn, name string) string) Option {
	return func(c *config) error {
		if parameter == nil {
			return errors.New("WithParameter of nil")
		}
		c.parameter = parameter
		return nil
	}
}

// parse recognises the statements of a query as PostgreSQL will read it. Where that
// depends on a setting, which is rare, it is asked for each time: the driver does not
// see every way in which it changes.
func (postgres) parse(ctx context.Context, p *parser, query string, dst []lex.Statement, asks bool) []lex.Statement {
	stmts := lex.Parse(p.lexed, query, p.key, dst)
	if !asks {
		return stmts
	}
	escaped, ambiguous := lex.Ambiguous(query, p.key, stmts)
	if !ambiguous {
		return stmts
	}
	switch p.own.stringsConform(ctx) {
	case "on":
		return stmts
	case "off":
		return escaped
	default:
		return uncertain(stmts, escaped)
	}
}

// stringsConform is the setting, or "" if the server does not say: in a
// transaction that has failed it answers nothing.
func (q *querier) stringsConform(ctx context.Context) string {
	if p := q.cfg.parameter; p != nil {
		for base := range layers(q.conn) {
			if s := p(base, conformingStrings); s != "" {
				return s
			}
		}
	}
	if isBusy(q.conn) {
		return ""
	}
	ctx, cancel := q.unhurried(ctx)
	defer cancel()
	setting := ""
	// SHOW takes no snapshot: SET TRANSACTION may be the next statement.
	err := q.read(ctx, "SHOW "+conformingStrings, nil, func(row []string) { setting = row[0] })
	if err != nil {
		return ""
	}
	return setting
}

// uncertain is what to make of a query that has two readings: something that may
// write, and may control transactions unseen if it does so in either. The reading
// that ends the transaction is the one to be prepared for.
func uncertain(a, b []lex.Statement) []lex.Statement {
	stmts := a
	if !txn.BeginsOrEnds(a) && controls(b) {
		stmts = b
	}
	if !controls(stmts) {
		stmts = nil
	}
	return append(slices.Clone(stmts), lex.Statement{Kind: lex.Opaque})
}
