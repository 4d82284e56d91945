package driver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// What a handler reads and writes must not take part in the app's serializable
// histories: a reader of the journal can make the server refuse a transaction that
// has written to it. Nor may it be read-only because the app's transactions are by
// default. Where the session's defaults are others than PostgreSQL's, each statement
// that the handler has put into no transaction gets one: on the idle connection that
// it is lent, and on those beside the app's.
//
// They are not set for the session: a pooler may give its connection to others.
const (
	beginReading = "BEGIN ISOLATION LEVEL READ COMMITTED"
	beginApart   = beginReading + " READ WRITE"
	makeWritable = "SET TRANSACTION READ WRITE"
)

// apart reports whether a statement of the borrower needs a transaction around it,
// and notes those that the borrower begins and ends.
func (l *loan) apart(ctx context.Context, query string) bool {
	if l.kind == loanFlush || !l.c.defaults.depart(ctx) {
		return false
	}
	stmts := lex.Parse(l.c.db.lexed, query, "", nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !controls(stmts) {
		return !l.within && !slices.ContainsFunc(stmts, func(s lex.Statement) bool { return s.NoBlock })
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
func (l *loan) beginApart(ctx context.Context) error {
	err := l.c.opt.simple(ctx, beginApart)
	if hooks.SQLState(err) == featureNotSupported {
		err = l.c.opt.simple(ctx, beginReading)
	}
	return err
}

// begin begins a transaction of the borrower's, with PostgreSQL's own defaults.
func (l *loan) begin(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c := l.c
	if !c.defaults.depart(ctx) {
		return c.own.begin(ctx, opts)
	}
	if opts.Isolation == 0 {
		opts.Isolation = driver.IsolationLevel(sql.LevelReadCommitted)
	}
	tx, err := c.own.begin(ctx, opts)
	if err != nil || opts.ReadOnly {
		return tx, err
	}
	if err = c.own.simple(ctx, makeWritable); err == nil {
		return tx, nil
	}
	if e := tx.Rollback(); e != nil || hooks.SQLState(err) != featureNotSupported {
		return nil, errors.Join(err, e)
	}
	return c.own.begin(ctx, opts) // on a hot standby
}

// inside notes whether the borrower has a transaction open.
func (l *loan) inside(is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.within = is
}

// endApart ends the transaction around a statement that ended with err.
func (l *loan) endApart(ctx context.Context, err error) error {
	query := "COMMIT"
	if err != nil {
		query = "ROLLBACK"
	}
	if end := l.c.execOutlasting(ctx, query, l.c.db.reg.cfg.writeTimeout); end != nil {
		l.c.discard()
		err = errors.Join(err, end)
	}
	return err
}
