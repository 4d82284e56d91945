package txn

import (
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// MaxTargets is how many events of one table and operation a transaction may
// have for rows with a known key, and again for those without.
const MaxTargets = 100

// Effect is what a statement does to rows, as far as its place among others
// matters.
type Effect uint8

// The effects.
const (
	Inserted  = Effect(lex.Insert)
	Updated   = Effect(lex.Update)
	Deleted   = Effect(lex.Delete)
	Upserted  = Effect(lex.Upsert)
	Truncated = Effect(lex.Truncate)
	Merged    = Effect(lex.Merge)
	// Moved is an UPDATE that sets the key: it is about two rows, of which the
	// statement names at most one.
	Moved = Merged + 1
	// Replaced is an upsert that is about other rows than the one it names: it sets
	// the key, or deletes the rows that are in its way.
	Replaced = Moved + 1
	// Cascaded is a DELETE that deletes other rows of its table, too.
	Cascaded = Replaced + 1
	Altered  = Cascaded + 1 // a schema change
	effects  = int(Altered)
)

// spreads reports whether rows that a statement does not name may be concerned.
func (e Effect) spreads() bool { return e == Moved || e == Replaced || e == Cascaded }

// passes has, for each effect, those that it commutes with whatever the rows are, so
// that its statement may be counted before theirs. An INSERT commutes with an
// earlier UPDATE: if that was of the same row there is a DELETE between the two,
// with which it does not.
var passes = [effects]uint8{Inserted: 1<<Inserted | 1<<Updated | 1<<Upserted, Deleted: 1 << Deleted}

// Key is what statements must share to be counted in one event.
type Key struct {
	Action string
	Target hooks.Target
	Via    string // the view or partition that was named
	Values hooks.Values
}

// withoutID is the key of the event that rows without an event of their own share.
func (k Key) withoutID() Key {
	k.Target.ID = ""
	return k
}

// Operation is one statement, or one target of a statement, that is captured.
type Operation struct {
	Key      Key
	Effect   Effect
	Wide     bool           // its effect goes beyond its table: TRUNCATE … CASCADE
	Metadata map[string]any // of its event, should it get a new one
}

// history is the order of a transaction's events. A statement joins an earlier
// event of its kind only if it would make no difference had it been executed
// then: no event in between is about the same rows. Otherwise it gets an event
// behind them, so that the last event about a row says what was done to it last.
//
// What statements on one table do to the rows of another, by foreign keys or
// triggers, does not count: two interleaved loops on two tables are two events.
type history struct {
	seq        int       // of the last event, captured or recorded
	first      *Captured // as long as it is the only one, it is not in the maps
	statements int       // how many have joined an event or got one
	latest     map[Key]*Captured
	made       tally // how many events of a key; those with an ID together
	traces     map[rowset]*[effects]trace
	// explicit has the last recorded event for each target's ID, and wide that of
	// a schema change or of what else may be about every table.
	explicit map[string]int
	wide     int
}

// rowset is rows of a table: the one with this key, those whose key is not
// known, or all.
type rowset struct {
	table, id string
	all       bool
}

// trace is the last event with one effect on some rows, and the last one whose
// context is another than that one's, such as that of another actor.
type trace struct{ last, other *Captured }

func (t *trace) add(f *Captured) {
	if t.last != nil && t.last.key.Values != f.key.Values {
		t.other = t.last
	}
	t.last = f
}

// after reports whether it has an event later than f; with elsewhere, one of
// another context than f's.
func (t *trace) after(f *Captured, elsewhere bool) bool {
	g := t.last
	if elsewhere && g != nil && g.key.Values == f.key.Values {
		g = t.other
	}
	return g != nil && g.seq > f.seq
}

// Statements is how many statements have been captured.
func (r *Record) Statements() int { return r.history.statements }

// Capture finds the event that a statement is counted in, or adds one. It returns
// nil where there is none and the transaction's limit is reached.
func (r *Record) Capture(o Operation) *Captured {
	size := o.Key.size()
	f, fresh := r.place(o, len(r.items) >= r.cfg.MaxEvents || r.bytes+size > r.cfg.MaxBytes)
	if fresh {
		r.bytes += size
		e := &r.items[f.index].event
		*e = r.cfg.NewEvent(f.key, o.Metadata)
		f.shortened = hooks.Shorten(e)
	}
	return f
}

// place finds the event that o joins, or makes one, which is fresh. It returns
// nil if there is none and the transaction is full.
func (r *Record) place(o Operation, full bool) (f *Captured, fresh bool) {
	h := &r.history
	h.statements++
	if f = r.current(o.Key); h.joins(o, f) {
		return f, false
	}
	if o.Effect == Altered || o.Key.Target.ID != "" && h.allow(o.Key, full) {
		return r.append(o, full)
	}
	if f = r.current(o.Key.withoutID()); h.joins(o, f) {
		return f, false
	}
	o.Key = o.Key.withoutID()
	if f != nil && !h.allow(o.Key, full) {
		f.interleaved = true
		return f, false
	}
	return r.append(o, full)
}

// allow reports whether a key can have one more event, and counts it.
func (h *history) allow(key Key, full bool) bool {
	counted := key
	if key.Target.ID != "" {
		counted.Target.ID = "*" // all that have an ID
	}
	if full || h.made.of(&counted) >= MaxTargets {
		return false
	}
	h.made.add(&counted)
	return true
}

// tally counts by keys. Most transactions have a single one, which needs no map.
type tally struct {
	key  Key
	n    int
	more map[Key]int
}

func (t *tally) of(key *Key) int {
	if t.n > 0 && t.key == *key {
		return t.n
	}
	return t.more[*key]
}

func (t *tally) add(key *Key) {
	switch {
	case t.n == 0:
		t.key, t.n = *key, 1
	case t.key == *key:
		t.n++
	default:
		if t.more == nil {
			t.more = make(map[Key]int)
		}
		t.more[*key]++
	}
}

// append adds an event behind all others.
func (r *Record) append(o Operation, full bool) (*Captured, bool) {
	if full {
		return nil, false
	}
	h := &r.history
	h.seq++
	f := &Captured{index: len(r.items), key: o.Key, effect: o.Effect, wide: o.Wide, seq: h.seq}
	r.items = append(r.items, item{captured: f})
	if o.Effect == Altered || o.Wide {
		h.wide = h.seq
	}
	if h.latest == nil && h.first == nil {
		h.first = f
		return f, true
	}
	if h.first != nil {
		h.latest = map[Key]*Captured{h.first.key: h.first}
		h.traces = make(map[rowset]*[effects]trace)
		h.leave(h.first)
		h.first = nil
	}
	h.latest[o.Key] = f
	h.leave(f)
	return f, true
}

// rename notes that f gets another key.
func (h *history) rename(f *Captured, key Key) {
	if h.first != f {
		delete(h.latest, f.key)
		h.latest[key] = f
	}
}

// leave adds the traces of f.
func (h *history) leave(f *Captured) {
	if f.effect == Altered {
		return
	}
	own := f.rowset()
	h.trace(rowset{table: own.table, all: true}, f.effect).add(f)
	t := h.trace(own, f.effect)
	f.before = *t
	t.add(f)
}

func (h *history) trace(r rowset, e Effect) *trace {
	if h.traces[r] == nil {
		h.traces[r] = new([effects]trace)
	}
	return &h.traces[r][e]
}

// joins reports whether o may be counted in f: no event behind f is about what
// may be the same rows.
func (h *history) joins(o Operation, f *Captured) bool {
	switch {
	case f == nil || f.effect != o.Effect || h.wide > f.seq:
		return false
	case o.Effect == Altered || o.Wide:
		return f.seq == h.seq && f.wide == o.Wide
	}
	id, table := strings.ToLower(o.Key.Target.ID), strings.ToLower(o.Key.Target.Type)
	switch {
	case id != "" && h.explicit[id] > f.seq:
		return false
	case id == "" || o.Effect.spreads():
		return !h.crosses(rowset{table: table, all: true}, o.Effect, f)
	}
	return !h.crosses(rowset{table: table}, o.Effect, f) && !h.crosses(rowset{table: table, id: id}, o.Effect, f)
}

// rowset is the rows that c is about.
func (c *Captured) rowset() rowset {
	r := rowset{table: strings.ToLower(c.key.Target.Type), id: strings.ToLower(c.key.Target.ID)}
	if c.effect.spreads() {
		r.id = "" // what the statement names is one of several
	}
	return r
}

// crosses reports whether a statement with effect e on these rows would pass an
// event behind f.
func (h *history) crosses(r rowset, e Effect, f *Captured) bool {
	row := h.traces[r]
	if row == nil {
		return false
	}
	for other := range row {
		if passes[e]&(1<<other) == 0 && row[other].after(f, Effect(other) == e) {
			return true
		}
	}
	return false
}

// recorded keeps the place of an event that the app recorded.
func (h *history) recorded(target hooks.Target) {
	h.seq++
	if target.ID == "" {
		return
	}
	if h.explicit == nil {
		h.explicit = make(map[string]int)
	}
	h.explicit[strings.ToLower(target.ID)] = h.seq
}

// current returns the latest event for key if it may still change: added since
// the innermost savepoint, and not written.
func (r *Record) current(key Key) *Captured {
	h := &r.history
	f := h.latest[key]
	if h.first != nil && h.first.key == key {
		f = h.first
	}
	if f == nil || f.index < r.floor() || f.index >= len(r.items) || r.items[f.index].captured != f {
		return nil
	}
	return f
}
