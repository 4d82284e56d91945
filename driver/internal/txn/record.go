package txn

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Config is what all records of a database share.
type Config struct {
	// MaxEvents and MaxBytes limit what a transaction may hold; the bytes are
	// estimated.
	MaxEvents, MaxBytes int
	// NewEvent makes the event of a key, for statements to be counted in.
	NewEvent func(Key, map[string]any) hooks.Event
	// SavepointBegins: a savepoint outside any transaction begins one, which its
	// RELEASE commits (SQLite).
	SavepointBegins bool
}

// Record is what a transaction holds until it ends: its events, captured and
// recorded, the functions that wait for its end, and its savepoints. A record that
// a Tracker does not follow is one of statements that were in no transaction.
type Record struct {
	Flags

	cfg        *Config
	items      []item
	savepoints []savepoint
	doubt      doubt
	history    history
	broken     error
	all        []hooks.Event // what Pending has last returned while nothing was written
	kept       []kept
	contexts   []hooks.Values
}

// Flags are the fields without pointers, which forget resets in one assignment.
type Flags struct {
	Mode     hooks.Mode // in which the transaction began
	Wrote    bool       // it has done more than read, as far as seen
	Perhaps  bool       // it may have written or not, by DDL: while Wrote is false, the locks know
	ReadOnly bool       // it has refused its events
	InMemory bool       // its events are kept in memory: no rows decide on them
	Implicit bool       // it was begun around a statement
	Behind   bool       // it exists for events of what has committed already
	Due      bool       // its COMMIT waits for rows that are still open
	// BegunReadOnly: it was begun so, and nothing has changed that since.
	BegunReadOnly bool
	// Unproven: it may have ended and another one begun, for the witness to say.
	Unproven bool
	// MaybeFree: its COMMIT was sent with a write that need not have written anything, and no
	// answer says whether it has.
	MaybeFree bool

	txNumber int64     // 0 until one is needed
	lastKey  uuid.UUID // of the last write, uuid.Nil before the first one
	bytes    int       // that the items take, as estimated
	// written says that items[:written] are; a ROLLBACK TO can undo that.
	written int
	// maybe says that items[:maybe] and savepoints[:maybeSavepoints] are of a
	// transaction that may be over: this one, or one before it.
	maybe, maybeSavepoints int
	// witness is one more than the number of savepoints before the witness, 0 if
	// that is not set.
	witness int
}

// item is an event or a function, in the order in which they came.
type item struct {
	event    hooks.Event
	captured *Captured
	fn       Func
	// key is that of the last write with the event, uuid.Nil before the first one, and ordinal
	// the event's place in it.
	key     uuid.UUID
	ordinal int
}

func (it *item) isEvent() bool { return !it.fn.isSet() }

// isPending reports whether it is an event that a write has.
func (it *item) isPending() bool {
	return it.isEvent() && (it.captured == nil || !it.captured.none())
}

// Func waits for the end of a transaction.
type Func struct {
	OnCommit, OnRollback func(context.Context)
	Ctx                  context.Context // for its values only
}

func (f *Func) isSet() bool { return f.OnCommit != nil || f.OnRollback != nil }

// sizeOfFunc is what a function counts against the limit, in bytes.
const sizeOfFunc = 64

// NewRecord returns a record that no Tracker follows.
func NewRecord(cfg *Config, mode hooks.Mode) *Record {
	return &Record{cfg: cfg, Flags: Flags{Mode: mode}}
}

// Add adds an event that the app has recorded. It fails at the transaction's limit.
func (r *Record) Add(e hooks.Event) error {
	r.history.recorded(e.Target)
	return r.add(item{event: e}, sizeOf(&e))
}

// AddFunc adds a function. It fails at the transaction's limit.
func (r *Record) AddFunc(f Func) error { return r.add(item{fn: f}, sizeOfFunc) }

func (r *Record) add(it item, size int) error {
	if len(r.items) >= r.cfg.MaxEvents {
		return fmt.Errorf("driver: the transaction holds %d events, its limit: commit in smaller parts, or raise driver.Limits", len(r.items))
	}
	if r.bytes+size > r.cfg.MaxBytes {
		return fmt.Errorf("driver: the transaction's events would hold %d bytes, more than its limit of %d: commit in smaller parts, or raise driver.Limits", r.bytes+size, r.cfg.MaxBytes)
	}
	r.bytes += size
	r.items = append(r.items, it)
	return nil
}

// Put adds events without counting them: they are to be written now, or were
// counted before.
func (r *Record) Put(events []hooks.Event) {
	for _, e := range events {
		r.items = append(r.items, item{event: e})
	}
}

// Has reports whether the transaction has recorded an event with that ID.
func (r *Record) Has(id uuid.UUID) bool {
	return slices.ContainsFunc(r.items, func(it item) bool { return it.isEvent() && it.event.ID == id })
}

// IsEmpty reports whether it holds neither events nor functions.
func (r *Record) IsEmpty() bool { return len(r.items) == 0 }

// Break makes the transaction fail at its COMMIT with err.
func (r *Record) Break(err error) { r.broken = err }

// Broken is why it must not commit, nil if it may.
func (r *Record) Broken() error { return r.broken }

// forget empties the record for the next transaction.
func (r *Record) forget() {
	clear(r.items)
	r.ForgetKept()
	if r.doubt.names != nil || r.doubt.reset != nil || r.broken != nil || r.history.seq != 0 {
		*r = Record{cfg: r.cfg, items: r.items, savepoints: r.savepoints}
	}
	r.Flags = Flags{}
	r.items, r.savepoints, r.all, r.contexts = r.items[:0], r.savepoints[:0], nil, nil
}
