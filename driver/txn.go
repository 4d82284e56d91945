package driver

import (
	"context"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// txnConfig is what the records of a database's transactions share.
func (db *database) txnConfig() *txn.Config {
	cfg, is := &db.reg.cfg, db.dialect.facts()
	return &txn.Config{
		MaxEvents: cfg.maxEvents, MaxBytes: cfg.maxBytes,
		NewEvent:        db.newEvent,
		SavepointBegins: is.savepointBegins,
	}
}

// starting is a transaction that begins with ctx.
func (c *conn) starting(ctx context.Context) txn.Start {
	return txn.Start{Ctx: ctx, Mode: c.db.reg.modeNow()}
}

// start begins to follow a transaction.
func (c *conn) start(ctx context.Context) { c.tx.Begin(c.starting(ctx)) }

// newRecord is for statements that are in no transaction.
func (c *conn) newRecord() *txn.Record { return txn.NewRecord(c.db.txns, c.db.reg.modeNow()) }

// end notes that the transaction has ended, and returns its outcome.
func (c *conn) end(outcome hooks.Outcome) hooks.Outcome {
	outcome = c.tx.End(outcome)
	c.catalog.movedBack(true)
	return outcome
}

// applyChanges follows what became of the transaction by something unseen, which
// failed with err, if it did.
func (c *conn) applyChanges(changes txn.Changes, err error) {
	for _, back := range changes.TakenBack {
		c.catalog.movedBack(false)
		c.db.handler.takenBack(back)
	}
	c.db.handler.lose(changes.Lost, err)
	if changes.Ended {
		c.catalog.movedBack(true)
	}
	if changes.Discard {
		c.discard()
	}
}

// origin is what is known about who runs a statement, and why. Each field is from
// ctx, else from the context of the transaction's BEGIN, else from that of
// BeginTx, whose Tx outlives a raw COMMIT. If none names an actor, the goroutine
// may; see [hooks.Origin].
func (c *conn) origin(ctx context.Context) hooks.Values {
	if c.tx.Open() {
		return hooks.Origin(ctx, c.tx.Context(), c.handle.ctx)
	}
	return hooks.Origin(ctx, c.handle.ctx)
}
