package txn

import "github.com/go-aftercommit/aftercommit/hooks"

// Captured is an event that statements are counted in.
type Captured struct {
	key    Key
	effect Effect
	wide   bool
	index  int   // in the record's items
	seq    int   // among the events of its history
	before trace // of its rows, without it

	statements  int
	rows        int64
	reading     int  // statements whose rows are still being read
	uncounted   bool // the number of rows is not known
	sure        bool // one of its statements has certainly changed something
	shortened   bool
	interleaved bool
	uncertain   bool // no rows does not mean that nothing was changed
}

// Add counts a statement that has changed so many rows.
func (c *Captured) Add(rows int64) {
	c.statements++
	c.rows += rows
	c.sure = c.sure || rows > 0
}

// Uncounted notes that the number of rows is not known.
func (c *Captured) Uncounted() { c.uncounted = true }

// Sure notes that a statement has certainly changed something.
func (c *Captured) Sure() { c.sure = true }

// Uncertain says whether the last statement may have changed something although it
// returns, or counts, no rows.
func (c *Captured) Uncertain(is bool) { c.uncertain = is }

// HasID reports whether the event names a row.
func (c *Captured) HasID() bool { return c.key.Target.ID != "" }

// Reads notes that the rows of the last statement are yet to be read.
func (c *Captured) Reads() { c.reading++ }

// Unread notes that those rows will not be read.
func (c *Captured) Unread() {
	c.reading--
	c.uncounted = true
}

// Failed notes that the statement failed while its rows were read.
func (c *Captured) Failed() {
	c.reading--
	c.statements--
}

// none reports that its statements turned out to have changed nothing.
func (c *Captured) none() bool { return c.statements == 0 }

// complete writes the counts into the event.
func (c *Captured) complete(e *hooks.Event) {
	m := map[string]any{"statements": c.statements}
	if !c.uncounted && c.reading == 0 {
		m["rows"] = c.rows
	}
	if c.shortened {
		m["shortened"] = true
	}
	if !c.sure {
		m["conditional"] = true
	}
	if c.interleaved {
		m["interleaved"] = true
	}
	for k, v := range e.Metadata {
		switch k {
		case "statements", "rows", "conditional", "interleaved": // of an earlier time
		default:
			m[k] = v
		}
	}
	e.Metadata = m
}

// Returned is what was seen of the rows that a statement returned.
type Returned struct {
	Rows  int64
	Known bool   // they were read to their end
	ID    string // the key of the first
}

// Settle counts the rows of a statement in f, once they have been read. statements
// is what Statements returned when it was the last one.
func (r *Record) Settle(f *Captured, rows Returned, statements int) {
	f.reading--
	switch {
	case !rows.Known:
		f.uncounted, f.sure = true, f.sure || rows.Rows > 0
	case rows.Rows == 0 && f.uncertain:
		f.uncounted = true
	case rows.Rows == 0:
		f.statements--
	case rows.Rows == 1 && rows.ID != "" && r.learned(f, rows.ID, statements):
	default:
		if rows.Rows > 1 && f.HasID() {
			r.unname(f)
		}
		f.rows, f.sure = f.rows+rows.Rows, true
	}
}

// learned names the one row that an INSERT … RETURNING has returned: the event f
// gets its ID, or, if f counts other statements too, an event with that ID gets
// this one. It reports false if f cannot be changed any more, because another
// statement came between the INSERT and its row.
func (r *Record) learned(f *Captured, id string, statements int) bool {
	if r.current(f.key) != f || statements != r.history.statements {
		return false
	}
	if r.name(f, id) {
		e := &r.items[f.index].event
		e.Target.ID = id
		r.bytes += len(id)
		f.shortened = hooks.Shorten(e) || f.shortened
		f.rows++
		f.sure = true
		return true
	}
	o := Operation{Key: f.key, Effect: f.effect}
	o.Key.Target.ID = id
	g := r.Capture(o)
	if g == nil {
		return false
	}
	f.statements--
	g.Add(1)
	return true
}

// name sets the ID of f's target to the key that its row was returned with. It
// reports false if f is not the last event, counts several statements, or if
// there is an event with that ID already, or the limit on such events is reached.
func (r *Record) name(f *Captured, id string) bool {
	h, key := &r.history, f.key
	key.Target.ID = id
	if f.statements != 1 || f.index != len(r.items)-1 || r.current(key) != nil || !h.allow(key, false) {
		return false
	}
	h.rename(f, key)
	if h.first == f {
		f.key = key
		return true
	}
	if own := h.trace(f.rowset(), f.effect); own.last == f {
		*own = f.before
	}
	f.key = key
	h.trace(f.rowset(), f.effect).add(f)
	return true
}

// unname takes the ID from f, an event whose last statement turned out to have
// changed several rows: then it is no row's key. It is too late for that if there
// are others behind f.
func (r *Record) unname(f *Captured) {
	if r.current(f.key) != f || f.index != len(r.items)-1 {
		return
	}
	h := &r.history
	key := f.key.withoutID()
	h.rename(f, key)
	f.key = key
	r.items[f.index].event.Target.ID = ""
	if h.first != f {
		h.trace(f.rowset(), f.effect).add(f)
	}
}
