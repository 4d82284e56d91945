package driver

import (
	"context"
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// write runs statements that write, without any control words among them.
func (c *conn) write(ctx context.Context, j *job) (answer, error) {
	if err := c.lookUp(ctx, j); err != nil {
		return answer{}, err
	}
	if a, ok, err := c.script(ctx, j); ok {
		return a, err
	}
	if c.tx.Open() {
		return c.writeInside(ctx, j)
	}
	if c.db.reg.modeNow() == hooks.Off || !c.reshapes(ctx, j) && !c.capturer.wants(j) {
		a, err := j.do(ctx)
		c.capturer.countUnseen(j)
		return a, err
	}
	if err := c.ready(ctx); err != nil {
		return answer{}, err
	}
	j.args = slices.Clone(j.args) // the call's own may be different after it
	return c.db.dialect.writeOutside(ctx, c, j)
}

// writeWithin runs captured statements in a transaction with their events, where they
// can be.
func (c *conn) writeWithin(ctx context.Context, j *job) (answer, error) {
	if c.is.runsBare(j.stmts) {
		return c.writeBare(ctx, j)
	}
	return c.writeImplicit(ctx, j)
}

// writeInside runs statements in the transaction that is open, and captures them.
func (c *conn) writeInside(ctx context.Context, j *job) (answer, error) {
	wrote := c.tx.Wrote
	c.tx.Wrote = !c.mayBeWriteFree() || !j.names.onlyTemporary()
	if c.is.savepointWitness && !j.blind && c.session.reading == 0 && c.tx.Mode != hooks.Off && c.capturer.wants(j) {
		if err := c.setWitness(ctx); err != nil {
			return answer{}, err
		}
	}
	if c.tx.Mode != hooks.Off && (c.capturer.wants(j) || c.is.readersStay) {
		j.args = slices.Clone(j.args) // the call's own may be different after it
	}
	if c.tx.Mode != hooks.Off {
		if err := c.setMark(ctx, j); err != nil {
			c.tx.Wrote = wrote
			c.db.dialect.failed(ctx, c, err)
			return answer{}, err
		}
	}
	left := c.db.dialect.remains(ctx, &c.own, j, c.tx.Open())
	a, err := c.doReshaping(ctx, j)
	if err != nil {
		if c.is.readersStay && len(j.stmts) == 1 && cannotWrite(err) {
			c.tx.Wrote = wrote
		}
		c.doubtWrote(j, wrote)
		if c.tx.Mode != hooks.Off && left(err) {
			c.captureFailed(ctx, &c.tx.Record, j)
		}
		c.db.dialect.failed(ctx, c, err)
		return a, err
	}
	if c.tx.Mode == hooks.Off {
		return a, nil
	}
	if err := c.lookAfter(ctx, j, a.rows != nil && !wrote); err != nil {
		return a, err
	}
	c.doubtWrote(j, wrote)
	c.capturer.countUnseen(j)
	wants := c.capturer.wants(j)
	if c.tells && (!wants || c.is.procedures) { // a trigger or a function may write also where no row is changed
		c.noteWriter(ctx)
	}
	if !wants {
		return a, nil
	}
	if !c.witnessAfter(ctx, j, a) {
		return a, nil
	}
	captured := c.capturer.capture(ctx, &c.tx.Record, j, a.res)
	if a.rows != nil && len(captured) > 0 {
		r := newCountedRows(c, a.rows, captured)
		a.rows = shapeRows(r, r.saw)
	}
	return a, nil
}

// writeBare runs what must not, or cannot, run in a transaction, and writes its
// events after it.
func (c *conn) writeBare(ctx context.Context, j *job) (answer, error) {
	j.keepStmts()
	if err := c.rehearse(ctx, j); err != nil {
		return answer{}, err
	}
	left := c.db.dialect.remains(ctx, &c.own, j, c.tx.Open())
	a, err := j.do(ctx)
	if err == nil {
		err = c.lookAfter(ctx, j, a.rows != nil)
	}
	c.capturer.countUnseen(j)
	if err != nil {
		c.bareFailed(ctx, j, left(err), err)
		return a, err
	}
	r := c.newRecord()
	c.capturer.capture(ctx, r, j, nil)
	return c.answerThen(a, count{}, func() error { return c.writeAfter(ctx, r) })
}

// writeAfter writes the events of statements that were in no transaction, and have taken
// effect.
func (c *conn) writeAfter(ctx context.Context, r *txn.Record) error {
	events := r.Pending()
	if len(events) == 0 {
		return nil
	}
	err := c.writeBehind(ctx, events, r.Mode)
	c.deliver(ctx)
	if err != nil {
		return &notBad{err}
	}
	return nil
}

// answerThen calls after once the app has read the rows of a, or now if it has none. The
// rows are counted by n.
func (c *conn) answerThen(a answer, n count, after func() error) (answer, error) {
	if a.rows != nil {
		c.streams++
		r := &implicitRows{columns: columns{base: a.rows}, c: c, after: after, count: n}
		a.rows = shapeRows(r, r.saw)
		return a, nil
	}
	if err := after(); err != nil {
		return answer{}, err
	}
	return a, nil
}

// writeImplicit runs statements that the app autocommits in a transaction with their events.
func (c *conn) writeImplicit(ctx context.Context, j *job) (answer, error) {
	if err := c.opt.simple(ctx, c.db.dialect.begin(j)); err != nil {
		return answer{}, err
	}
	c.start(ctx)
	c.tx.Perhaps, c.tx.Implicit = c.is.perhapsWrote(j.stmts), true
	c.tx.Wrote = !c.tx.Perhaps
	if err := c.setMark(ctx, j); err != nil {
		c.abandon(ctx)
		return answer{}, err
	}
	left := c.db.dialect.remains(ctx, &c.own, j, c.tx.Open())
	a, err := c.doReshaping(ctx, j)
	switch {
	case err != nil && left(err):
		c.captureFailed(ctx, &c.tx.Record, j)
		_ = c.finishImplicit(ctx, false) // reported, if it fails; the app's error is the statement's
		return answer{}, err
	case err == nil:
		err = c.lookAfter(ctx, j, a.rows != nil)
	}
	if err != nil {
		c.abandon(ctx)
		return answer{}, err
	}
	c.capturer.countUnseen(j)
	captured := c.capturer.capture(ctx, &c.tx.Record, j, a.res)
	if a.rows != nil {
		a.rows = c.serve(ctx, a.rows, captured)
		return a, nil
	}
	if err := c.finishImplicit(ctx, true); err != nil {
		return answer{}, err
	}
	return a, nil
}

// finishImplicit commits a transaction that the driver began around a statement.
// brief says that the COMMIT is a part of the app's statement, which ends with its
// context. The error never matches ErrBadConn once the COMMIT may have taken effect, or
// database/sql would execute the statement again.
func (c *conn) finishImplicit(ctx context.Context, brief bool) error {
	did := c.commitOwn(ctx, brief)
	c.deliver(ctx)
	return did.once()
}

// abandon rolls back a transaction of the driver's own after a failure.
func (c *conn) abandon(ctx context.Context) {
	if err := c.rollback(ctx); err != nil && (!c.is.local || c.opt.lostBy(err)) {
		c.discard()
	}
	c.tx.Abandon()
	c.catalog.movedBack(true)
}
