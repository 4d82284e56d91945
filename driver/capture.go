package driver

import (
	"context"
	"database/sql/driver"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// wants reports whether any of j's statements is captured, as far as can be
// known before they are executed.
func (c *conn) wants(j *job) bool {
	if c.db.reg.cfg.rules == nil {
		return false
	}
	for i := range j.stmts {
		if c.wantsOne(j, i) {
			return true
		}
	}
	return false
}

func (c *conn) wantsOne(j *job, i int) bool {
	s := &j.stmts[i]
	switch {
	case i > j.names.split && (s.Kind != lex.Read || len(s.Also) > 0):
		return true // what it writes to is known afterwards
	case s.Kind == lex.Schema && len(c.schemaTargets(j, i)) > 0:
		return true
	case s.Kind == lex.Write:
		for _, t := range s.Tables {
			if _, ok := c.aimAt(j, j.names.of(i, t), s.Op); ok {
				return true
			}
		}
	}
	for _, t := range s.Also {
		if _, ok := c.aimAt(j, j.names.of(i, t.Table), t.Op); ok {
			return true
		}
	}
	return false
}

// unread is an event whose statement's rows are still to be counted.
type unread struct {
	*txn.Captured
	learns bool // its key is read from the rows
	column keyType
}

// capture makes events, in a record, of statements that have been executed; res is
// nil where they were queried. It returns those whose rows are still to be counted.
func (c *conn) capture(ctx context.Context, to *txn.Record, j job, res driver.Result) []unread {
	if feeds(j.stmts, j.args) {
		return nil
	}
	rows, known := c.affected(&j, res)
	var captures []unread
	for i := range j.stmts {
		s := &j.stmts[i]
		c.captureAlso(ctx, to, &j, i)
		if s.Kind == lex.Schema {
			c.captureSchema(ctx, to, &j, i)
		}
		if s.Kind != lex.Write {
			continue
		}
		none := known && rows == 0 && s.Op != lex.Truncate
		for _, t := range s.Tables {
			r := j.names.of(i, t)
			a, ok := c.aimAt(&j, r, s.Op)
			if !ok || none && !a.doubt || s.Command && r.steps[0].fullText {
				continue
			}
			reads := res == nil && s.Returning && len(j.stmts) == 1
			if reads && s.ReturnsKey && a.key == someColumn {
				a.named = false // what is returned is certain
			}
			if known && rows > 1 && (s.Op == lex.Update || s.Op == lex.Delete) {
				a.named = false // several rows have that key
			}
			f := c.captureWrite(ctx, to, a, s.Target(t), s.Partial, j.args)
			if f == nil {
				continue
			}
			if a.either {
				f.Add(0)
				f.Uncounted()
				continue
			}
			f.Add(rows)
			f.Uncertain(a.doubt)
			if a.instead {
				f.Uncounted()
			}
			switch {
			case reads:
				f.Reads()
				captures = append(captures, unread{f, s.ReturnsKey && !f.HasID() && a.keyed, a.key})
			case s.Op == lex.Truncate:
				f.Uncounted()
				f.Sure()
			case none, !known:
				f.Uncounted()
			}
		}
	}
	return captures
}

// captureAlso makes events of the writes inside the i-th statement, in a WITH
// clause for one. The server does not say whether they changed any rows.
func (c *conn) captureAlso(ctx context.Context, to *txn.Record, j *job, i int) {
	for _, t := range j.stmts[i].Also {
		a, ok := c.aimAt(j, j.names.of(i, t.Table), t.Op)
		if !ok {
			continue
		}
		if f := c.captureWrite(ctx, to, a, t, false, j.args); f != nil {
			f.Add(0)
			f.Uncounted()
		}
	}
}

// feeds reports whether a call only hands lib/pq a row of a COPY FROM.
func feeds(stmts []lex.Statement, args []driver.NamedValue) bool {
	return len(args) > 0 && len(stmts) == 1 && stmts[0].Kind == lex.Write && stmts[0].Verb == "COPY"
}

// captureClosed makes events of a COPY that the Close of its statement ended.
func (c *conn) captureClosed(stmts []lex.Statement) {
	if c.tx.Open() && c.tx.Mode != hooks.Off {
		j := job{stmts: stmts, copying: true}
		_ = c.lookUp(context.Background(), &j) // which does not ask
		c.capture(context.Background(), &c.tx.Record, j, nil)
	}
}

var verbs = [...]string{
	lex.Insert: "inserted", lex.Update: "updated", lex.Delete: "deleted", lex.Upsert: "upserted",
	lex.Truncate: "truncated", lex.Merge: "merged",
}

func (c *conn) captureWrite(ctx context.Context, to *txn.Record, a aim, t lex.Target, wide bool, args []driver.NamedValue) *txn.Captured {
	if a.replaces {
		t.Op = lex.Upsert
	}
	o := txn.Operation{Effect: txn.Effect(t.Op), Wide: wide, Key: txn.Key{
		Action: actionOf(c.db.dialect, a.table, verbs[t.Op]),
		Target: hooks.Target{Type: nameOf(c.db.dialect, a.table)},
		Via:    a.via,
		Values: c.origin(ctx),
	}}
	switch spreads := t.Moves || a.moves; {
	case spreads && t.Op == lex.Update:
		o.Effect = txn.Moved
	case spreads && t.Op == lex.Upsert:
		o.Effect = txn.Replaced
	case a.cascades && t.Op == lex.Delete:
		o.Effect = txn.Cascaded
	}
	if a.named && (!c.lax || t.Op != lex.Insert && t.Op != lex.Upsert) {
		o.Key.Target.ID = c.keyOf(t.Key, a.key, args)
	}
	return c.captureOperation(to, o)
}

// captureOperation counts an operation in a record, if that is not full.
func (c *conn) captureOperation(to *txn.Record, o txn.Operation) *txn.Captured {
	f := to.Capture(o)
	if f == nil {
		c.uncaptured(1, "limit")
	}
	return f
}

// newEvent makes the event of a key, for statements to be counted in.
func (db *database) newEvent(key txn.Key, metadata map[string]any) hooks.Event {
	e := hooks.Event{
		OccurredAt: time.Now().UTC().Truncate(time.Microsecond),
		Action:     key.Action, Outcome: hooks.Success, Target: key.Target, Metadata: metadata, Captured: true,
	}
	if key.Via != "" {
		e.Metadata = map[string]any{"via": key.Via}
	}
	e.ID, _ = uuid.NewV7()
	db.attribute(&e, key.Values)
	return e
}

// captureSchema makes an event of each object that the i-th statement is about.
func (c *conn) captureSchema(ctx context.Context, to *txn.Record, j *job, i int) {
	s := &j.stmts[i]
	for _, name := range c.schemaTargets(j, i) {
		key := txn.Key{Action: "schema.changed", Target: hooks.Target{Type: "schema", ID: name, Name: s.Verb}, Values: c.origin(ctx)}
		o := txn.Operation{Key: key, Effect: txn.Altered, Metadata: map[string]any{"statement": s.Verb}}
		if f := c.captureOperation(to, o); f != nil {
			f.Add(0)
			f.Uncounted()
			if !s.Conditional {
				f.Sure()
			}
		}
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

// attribute says who: what the event itself names, else its origin, else the
// default actor. An actor that does not say who it is stays only where the event
// is still to be refused for it.
func (db *database) attribute(e *hooks.Event, origin hooks.Values) {
	origin.Fill(e)
	if e.Actor.IsKnown() {
		return
	}
	if def := db.reg.cfg.actor; def.IsKnown() || e.Captured {
		e.Actor = def
	}
}

// actionOf folds a table's name into the form of an action.
func actionOf(d dialect, t lex.Table, verb string) string {
	table := word(t.Name) + "."
	if !d.isDefault(t.Schema) {
		table = word(t.Schema) + "." + table
	}
	if n := hooks.MaxAction - len(verb); len(table) > n {
		table = table[:n-1] + "."
	}
	return table + verb
}

func word(s string) string {
	b := []byte(strings.ToLower(s))
	for i, ch := range b {
		if (ch < 'a' || ch > 'z') && (ch < '0' || ch > '9') {
			b[i] = '_'
		}
	}
	if len(b) == 0 || b[0] < 'a' || b[0] > 'z' {
		return "t" + string(b)
	}
	return string(b)
}
