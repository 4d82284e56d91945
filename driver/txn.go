package driver

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// txn is the transaction that a connection is in.
type txn struct {
	facts

	ctx   context.Context // that it was begun with, by whatever means, for its actor
	items []item
	marks []mark
	// unsure has the names of savepoints that may have been set or released
	// unseen, and how many marks there were then; "" stands for all names.
	unsure map[string]int
	// released has those of them that may have gone, so that the name is that of
	// an older one.
	released map[string]bool
	reset    []string // savepoints that may have been set since the doubt
	earlier  []int64  // tokens before the one in use, whose writes may still stand
	broken   error    // why it must not commit: strict mode, and what Raw could not return
	story    story
}

// facts are what has no pointers, and so is quick to forget.
type facts struct {
	mode  hooks.Mode
	token int64 // of the next flush, or the last; 0 until one is needed
	sign  int64 // by which the witness knows the transaction, 0 likewise
	// flushed says that items[:flushed] are written; a ROLLBACK TO can undo
	// that.
	flushed int
	// maybe says that items[:maybe] and marks[:maybeMarks] are of a transaction
	// that may be over: this one, or one before it.
	maybe, maybeMarks int

	bytes    int
	wrote    bool // it has done more than read, as far as seen
	perhaps  bool // it may have written or not, by DDL: the locks know
	own      bool // it exists for its events
	readOnly bool // it refused them
	implicit bool // it was begun around a statement
	memory   bool // its events are kept in memory: no rows decide on them
	// unseen: it may have ended and another one begun, for the witness to say.
	unseen bool
	// witness is one more than the number of savepoints before the witness, 0 if
	// that is not set.
	witness int
	// brief: its COMMIT is a part of the app's statement, which ends with its context.
	brief bool
	due   bool // its COMMIT waits for rows that are still open
}

// item is an event or a function, in the order in which they came.
type item struct {
	event      hooks.Event
	fold       *capture
	onCommit   func(context.Context)
	onRollback func(context.Context)
	ctx        context.Context // of a function: for its values only
}

func (it *item) isEvent() bool { return it.onCommit == nil && it.onRollback == nil }

// mark is a savepoint: what it would take the transaction back to.
type mark struct {
	name    string
	items   int
	flushed int
	bytes   int
	// outermost: SQLite began a transaction with it, so its RELEASE commits.
	outermost bool
}

// start begins to follow a transaction.
func (c *conn) start(ctx context.Context) {
	t := &c.tx
	if t.unsure != nil || t.reset != nil || t.earlier != nil || t.broken != nil || t.story.seq != 0 {
		*t = txn{items: t.items, marks: t.marks}
	}
	t.facts = facts{mode: c.db.reg.modeNow()}
	t.ctx, t.items, t.marks = ctx, t.items[:0], t.marks[:0]
	c.open = true
}

func (t *txn) savepoint(name string) {
	t.marks = append(t.marks, mark{name: name, items: len(t.items), flushed: t.flushed, bytes: t.bytes})
}

// find returns the index of the innermost savepoint of that name, or -1.
func (t *txn) find(name string) int {
	for i := len(t.marks) - 1; i >= 0; i-- {
		if t.marks[i].name == name {
			return i
		}
	}
	return -1
}

// doubt notes that the savepoint words of stmts may have taken effect, or any at
// all if stmts is nil.
func (t *txn) doubt(stmts []lex.Statement) {
	if t.unsure == nil {
		t.unsure, t.released = make(map[string]int), make(map[string]bool)
	}
	if stmts == nil {
		t.unsure[""] = len(t.marks)
	}
	for i := range stmts {
		switch s := &stmts[i]; s.Kind {
		case lex.Savepoint:
			t.unsure[s.Name] = len(t.marks)
		case lex.Release:
			t.unsure[s.Name], t.released[s.Name] = len(t.marks), true
			for _, m := range t.marks[t.find(s.Name)+1:] { // they went with it
				t.unsure[m.name], t.released[m.name] = len(t.marks), true
			}
		}
	}
}

// doubtful reports whether name may be another savepoint than find gives.
func (t *txn) doubtful(name string) bool {
	i := t.find(name)
	return i < 0 || i < t.unsure[name] || i < t.unsure[""]
}

// release forgets a savepoint and those inside it; what they kept stays.
func (t *txn) release(name string) {
	if i := t.find(name); i >= 0 {
		t.marks = t.marks[:i]
	}
}

// rollbackTo takes back what came after a savepoint, which remains. It returns
// what was taken back.
//
// Events from before the savepoint that were written after it are taken back by
// the server, so they count as unwritten again.
func (t *txn) rollbackTo(name string) []item {
	i := t.find(name)
	if i < 0 {
		return nil
	}
	m := t.marks[i]
	t.marks = t.marks[:i+1]
	gone := append([]item(nil), t.items[m.items:]...)
	clear(t.items[m.items:])
	t.items = t.items[:m.items]
	t.flushed = min(t.flushed, m.flushed)
	t.bytes, t.story.made = m.bytes, nil
	return gone
}

// floor is the index of the first item since the innermost savepoint: items
// before it must not change, or a ROLLBACK TO would not undo the change.
func (t *txn) floor() int {
	if n := len(t.marks); n > 0 {
		return max(t.marks[n-1].items, t.flushed)
	}
	return t.flushed
}

// events returns the events of items[from:], complete.
func (t *txn) events(from int) []hooks.Event {
	events := make([]hooks.Event, 0, len(t.items)-from)
	for i := from; i < len(t.items); i++ {
		it := &t.items[i]
		if !it.isEvent() || (it.fold != nil && it.fold.none()) {
			continue
		}
		if it.fold != nil {
			it.fold.complete(&it.event)
		}
		events = append(events, it.event)
	}
	return events
}

// callbacks reports whether a function waits for the end.
func (t *txn) callbacks() bool {
	for i := range t.items {
		if !t.items[i].isEvent() {
			return true
		}
	}
	return false
}

// doubtAll notes that the transaction may have ended and another one begun,
// after which the savepoints in reset were set.
func (c *conn) doubtAll(reset []string) {
	t := &c.tx
	if t.maybe > 0 && (len(t.items) > t.maybe || len(t.marks) > t.maybeMarks) {
		c.giveUp()
	}
	t.maybe, t.maybeMarks = len(t.items), len(t.marks)
	t.reset = append(t.reset, reset...)
}

// attest is called when the database has found a savepoint: if it was set before
// the doubt, then so was everything else.
func (t *txn) attest(name string) {
	if i := t.find(name); i >= 0 && i < t.maybeMarks && !slices.Contains(t.reset, name) {
		t.maybe, t.maybeMarks, t.reset = 0, 0, nil
	}
}

// giveUp lets the rows decide on what is still in doubt.
func (c *conn) giveUp() {
	t := &c.tx
	if n := t.maybe; n > 0 {
		c.endPart(t.items[:n])
		t.items = slices.Delete(t.items, 0, n)
		t.flushed = max(t.flushed-n, 0)
		for i := range t.marks {
			m := &t.marks[i]
			m.items, m.flushed = max(m.items-n, 0), max(m.flushed-n, 0)
		}
	}
	t.maybe, t.maybeMarks, t.reset = 0, 0, nil
}

// endPart has the rows decide on some of the transaction's items.
func (c *conn) endPart(items []item) {
	rest := txn{items: items}
	p := part{outcome: hooks.Unknown, tokens: c.tx.tokens(), events: rest.events(0), funcs: functions(items)}
	if len(p.events) > 0 || len(p.funcs) > 0 {
		c.ended = append(c.ended, p)
	}
}

// detach takes what came after the innermost savepoint of that name, or all if
// none was seen, out of the transaction, for the rows to decide on at its end.
func (c *conn) detach(name string) {
	t := &c.tx
	kept, flushed := 0, 0
	i := t.find(name)
	if t.released[name] {
		i = slices.IndexFunc(t.marks, func(m mark) bool { return m.name == name })
	}
	if i >= 0 {
		kept, flushed = t.marks[i].items, t.marks[i].flushed
		t.marks = t.marks[:i+1]
	}
	for i := range t.marks {
		m := &t.marks[i]
		m.items, m.flushed = min(m.items, kept), min(m.flushed, flushed)
	}
	gone := t.items[kept:]
	c.endPart(gone)
	clear(gone)
	t.items, t.flushed = t.items[:kept], min(t.flushed, flushed)
}

func functions(items []item) []item {
	var funcs []item
	for _, it := range items {
		if !it.isEvent() {
			funcs = append(funcs, it)
		}
	}
	return funcs
}

// part is a transaction that has ended, with what must be told of it.
type part struct {
	outcome  hooks.Outcome
	events   []hooks.Event
	funcs    []item
	tokens   tokens
	prepared bool
}

// end takes what the transaction holds into c.ended. It leaves the connection
// outside any transaction.
func (c *conn) end(outcome hooks.Outcome) *part {
	t := &c.tx
	if t.unseen {
		outcome = hooks.Unknown
	}
	c.giveUp()
	c.open, t.broken, t.ctx = false, nil, nil
	c.movedBack(true)
	if len(t.items) == 0 {
		return nil
	}
	p := part{outcome: outcome, tokens: t.tokens(), events: t.events(0), funcs: functions(t.items)}
	clear(t.items)
	t.items, t.marks, t.flushed, t.story = t.items[:0], t.marks[:0], 0, story{}
	if len(p.events) == 0 && len(p.funcs) == 0 {
		return nil
	}
	c.ended = append(c.ended, p)
	return &c.ended[len(c.ended)-1]
}

func (c *conn) takeEnded() []part {
	parts := c.ended
	c.ended = nil
	return parts
}

func ids(events []hooks.Event) []uuid.UUID {
	out := make([]uuid.UUID, len(events))
	for i := range events {
		out[i] = events[i].ID
	}
	return out
}
