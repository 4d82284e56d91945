package driver

import (
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// maxTargets is how many events of one table and operation a transaction may
// have for rows with a known key, and again for those without.
const maxTargets = 100

// deed is what a statement does to rows, as far as its place among others
// matters.
type deed uint8

const (
	inserted  = deed(lex.Insert)
	updated   = deed(lex.Update)
	deleted   = deed(lex.Delete)
	upserted  = deed(lex.Upsert)
	truncated = deed(lex.Truncate)
	merged    = deed(lex.Merge)
	// moved is an UPDATE that sets the key: it is about two rows, of which the
	// statement names at most one.
	moved = merged + 1
	// replaced is an upsert that is about other rows than the one it names: it sets
	// the key, or deletes the rows that are in its way.
	replaced = moved + 1
	// cascaded is a DELETE that takes other rows of its table along.
	cascaded = replaced + 1
	altered  = cascaded + 1 // a schema change
	deeds    = int(altered)
)

// spreads reports whether rows that a statement does not name may be concerned.
func (d deed) spreads() bool { return d == moved || d == replaced || d == cascaded }

// passes has, for each deed, those that it commutes with whatever the rows are, so
// that its statement may be counted before theirs. An INSERT commutes with an
// earlier UPDATE: if that was of the same row there is a DELETE between the two,
// with which it does not.
var passes = [deeds]uint8{inserted: 1<<inserted | 1<<updated | 1<<upserted, deleted: 1 << deleted}

// foldKey is what statements must share to share an event.
type foldKey struct {
	action string
	target hooks.Target
	via    string // the view or partition that was named
	values hooks.Values
}

// withoutID is the key of the event that rows without an event of their own share.
func (k foldKey) withoutID() foldKey {
	k.target.ID = ""
	return k
}

// act is one statement, or one target of a statement, that is to be recorded.
type act struct {
	key  foldKey
	deed deed
	wide bool // its effect goes beyond its table: TRUNCATE … CASCADE
}

// story is the order of a transaction's events. A statement joins an earlier
// event of its kind only if it would make no difference had it been executed
// then: no event in between is about the same rows. Otherwise it gets an event
// behind them, so that the last event about a row says what was done to it last.
//
// What statements on one table do to the rows of another, by foreign keys or
// triggers, does not count: two interleaved loops on two tables are two events.
type story struct {
	seq    int      // of the last event, captured or recorded
	first  *capture // as long as it is the only one, it leaves no traces
	placed int      // how many statements have joined an event or got one
	latest map[foldKey]*capture
	made   map[foldKey]int // how many events of a key; those with an ID together
	traces map[rowset]*[deeds]trace
	// recorded has the last recorded event for each target's ID, and wide that of
	// a schema change or of what else may be about every table.
	recorded map[string]int
	wide     int
}

// rowset is rows of a table: the one with this key, those whose key is not
// known, or all.
type rowset struct {
	table, id string
	all       bool
}

// trace is the last event with one deed on some rows, and the last one whose
// context is another than that one's, such as that of another actor.
type trace struct{ last, other *capture }

func (t *trace) add(f *capture) {
	if t.last != nil && t.last.key.values != f.key.values {
		t.other = t.last
	}
	t.last = f
}

// after reports whether it has an event later than f; with elsewhere, one of
// another context than f's.
func (t *trace) after(f *capture, elsewhere bool) bool {
	g := t.last
	if elsewhere && g != nil && g.key.values == f.key.values {
		g = t.other
	}
	return g != nil && g.seq > f.seq
}

// place finds the event that a joins, or makes one, which is fresh. It returns
// nil if there is none and the transaction is full.
func (t *txn) place(a act, full bool) (f *capture, fresh bool) {
	s := &t.story
	s.placed++
	if f = t.folded(a.key); s.joins(a, f) {
		return f, false
	}
	if a.deed == altered || a.key.target.ID != "" && s.allow(a.key, full) {
		return t.begin(a, full)
	}
	if f = t.folded(a.key.withoutID()); s.joins(a, f) {
		return f, false
	}
	a.key = a.key.withoutID()
	if f != nil && !s.allow(a.key, full) {
		f.interleaved = true
		return f, false
	}
	return t.begin(a, full)
}

// allow reports whether a key can have one more event, and counts it.
func (s *story) allow(key foldKey, full bool) bool {
	counted := key
	if key.target.ID != "" {
		counted.target.ID = "*" // all that have an ID
	}
	if full || s.made[counted] >= maxTargets {
		return false
	}
	if s.made == nil {
		s.made = make(map[foldKey]int)
	}
	s.made[counted]++
	return true
}

// begin adds an event behind all others.
func (t *txn) begin(a act, full bool) (*capture, bool) {
	if full {
		return nil, false
	}
	s := &t.story
	s.seq++
	f := &capture{index: len(t.items), key: a.key, deed: a.deed, wide: a.wide, seq: s.seq}
	t.items = append(t.items, item{fold: f})
	if a.deed == altered || a.wide {
		s.wide = s.seq
	}
	if s.latest == nil {
		s.latest, s.first = map[foldKey]*capture{a.key: f}, f
		return f, true
	}
	s.latest[a.key] = f
	if s.first != nil {
		s.traces = make(map[rowset]*[deeds]trace)
		s.leave(s.first)
		s.first = nil
	}
	s.leave(f)
	return f, true
}

// leave adds the traces of f.
func (s *story) leave(f *capture) {
	if f.deed == altered {
		return
	}
	own := f.rowset()
	s.trace(rowset{table: own.table, all: true}, f.deed).add(f)
	t := s.trace(own, f.deed)
	f.before = *t
	t.add(f)
}

func (s *story) trace(r rowset, d deed) *trace {
	if s.traces[r] == nil {
		s.traces[r] = new([deeds]trace)
	}
	return &s.traces[r][d]
}

// joins reports whether a may be counted in f: no event behind f is about what
// may be the same rows.
func (s *story) joins(a act, f *capture) bool {
	switch {
	case f == nil || f.deed != a.deed || s.wide > f.seq:
		return false
	case a.deed == altered || a.wide:
		return f.seq == s.seq && f.wide == a.wide
	}
	id, table := strings.ToLower(a.key.target.ID), strings.ToLower(a.key.target.Type)
	switch {
	case id != "" && s.recorded[id] > f.seq:
		return false
	case id == "" || a.deed.spreads():
		return !s.crosses(rowset{table: table, all: true}, a.deed, f)
	}
	return !s.crosses(rowset{table: table}, a.deed, f) && !s.crosses(rowset{table: table, id: id}, a.deed, f)
}

// rowset is the rows that f is about.
func (f *capture) rowset() rowset {
	r := rowset{table: strings.ToLower(f.key.target.Type), id: strings.ToLower(f.key.target.ID)}
	if f.deed.spreads() {
		r.id = "" // what the statement names is one of several
	}
	return r
}

// crosses reports whether a statement that does d to these rows would pass an
// event behind f.
func (s *story) crosses(r rowset, d deed, f *capture) bool {
	row := s.traces[r]
	if row == nil {
		return false
	}
	for other := range row {
		if passes[d]&(1<<other) == 0 && row[other].after(f, deed(other) == d) {
			return true
		}
	}
	return false
}

// record keeps the place of an event that the app recorded.
func (s *story) record(target hooks.Target) {
	s.seq++
	if target.ID == "" {
		return
	}
	if s.recorded == nil {
		s.recorded = make(map[string]int)
	}
	s.recorded[strings.ToLower(target.ID)] = s.seq
}

// folded returns the latest event for key if it may still change: written since
// the innermost savepoint, and not flushed.
func (t *txn) folded(key foldKey) *capture {
	f := t.story.latest[key]
	if f == nil || f.index < t.floor() || f.index >= len(t.items) || t.items[f.index].fold != f {
		return nil
	}
	return f
}

// name sets the ID of f's target to the key that its row was returned with. It
// reports false if f is not the last event, counts several statements, or if
// there is an event with that ID already, or no room for one.
func (t *txn) name(f *capture, id string) bool {
	s, key := &t.story, f.key
	key.target.ID = id
	if f.statements != 1 || f.index != len(t.items)-1 || t.folded(key) != nil || !s.allow(key, false) {
		return false
	}
	delete(s.latest, f.key)
	s.latest[key] = f
	if s.first == f {
		f.key = key
		return true
	}
	if own := s.trace(f.rowset(), f.deed); own.last == f {
		*own = f.before
	}
	f.key = key
	s.trace(f.rowset(), f.deed).add(f)
	return true
}

// unname takes the ID from f, an event whose last statement turned out to have changed
// several rows: then it is no row's key. It is too late for that if there are others
// behind f.
func (t *txn) unname(f *capture) {
	if t.folded(f.key) != f || f.index != len(t.items)-1 {
		return
	}
	s := &t.story
	delete(s.latest, f.key)
	f.key = f.key.withoutID()
	s.latest[f.key] = f
	t.items[f.index].event.Target.ID = ""
	if s.first != f {
		s.trace(f.rowset(), f.deed).add(f)
	}
}
