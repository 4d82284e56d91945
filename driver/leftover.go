package driver

import (
	"context"
	"fmt"
	"strconv"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// What a forwarder changes in the session of the app's connection would stay with the
// app. Statements that plainly change it are refused, because undoing them would cost each
// commit a round trip. A connection is given up where a transaction is left open on it, or
// where a statement may have changed the session unseen.

// leftover is what the borrower of an idle connection may have left behind on it.
type leftover struct {
	open     bool   // a transaction
	unseen   bool   // what a CALL, a DO or an EXECUTE has done
	doubt    bool   // SQLite: perhaps a transaction, which has to be asked
	patience string // SQLite: the app's busy_timeout in ms, if the borrower has set it
}

// admits returns an error if query would change the session. In a flush it lets the first
// statement through: that is the journal's.
func (l *loan) admits(ctx context.Context, query string) error {
	if l.kind == loanBeside || l.kind == loanFlush && l.guards() {
		return nil
	}
	words, waits := lex.Session(l.c.db.lexed, query)
	if words == "" && l.kind == loanFlush {
		words = endsTransaction(l.c.parseLent(query))
	}
	if words != "" {
		return fmt.Errorf("driver: %s would change the session or transaction of the app's connection, which is lent until the call returns: "+
			"use what ends with a transaction, such as SET LOCAL, or open a separate database", words)
	}
	if waits {
		l.keepPatience(ctx)
	}
	return nil
}

// guards reports whether nothing has been executed yet.
func (l *loan) guards() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.guard != ""
}

func (c *conn) parseLent(query string) []lex.Statement {
	if lex.Plain(query) {
		return nil
	}
	return lex.Parse(c.db.lexed, query, "", nil)
}

// endsTransaction returns the words of the first statement that begins or ends a
// transaction.
func endsTransaction(stmts []lex.Statement) string {
	for i := range stmts {
		switch stmts[i].Kind {
		case lex.Begin:
			return "BEGIN"
		case lex.Commit:
			return "COMMIT"
		case lex.Rollback:
			return "ROLLBACK"
		case lex.Prepare:
			return "PREPARE TRANSACTION"
		}
	}
	return ""
}

// ran notes what a statement of the borrower may have left behind.
func (l *loan) ran(query string, err error) {
	if l.kind != loanIdle {
		return
	}
	stmts := l.c.parseLent(query)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range stmts {
		s := &stmts[i]
		l.left.doubt = l.left.doubt || isControl(s.Kind)
		switch s.Kind {
		case lex.Begin: // a string that fails may have failed behind it
			l.left.open = l.left.open || err == nil || len(stmts) > 1
		case lex.Commit, lex.Rollback:
			l.left.open = err != nil && l.left.open || s.Chain
		case lex.Opaque:
			// A DO makes our tables.
			l.left.unseen = l.left.unseen || !l.setup && l.c.is.procedures
		}
	}
}

// ended notes that a transaction of the borrower's has ended with err, if any: SQLite keeps
// one whose COMMIT fails.
func (l *loan) ended(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left.doubt = l.left.doubt || err != nil
}

// keepPatience notes the busy_timeout of the app's SQLite connection before the borrower
// changes it.
func (l *loan) keepPatience(ctx context.Context) {
	ms, known := l.c.own.number(ctx, "PRAGMA busy_timeout")
	l.mu.Lock()
	defer l.mu.Unlock()
	if known && l.left.patience == "" {
		l.left.patience = strconv.FormatInt(ms, 10)
	}
}

// cleanUp is called when the borrower uses the connection no more. It puts back what it
// can, and gives the connection up where it cannot.
func (c *conn) cleanUp(ctx context.Context, left leftover) {
	switch {
	case c.bad:
	case c.is.local && left.doubt && c.session.probe(ctx) != stateIdle,
		!c.is.local && left.open,
		left.unseen,
		left.patience != "" && c.own.simple(ctx, "PRAGMA busy_timeout = "+left.patience) != nil:
		c.discard()
	}
}
