package driver

import (
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// capture is an event that statements are folded into.
type capture struct {
	key    foldKey
	deed   deed
	wide   bool
	index  int   // in the transaction's items
	seq    int   // among the events of its story
	before trace // of its rows, without it

	statements  int
	rows        int64
	reading     int  // statements whose rows are still being read
	unknown     bool // the number of rows is not known
	sure        bool // one of its statements has certainly changed something
	shortened   bool
	interleaved bool
	learns      bool // its key is read from its rows
	column      keyType
	doubt       bool // no rows does not mean that nothing was changed
}

// none reports that its statements turned out to have changed nothing.
func (f *capture) none() bool { return f.statements == 0 }

// add counts a statement that has changed so many rows.
func (f *capture) add(rows int64) {
	f.statements++
	f.rows += rows
	f.sure = f.sure || rows > 0
}

// complete writes the counts into the event.
func (f *capture) complete(e *hooks.Event) {
	m := map[string]any{"statements": f.statements}
	if !f.unknown && f.reading == 0 {
		m["rows"] = f.rows
	}
	if f.shortened {
		m["shortened"] = true
	}
	if !f.sure {
		m["conditional"] = true
	}
	if f.interleaved {
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

// fold finds the event that a statement belongs to, or adds one. It returns nil
// where the transaction's limit is reached.
func (c *conn) fold(a act, meta map[string]any) *capture {
	t, cfg := &c.tx, &c.db.reg.cfg
	size := a.key.size()
	f, fresh := t.place(a, len(t.items) >= cfg.maxEvents || t.bytes+size > cfg.maxBytes)
	switch {
	case f == nil:
		c.uncaptured(1, "limit")
	case fresh:
		t.bytes += size
		e := &t.items[f.index].event
		*e = hooks.Event{
			OccurredAt: time.Now().UTC().Truncate(time.Microsecond),
			Action:     f.key.action, Outcome: hooks.Success, Target: f.key.target, Metadata: meta, Captured: true,
		}
		if f.key.via != "" {
			e.Metadata = map[string]any{"via": f.key.via}
		}
		e.ID, _ = uuid.NewV7()
		c.db.attribute(e, f.key.values)
		f.shortened = hooks.Shorten(e)
	}
	return f
}

// size estimates what the event of a key takes in memory, in bytes.
func (k *foldKey) size() int {
	v := &k.values
	return sizeOf(&hooks.Event{
		Action: k.action, Target: k.target, Actor: v.Actor, Reason: v.Reason, UserAgent: v.UserAgent,
	}) + len(k.via)
}

// learned names the one row that an INSERT … RETURNING has returned: the event f
// gets its ID, or, if f counts other statements too, an event with that ID gets
// this one. It reports false if f cannot be changed any more, because another
// statement came between the INSERT and its row.
func (c *conn) learned(f *capture, id string, placed int) bool {
	t := &c.tx
	if t.folded(f.key) != f || placed != t.story.placed {
		return false
	}
	if t.name(f, id) {
		e := &t.items[f.index].event
		e.Target.ID = id
		t.bytes += len(id)
		f.shortened = hooks.Shorten(e) || f.shortened
		f.rows++
		f.sure = true
		return true
	}
	a := act{key: f.key, deed: f.deed}
	a.key.target.ID = id
	g := c.fold(a, nil)
	if g == nil {
		return false
	}
	f.statements--
	g.add(1)
	return true
}
