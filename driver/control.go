package driver

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// control runs one statement of transaction control that the app sent itself.
func (c *conn) control(ctx context.Context, j *job) (answer, error) {
	s := j.stmts[0]
	if !c.tx.Open() && (s.Kind == lex.Begin || s.Kind == lex.Savepoint) {
		if err := c.ready(ctx); err != nil {
			return answer{}, err
		}
	}
	if s.Kind != lex.Begin && c.is.local && ctx.Err() == nil {
		// A driver may report a statement that took effect as interrupted: then it would
		// not be known which state the connection is in.
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
		if c.is.beginCommits {
			c.begun(ctx, err)
			return err
		}
		if err == nil && !c.tx.Open() {
			c.start(ctx)
		}
		return err
	case lex.Commit, lex.Prepare:
		return c.rawCommit(ctx, s, run)
	case lex.Rollback:
		return c.rawRollback(ctx, s, run)
	case lex.Savepoint, lex.Release, lex.RollbackTo:
		return c.rawSavepoint(ctx, s, run)
	default: // COMMIT PREPARED and ROLLBACK PREPARED end a transaction that no session is in
		return run()
	}
}

func (c *conn) rawCommit(ctx context.Context, s *lex.Statement, run func() error) error {
	if !c.tx.Open() {
		return run()
	}
	c.captureContexts()
	e := c.ownEnding(ctx)
	e.run, e.prepares, e.chains = run, s.Kind == lex.Prepare, s.Chain
	began := c.tx.Context()
	did := c.commit(ctx, e)
	if did.err == nil && s.Chain && !did.open {
		c.start(began) // the next transaction is the same caller's
	}
	return did.err
}

func (c *conn) rawRollback(ctx context.Context, s *lex.Statement, run func() error) error {
	c.beforeRollback(ctx)
	err := run()
	if !c.tx.Open() {
		return err
	}
	began := c.tx.Context()
	c.rolledBack(ctx, err)
	if err == nil && s.Chain {
		c.start(began)
	}
	return err
}

func (c *conn) rawSavepoint(ctx context.Context, s *lex.Statement, run func() error) error {
	if c.tx.Open() && s.Kind != lex.Savepoint && c.tx.Doubtful(s.Name) {
		return c.doubtfulSavepoint(ctx, s, run)
	}
	if s.Kind == lex.Release && c.tx.Open() && c.tx.ReleaseCommits(s.Name) {
		return c.rawCommit(ctx, s, run)
	}
	if err := run(); err != nil {
		if c.tx.Open() {
			c.db.dialect.failed(ctx, c, err)
		}
		return err
	}
	switch {
	case c.tx.Open():
		witnessed := c.tx.HasWitness()
		c.applySavepoint(s)
		if witnessed && !c.tx.HasWitness() && !c.tx.IsEmpty() { // the transaction lives
			_ = c.setWitness(ctx) // without one the events are Unknown
		}
	case c.is.savepointBegins && s.Kind == lex.Savepoint:
		c.tx.BeginBySavepoint(c.starting(ctx), s.Name)
	}
	return nil
}

// doubtfulSavepoint runs a RELEASE or ROLLBACK TO of a savepoint that may be
// another than the one that was seen. What is buffered is written before. What
// came before the one that was seen is certainly kept, so it is written again
// where needed; of what came after it, the rows decide. Where the RELEASE of one would
// commit the transaction, the server is asked whether it has.
func (c *conn) doubtfulSavepoint(ctx context.Context, s *lex.Statement, run func() error) error {
	if err := c.beforeUnseen(ctx); err != nil {
		return err
	}
	commits := s.Kind == lex.Release && c.tx.ReleaseCommits(s.Name) // unless it is the other one
	if err := run(); err != nil {
		c.db.dialect.failed(ctx, c, err)
		return err
	}
	switch back := s.Kind == lex.RollbackTo; {
	case back && c.is.savepointWitness:
		c.tx.RollbackToUnknown()
	case back:
		c.mark.doubt()
		c.catalog.movedBack(false)
		c.tx.RollbackToDoubtful(s.Name)
	case !c.is.savepointWitness: // where the witness's own RELEASE will say whether it is still there
		c.tx.ReleaseDoubtful(s.Name)
	}
	if c.is.savepointWitness || c.defersAsking() {
		return nil
	}
	w := witnessOf(c.session.probe(ctx))
	if commits && w == txn.Idle && len(c.tx.Pending()) == 0 {
		c.end(hooks.Committed)
		return nil
	}
	c.applyChanges(c.tx.Agree(c.starting(ctx), w), nil)
	return nil
}

// applySavepoint makes the transaction follow a savepoint statement that took
// effect.
func (c *conn) applySavepoint(s *lex.Statement) {
	switch {
	case s.Kind == lex.RollbackTo:
		c.mark.doubt()
		c.catalog.movedBack(false)
		c.db.handler.takenBack(c.tx.RollbackTo(s.Name))
	case s.Kind == lex.Release:
		c.tx.Release(s.Name)
	case c.is.savepointReplaces:
		c.tx.Replace(s.Name)
	default:
		c.tx.Savepoint(s.Name)
	}
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
