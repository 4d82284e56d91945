package driver

import (
	"context"
	"database/sql/driver"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// MySQL and MariaDB have no journal yet: their events are forwarded from memory,
// and no rows decide on what is in doubt. What ends a transaction is therefore
// watched closely: DDL and a second BEGIN commit, a deadlock rolls back and
// leaves a new transaction open, autocommit=0 never is outside one. In front of
// the first event of a transaction the driver sets a savepoint, the witness. If
// its RELEASE fails before the COMMIT, the transaction that the events belong to
// has ended unseen, and how is not known: then they are Unknown, and not
// forwarded.
const (
	mysqlWitnessSet  = "SAVEPOINT aftercommit_witness"
	mysqlWitnessTest = "RELEASE SAVEPOINT aftercommit_witness"
)

func (d mysql) dispatch(ctx context.Context, c *conn, j *job) (answer, error) {
	s := j.stmts
	j.blind = len(s) > 0 && s[0].Looks
	switch {
	case len(s) == 1 && isControl(s[0].Kind):
		return c.control(ctx, j)
	case len(s) == 1 && s[0].Commits:
		more := s[0].EndsUnseen
		a, err := c.committing(ctx, j)
		if more {
			c.settle(ctx, false, err)
			c.deliver(ctx)
		}
		return a, err
	case controls(s), endsUnseen(s), commits(s), len(s) > 1 && (setsModes(s) || j.whole == "" && !onlyReads(s)):
		// Of several that are queried, the failure of a later one may go unread.
		return d.unseen(ctx, c, j)
	case onlyReads(s):
		a, err := j.do(ctx)
		if err != nil {
			d.failed(ctx, c, err)
			return a, err
		}
		if setsModes(s) && !c.defersAsking() {
			c.learnSession(ctx)
		}
		return c.watchRows(a, nil), nil
	default:
		a, err := c.write(ctx, j)
		return c.watchRows(a, nil), err
	}
}

func endsUnseen(stmts []lex.Statement) bool {
	for i := range stmts {
		if stmts[i].EndsUnseen {
			return true
		}
	}
	return false
}

func commits(stmts []lex.Statement) bool {
	for i := range stmts {
		if stmts[i].Commits {
			return true
		}
	}
	return false
}

func setsModes(stmts []lex.Statement) bool {
	for i := range stmts {
		if stmts[i].Modes {
			return true
		}
	}
	return false
}

// watchRows notices when rows are at their end: until then nothing else can be
// sent on the connection.
func (c *conn) watchRows(a answer, after func(error)) answer {
	if a.rows == nil {
		return a
	}
	c.session.reading++
	r := &watchedRows{columns: columns{base: a.rows}, c: c, after: after}
	a.rows = shapeRows(r, r.saw)
	return a
}

// watchedRows are rows of a statement that is not captured.
type watchedRows struct {
	columns
	c     *conn
	after func(error)
	err   error
}

var _ wrappedRows = (*watchedRows)(nil)

func (r *watchedRows) Next(dest []driver.Value) error { return r.saw(r.base.Next(dest)) }

func (r *watchedRows) saw(err error) error {
	if err != nil && mysqlNumber(err) != 0 {
		r.err = err
	}
	return err
}

func (r *watchedRows) NextResultSet() error { return r.saw(r.columns.NextResultSet()) }

func (r *watchedRows) Close() error {
	err := r.base.Close()
	r.c.session.reading--
	_ = r.saw(err)
	switch {
	case r.after != nil:
		r.after(r.err)
	case r.err != nil:
		r.c.db.dialect.failed(context.Background(), r.c, r.err)
	}
	return err
}

// unseen runs what may end the transaction in a way that is not seen: CALL, a
// string of several statements with control words in it, SET autocommit.
func (mysql) unseen(ctx context.Context, c *conn, j *job) (answer, error) {
	reason := "several_statements"
	if len(j.stmts) == 1 {
		reason = "opaque"
	}
	reads := onlyReads(j.stmts)
	a, err := j.do(ctx)
	if err == driver.ErrSkip { //nolint:errorlint // database/sql compares with ==, so drivers return it bare
		return a, err
	}
	c.uncaptured(countWrites(j.stmts), reason)
	if err == nil && a.rows != nil {
		return c.watchRows(a, func(err error) {
			c.settle(context.Background(), reads, err)
			c.deliver(context.Background())
		}), nil
	}
	c.settle(ctx, reads, err)
	c.deliver(ctx)
	return a, err
}

// learnSession is called when the connection is new and after all that may have changed
// its session.
func (c *conn) learnSession(ctx context.Context) {
	if c.session.learn(ctx) {
		c.catalog.forget()
	}
}

// watch looks whether the connection is in a transaction that nothing seen has
// begun, as it always is with autocommit off.
func (c *conn) watch(ctx context.Context) {
	if c.tx.Open() || c.session.reading > 0 || !c.session.watchful || c.db.reg.modeNow() == hooks.Off {
		return
	}
	if c.session.probe(ctx) == stateOpen {
		c.start(ctx)
	}
}

// settle finds out where the connection is after something unseen. What only
// reads, such as FLUSH, may have committed, but has not rolled back.
func (c *conn) settle(ctx context.Context, reads bool, err error) {
	if c.defersAsking() {
		return
	}
	if !c.opt.lostBy(err) {
		c.learnSession(ctx)
	}
	w := witnessOf(c.session.probe(ctx))
	c.applyChanges(c.tx.Found(c.starting(ctx), w, reads && err == nil), err)
}

// committing runs a statement that commits the transaction before it executes. It
// is then autocommitted itself.
func (c *conn) committing(ctx context.Context, j *job) (answer, error) {
	if err := c.lookUp(ctx, j); err != nil {
		return answer{}, err
	}
	if c.tx.Open() {
		own := *j
		j.instead = func(ctx context.Context) (answer, error) {
			a, err := own.do(ctx)
			if err != driver.ErrSkip { //nolint:errorlint // database/sql compares with ==, so drivers return it bare
				c.implicitCommit(ctx, err)
			}
			return a, err
		}
	}
	return c.db.dialect.writeOutside(ctx, c, j)
}

// implicitCommit ends the transaction after a statement that commits it first. Only a
// statement that the server could not parse has not done so.
func (c *conn) implicitCommit(ctx context.Context, err error) {
	if c.defersAsking() {
		return
	}
	outcome := hooks.Committed
	if rollsBack(mysqlNumber(err)) {
		outcome = hooks.Unknown // the COMMIT itself may have failed
	}
	switch s := c.session.probe(ctx); {
	case s == stateUnknown:
		c.end(hooks.Unknown)
		c.discard()
	case s == stateIdle, err == nil:
		c.end(outcome)
	case c.session.watchful: // it is never outside a transaction
		c.end(hooks.Unknown)
	}
	c.deliver(ctx)
}

// writeOutside runs autocommitted statements and forwards their events once they have
// succeeded.
func (mysql) writeOutside(ctx context.Context, c *conn, j *job) (answer, error) {
	j.keepStmts()
	if !c.tx.Open() {
		if err := c.rehearse(ctx, j); err != nil {
			return answer{}, err
		}
	}
	a, err := j.do(ctx)
	switch {
	case err == driver.ErrSkip: //nolint:errorlint // database/sql compares with ==, so drivers return it bare
		return a, err
	case err != nil && len(j.stmts) > 1, c.opt.lostBy(err):
		// Some of them may have taken effect.
		c.uncaptured(countWrites(j.stmts), "failed")
		return a, err
	case err != nil:
		return a, err
	}
	c.capturer.countUnseen(j)
	if !c.capturer.wants(j) || c.tx.Open() {
		return a, nil
	}
	record := c.newRecord()
	captured := c.capturer.capture(ctx, record, j, a.res)
	var n count
	if a.rows != nil {
		n = c.capturer.newCount(record, a.rows, captured)
	}
	return c.answerThen(a, n, func() error { return c.writeAfter(ctx, record) })
}

// begun follows a BEGIN, which commits a transaction that is open.
func (c *conn) begun(ctx context.Context, err error) {
	switch {
	case err == nil:
		if c.tx.Open() {
			c.end(hooks.Committed)
		}
		c.start(ctx)
	case c.opt.lostBy(err) && c.tx.Open():
		c.end(hooks.Unknown)
		c.discard()
	}
}
