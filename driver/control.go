package driver

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// control runs one statement of transaction control that the app sent itself.
func (c *conn) control(ctx context.Context, j job) (answer, error) {
	s := j.stmts[0]
	if !c.open && (s.Kind == lex.Begin || s.Kind == lex.Savepoint) {
		if err := c.ready(ctx); err != nil {
			return answer{}, err
		}
	}
	if s.Kind != lex.Begin && c.sqlite() && ctx.Err() == nil {
		// SQLite drivers may report a statement that took effect as
		// interrupted, and then nobody could tell the state.
		ctx = context.WithoutCancel(ctx)
	}
	var a answer
	run := func() (err error) {
		a, err = j.do(ctx)
		if err == nil && a.rows != nil {
			a.rows, err = drainControl(a.rows)
		}
		return err
	}
	err := c.runControl(ctx, &s, run)
	c.deliver(ctx)
	if err != nil {
		return answer{}, err
	}
	return a, nil
}

func (c *conn) runControl(ctx context.Context, s *lex.Statement, run func() error) error {
	switch s.Kind {
	case lex.Begin:
		err := run()
		if c.mysql() {
			c.beginMySQL(ctx, err)
			return err
		}
		if err == nil && !c.open {
			c.start(ctx)
		}
		return err
	case lex.Commit, lex.Prepare:
		return c.rawCommit(ctx, s, run)
	case lex.Rollback:
		return c.rawRollback(ctx, s, run)
	case lex.Savepoint, lex.Release, lex.RollbackTo:
		return c.rawSavepoint(ctx, s, run)
	default: // COMMIT PREPARED and ROLLBACK PREPARED end somebody's transaction, not this one
		return run()
	}
}

func (c *conn) rawCommit(ctx context.Context, s *lex.Statement, run func() error) error {
	if !c.open {
		return run()
	}
	e := c.ownEnding(ctx)
	e.run, e.prepares, e.chains = run, s.Kind == lex.Prepare, s.Chain
	began := c.tx.ctx
	err := c.commit(ctx, e)
	if err == nil && s.Chain && !c.open {
		c.start(began) // the next transaction is the same caller's
	}
	return err
}

func (c *conn) rawRollback(ctx context.Context, s *lex.Statement, run func() error) error {
	c.beforeRollback(ctx)
	err := run()
	if !c.open {
		return err
	}
	began := c.tx.ctx
	c.rolledBack(ctx, err)
	if err == nil && s.Chain {
		c.start(began)
	}
	return err
}

func (c *conn) rawSavepoint(ctx context.Context, s *lex.Statement, run func() error) error {
	if s.Kind == lex.Release && c.open && c.releasesAll(s.Name) {
		return c.rawCommit(ctx, s, run)
	}
	if c.open && s.Kind != lex.Savepoint && c.tx.doubtful(s.Name) {
		return c.doubtfulSavepoint(ctx, s, run)
	}
	if err := run(); err != nil {
		if c.open {
			c.afterFailure(ctx, err)
		}
		return err
	}
	if !c.open {
		if !c.sqlite() || s.Kind != lex.Savepoint {
			return nil
		}
		c.startBySavepoint(ctx, s.Name)
		return nil
	}
	mark := c.tx.find(s.Name)
	if c.mysql() && s.Kind == lex.Savepoint {
		c.tx.replace(mark)
	}
	c.applySavepoint(s)
	if c.mysql() && s.Kind != lex.Savepoint {
		c.keepWitness(ctx, mark)
	}
	return nil
}

// startBySavepoint: on SQLite a savepoint outside any transaction begins one.
func (c *conn) startBySavepoint(ctx context.Context, name string) {
	c.start(ctx)
	c.tx.savepoint(name)
	c.tx.marks[0].outermost = true
}

// doubtfulSavepoint runs a RELEASE or ROLLBACK TO of a savepoint that may be
// another than the one that was seen. What is buffered is written before. What
// came before the one that was seen is certainly kept, so it is written again
// where needed; of what came after it, the rows decide.
func (c *conn) doubtfulSavepoint(ctx context.Context, s *lex.Statement, run func() error) error {
	if err := c.beforeUnseen(ctx); err != nil {
		return err
	}
	if err := run(); err != nil {
		c.afterFailure(ctx, err)
		return err
	}
	if c.mysql() {
		if s.Kind == lex.RollbackTo {
			c.forsake(0)
			c.tx.witness = 0
		}
		return nil // whether the witness went with it, its own RELEASE will say
	}
	c.tx.attest(s.Name)
	if s.Kind == lex.RollbackTo {
		c.movedBack(false)
		c.giveUp()
		c.detach(s.Name)
	}
	if !c.leaves() {
		c.agree(ctx, witnessOf(c.probe(ctx)))
	}
	return nil
}

// releasesAll reports whether releasing a savepoint commits the transaction.
func (c *conn) releasesAll(name string) bool {
	i := c.tx.find(name)
	return i == 0 && c.tx.marks[0].outermost
}

// applySavepoint makes the transaction follow a savepoint statement that took
// effect.
func (c *conn) applySavepoint(s *lex.Statement) {
	if s.Kind != lex.Savepoint {
		c.tx.attest(s.Name)
	}
	switch s.Kind {
	case lex.Savepoint:
		c.tx.savepoint(s.Name)
	case lex.Release:
		c.tx.release(s.Name)
	case lex.RollbackTo:
		c.movedBack(false)
		c.takenBack(c.tx.rollbackTo(s.Name))
	}
}

// takenBack tells of what a ROLLBACK TO took back, while the transaction goes
// on: observers at once, functions too.
func (c *conn) takenBack(gone []item) {
	t := txn{items: gone}
	if events := t.events(0); len(events) > 0 {
		c.db.notify(hooks.Notice{Kind: hooks.NoticeRolledBack, Events: ids(events), Count: len(events), Reason: "savepoint"})
	}
	for _, it := range gone {
		if it.onRollback != nil {
			c.callback(it.ctx, it.onRollback)
		}
	}
}

// afterFailure looks, after a statement that failed, whether SQLite ended the
// transaction with it (ON CONFLICT ROLLBACK, a full disk). PostgreSQL never
// does: there it has failed and waits for its ROLLBACK.
func (c *conn) afterFailure(ctx context.Context, err error) {
	if c.mysql() {
		c.failedMySQL(ctx, err)
		return
	}
	if c.postgres() || !c.open || c.leaves() || c.probe(ctx) != stateIdle {
		return
	}
	if c.tx.flushed > 0 {
		c.end(hooks.Unknown)
	} else {
		c.end(hooks.RolledBack)
	}
	c.deliver(ctx)
}

// drainControl finishes a control statement that was sent as a query: some
// drivers execute it only while its rows are read.
func drainControl(rows driver.Rows) (driver.Rows, error) {
	cols := slices.Clone(rows.Columns()) // which may be forgotten with the rows
	err := rows.Next(make([]driver.Value, len(cols)))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	return noRows{cols}, err
}

// noRows are the rows of a statement that has none.
type noRows struct{ cols []string }

func (r noRows) Columns() []string         { return r.cols }
func (r noRows) Close() error              { return nil }
func (r noRows) Next([]driver.Value) error { return io.EOF }
