package txn

import (
	"context"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Tracker follows the transactions of one connection, one after the other. Its
// Record is that of the one that is open; outside any it is empty.
type Tracker struct {
	Record

	open  bool
	ctx   context.Context // that the transaction was begun with, by whatever means, for its actor
	ended []Ended
	late  []hooks.Event

	suspect bool            // something may have changed the transaction unseen
	unseen  []lex.Statement // what that was, if it is known
}

// Start is how a transaction begins.
type Start struct {
	Ctx  context.Context // whose, for its actor
	Mode hooks.Mode
}

// Ended is a transaction that has ended, with what waits for its outcome.
type Ended struct {
	Outcome  hooks.Outcome
	Events   []hooks.Event
	Funcs    []Func
	Writes   []hooks.Write // that may stand
	Tx       int64         // the TxNumber, 0 if nothing has asked for it
	Prepared bool          // by PREPARE TRANSACTION
	// MaybeFree: it may have committed without Writes.
	MaybeFree bool
}

// Follow makes the tracker one of a new connection.
func (t *Tracker) Follow(cfg *Config) { t.cfg = cfg }

// Open reports whether the connection is in a transaction, as far as seen.
func (t *Tracker) Open() bool { return t.open }

// Context is the one that the transaction was begun with.
func (t *Tracker) Context() context.Context { return t.ctx }

// Begin notes that a transaction has begun.
func (t *Tracker) Begin(start Start) {
	t.Mode, t.ctx, t.open = start.Mode, start.Ctx, true
}

// BeginBySavepoint notes that one has begun with a savepoint, whose RELEASE commits
// it.
func (t *Tracker) BeginBySavepoint(start Start, name string) {
	t.Begin(start)
	t.Savepoint(name)
	t.savepoints[0].outermost = true
}

// End notes that the transaction has ended, and returns its outcome, which is Unknown if the
// transaction was not proven to be the one that its events belong to. Events of a
// transaction that is Behind, and is rolled back, are not kept: they are the caller's to
// report as lost.
func (t *Tracker) End(outcome hooks.Outcome) hooks.Outcome { return t.end(outcome, false) }

// EndPrepared notes that PREPARE TRANSACTION has ended it: the rows decide, once it
// is committed or rolled back, perhaps by another session.
func (t *Tracker) EndPrepared() hooks.Outcome { return t.end(hooks.Unknown, true) }

// EndRolledBack notes that the transaction was found to be over, rolled back unless
// something was written before: then the rows decide.
func (t *Tracker) EndRolledBack() hooks.Outcome {
	if t.HasWritten() {
		return t.End(hooks.Unknown)
	}
	return t.End(hooks.RolledBack)
}

// Abandon ends a transaction of the driver's whose statement has failed: nothing of it is
// reported.
func (t *Tracker) Abandon() {
	t.forget()
	t.open, t.ctx = false, nil
}

// Close notes that the connection is closed: the server rolls back what is open.
func (t *Tracker) Close() {
	switch {
	case t.open && t.suspect:
		t.End(hooks.Unknown)
	case t.open:
		t.End(hooks.RolledBack)
	}
}

func (t *Tracker) end(outcome hooks.Outcome, prepared bool) hooks.Outcome {
	if t.Unproven {
		outcome = hooks.Unknown
	}
	t.giveUp()
	if lost := t.Behind && outcome == hooks.RolledBack; len(t.items) > 0 && !lost {
		e := t.endedBy(outcome, t.whole(), t.items)
		e.Prepared, e.MaybeFree = prepared, t.MaybeFree
		if outcome == hooks.Committed {
			t.returnKept(e.Writes)
		}
		t.keep(e)
	}
	t.forget()
	t.open, t.ctx = false, nil
	return outcome
}

// EndOf notes how statements ended that were in no transaction.
func (t *Tracker) EndOf(r *Record, outcome hooks.Outcome) {
	t.keep(r.endedBy(outcome, r.whole(), r.items))
}

// endedBy returns items of the record, and the events among them, as a transaction that has
// ended.
func (r *Record) endedBy(outcome hooks.Outcome, events []hooks.Event, items []item) Ended {
	return Ended{Outcome: outcome, Events: events, Funcs: funcsOf(items), Writes: writesOf(items, events), Tx: r.txNumber}
}

// DropPending notes that the pending events were rolled back with a transaction
// that ended before they could be written.
func (t *Tracker) DropPending() { t.RolledBack(t.TakePending()) }

// RolledBack notes that events were rolled back which the record no longer has.
func (t *Tracker) RolledBack(events []hooks.Event) {
	t.keep(Ended{Outcome: hooks.RolledBack, Events: events})
}

func (t *Tracker) keep(e Ended) {
	if len(e.Events) > 0 || len(e.Funcs) > 0 {
		t.ended = append(t.ended, e)
	}
}

// giveUp lets the rows decide on what is still in doubt.
func (t *Tracker) giveUp() {
	if t.maybe > 0 {
		t.unknown(t.takeMaybe())
	}
	t.certain()
}

// unknown lets the rows decide on some of the transaction's items.
func (t *Tracker) unknown(items []item) {
	t.keep(t.endedBy(hooks.Unknown, eventsOf(items, 0), items))
}

// Late notes that events are to be written between transactions: theirs has
// committed without them, having written nothing.
func (t *Tracker) Late(events []hooks.Event) { t.late = append(t.late, events...) }

// TakeLate returns those events, once.
func (t *Tracker) TakeLate() []hooks.Event {
	late := t.late
	t.late = nil
	return late
}

// TakeEnded returns the transactions that have ended since it was last called. GiveBack takes
// what it returned.
func (t *Tracker) TakeEnded() []Ended {
	ended := t.ended
	t.ended = nil
	return ended
}

// GiveBack makes room for those that end next.
func (t *Tracker) GiveBack(ended []Ended) {
	clear(ended)
	if t.ended == nil {
		t.ended = ended[:0]
	}
}

// HasNews reports whether there is something for TakeLate or TakeEnded to return.
func (t *Tracker) HasNews() bool { return len(t.ended) > 0 || len(t.late) > 0 }
