package driver

import (
	"context"
	"errors"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// What a handler reads and writes on the idle connection that it is lent must not
// take part in the app's serializable histories: a reader of the journal can make
// the server refuse a transaction that has written to it. Where the session's
// default is another level than read committed, each statement that the handler
// has put into no transaction gets one.
const (
	beginReading  = "BEGIN ISOLATION LEVEL READ COMMITTED"
	beginApart    = beginReading + " READ WRITE"
	isolationShow = "SHOW default_transaction_isolation" // no SELECT: a standby refuses them where it is serializable
	readCommitted = "read committed"
)

// isolates reports whether the session's default may be another level. It is
// asked once per database; SET of the session's default is seen.
func (c *conn) isolates(ctx context.Context) bool {
	if !c.postgres() {
		return false
	}
	c.db.learnt.Do(func() {
		level := readCommitted
		_ = c.read(ctx, isolationShow, nil, func(row []string) { level = row[0] }) // what fails will fail again
		c.db.isolates.Store(level != readCommitted)
	})
	return c.isolated || c.db.isolates.Load()
}

// noteIsolation is called with statements that the app has sent.
func (c *conn) noteIsolation(stmts []lex.Statement) {
	for i := range stmts {
		c.isolated = c.isolated || stmts[i].Isolates
	}
}

// apart reports whether a statement of the borrower needs a read committed
// transaction around it, and notes those that the borrower begins and ends.
func (l *lease) apart(ctx context.Context, query string) bool {
	if l.kind != leaseIdle || !l.c.isolates(ctx) {
		return false
	}
	stmts := lex.Parse(l.c.db.lexed, query, "", nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !controls(stmts) {
		return !l.within
	}
	for i := range stmts {
		switch stmts[i].Kind {
		case lex.Begin:
			l.within = true
		case lex.Commit, lex.Rollback:
			l.within = stmts[i].Chain
		}
	}
	return false
}

// beginApart begins that transaction. A hot standby refuses READ WRITE, and has
// begun nothing then.
func (l *lease) beginApart(ctx context.Context) error {
	err := l.c.word(ctx, beginApart)
	if hooks.SQLState(err) == stateUnsupported {
		err = l.c.word(ctx, beginReading)
	}
	return err
}

const stateUnsupported = "0A000" // feature_not_supported

// inside notes whether the borrower has a transaction open.
func (l *lease) inside(is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.within = is
}

// close ends the transaction around a statement that ended with err.
func (l *lease) close(ctx context.Context, err error) error {
	query := "COMMIT"
	if err != nil {
		query = "ROLLBACK"
	}
	if end := l.c.lastly(ctx, query, l.c.db.reg.cfg.writeTimeout); end != nil {
		l.c.discard()
		err = errors.Join(err, end)
	}
	return err
}
