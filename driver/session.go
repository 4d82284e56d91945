package driver

import (
	"fmt"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// What a forwarder changes in the session of the app's idle connection would stay with the
// app. Statements that plainly change it are refused, because undoing them would cost each
// commit a round trip. A connection that is left in a transaction is given up.

// admits returns an error if query would change the session.
func (l *lease) admits(query string) error {
	if l.kind != leaseIdle {
		return nil
	}
	words := lex.Session(l.c.db.lexed, query)
	if words == "" {
		return nil
	}
	return fmt.Errorf("driver: %s would stay with the app's connection, which is lent until the call returns: "+
		"use what ends with a transaction, such as SET LOCAL, or open a separate database", words)
}

// ran notes whether a statement of the borrower has left a transaction open.
func (l *lease) ran(query string, err error) {
	if l.kind != leaseIdle || err != nil || lex.Plain(query) {
		return
	}
	stmts := lex.Parse(l.c.db.lexed, query, "", nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range stmts {
		switch s := &stmts[i]; s.Kind {
		case lex.Begin:
			l.open = true
		case lex.Commit, lex.Rollback:
			l.open = s.Chain
		}
	}
}
