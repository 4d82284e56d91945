package driver

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// PostgreSQL refuses SET TRANSACTION ISOLATION LEVEL and its like once the
// transaction has had a query, and the first query decides what a REPEATABLE READ
// transaction sees: after a LOCK in the same string, not before it. Only SHOW answers
// without a snapshot, so the catalog must not be asked before such a string. What
// leads it is executed first, and the catalog asked after that.

// lead executes the statements that lead j's string, if one of them has to be ahead of
// any query. j is the rest then. Where the string cannot be cut, the catalog is asked
// after it.
func (c *conn) lead(ctx context.Context, j *job) error {
	n := leads(j.stmts)
	if n == 0 || !c.tx.Open() || !c.is.firstQuery || c.tx.Mode == hooks.Off || c.db.reg.cfg.rules == nil && c.tx.IsEmpty() {
		return nil
	}
	text := j.whole + j.asked // one of them is empty
	parts := lex.Split(c.db.lexed, text)
	stays := func(s lex.Statement) bool { return s.Lead == lex.LeadStays }
	refused := j.asked != "" && c.capturer.replays(j) // a driver that prepares a Query refuses several statements
	if refused || len(parts) != len(j.stmts) || strings.Contains(text, `\`) || slices.ContainsFunc(j.stmts[:n], stays) {
		j.blind = true
		return nil
	}
	j.stmts = slices.Clone(j.stmts)
	first := strings.Join(parts[:n], "")
	if err := c.opt.simple(ctx, first); err != nil {
		return err
	}
	if isMoving(j.stmts[:n]) {
		c.catalog.moved(false)
	}
	// Positions in the server's errors remain those in the app's string.
	rest := strings.Repeat(" ", utf8.RuneCountInString(first)) + text[len(first):]
	j.stmts = j.stmts[n:]
	j.text = rest
	if j.whole != "" {
		j.whole = rest
	} else {
		j.asked = rest
	}
	return nil
}

// leads returns how many statements lead a string, up to the last that has to be ahead
// of any query; 0 if none has.
func leads(stmts []lex.Statement) (n int) {
	for i := range stmts {
		switch stmts[i].Lead {
		case lex.NoLead:
			return n
		case lex.LeadFirst:
			n = i + 1
		}
	}
	return n
}
