package driver

import (
	"context"
	"database/sql/driver"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// capturer makes events of the statements of a connection that its rules match.
type capturer struct {
	names *catalog
	keys  keyDialect
	base  driver.Conn
	// origin is what is known about who runs a statement.
	origin func(ctx context.Context) hooks.Values
	// uncaptured reports writes of which there is no event.
	uncaptured func(n int, reason string)
	// actions are those of earlier events.
	actions map[operation]string
}

// operation is what an action is named for.
type operation struct {
	table lex.Table
	op    lex.Op
}

// wants reports whether any of j's statements is captured, as far as can be
// known before they are executed.
func (p *capturer) wants(j *job) bool {
	if p.names.rules == nil {
		return false
	}
	for i := range j.stmts {
		if p.wantsOne(j, i) {
			return true
		}
	}
	return false
}

func (p *capturer) wantsOne(j *job, i int) bool {
	s := &j.stmts[i]
	switch {
	case i > j.names.split && (s.Kind != lex.Read || len(s.Also) > 0):
		return true // what it writes to is known afterwards
	case s.Kind == lex.Schema && len(p.schemaTargets(j, i)) > 0:
		return true
	case s.Kind == lex.Write:
		for _, t := range s.Tables {
			if _, ok := p.aimAt(j, j.names.of(i, t), s.Op); ok {
				return true
			}
		}
	}
	for _, t := range s.Also {
		if _, ok := p.aimAt(j, j.names.of(i, t.Table), t.Op); ok {
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
func (p *capturer) capture(ctx context.Context, to *txn.Record, j *job, res driver.Result) []unread {
	if feeds(j.stmts, j.args) {
		return nil
	}
	rows, known := p.affected(j, res)
	var captures []unread
	for i := range j.stmts {
		s := &j.stmts[i]
		p.captureAlso(ctx, to, j, i)
		if s.Kind == lex.Schema {
			p.captureSchema(ctx, to, j, i)
		}
		if s.Kind != lex.Write {
			continue
		}
		none := known && rows == 0 && s.Op != lex.Truncate
		for _, t := range s.Tables {
			r := j.names.of(i, t)
			a, ok := p.aimAt(j, r, s.Op)
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
			f := p.captureWrite(ctx, to, a, s.Target(t), s.Partial, j.args)
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

// captureAlso makes events of the writes inside the i-th statement, such as those in a WITH
// clause. The server does not say whether they changed any rows.
func (p *capturer) captureAlso(ctx context.Context, to *txn.Record, j *job, i int) {
	for _, t := range j.stmts[i].Also {
		a, ok := p.aimAt(j, j.names.of(i, t.Table), t.Op)
		if !ok {
			continue
		}
		if f := p.captureWrite(ctx, to, a, t, false, j.args); f != nil {
			f.Add(0)
			f.Uncounted()
		}
	}
}

// feeds reports whether a call only hands lib/pq a row of a COPY FROM.
func feeds(stmts []lex.Statement, args []driver.NamedValue) bool {
	return len(args) > 0 && len(stmts) == 1 && stmts[0].Kind == lex.Write && stmts[0].Verb == "COPY"
}

var verbs = [...]string{
	lex.Insert: "inserted", lex.Update: "updated", lex.Delete: "deleted", lex.Upsert: "upserted",
	lex.Truncate: "truncated", lex.Merge: "merged",
}

func (p *capturer) captureWrite(ctx context.Context, to *txn.Record, a aim, t lex.Target, wide bool, args []driver.NamedValue) *txn.Captured {
	if a.replaces {
		t.Op = lex.Upsert
	}
	o := txn.Operation{Effect: txn.Effect(t.Op), Wide: wide, Key: txn.Key{
		Action: p.action(operation{a.table, t.Op}),
		Target: hooks.Target{Type: nameOf(p.names.dialect, a.table)},
		Via:    a.via,
		Values: p.origin(ctx),
	}}
	switch spreads := t.Moves || a.moves; {
	case spreads && t.Op == lex.Update:
		o.Effect = txn.Moved
	case spreads && t.Op == lex.Upsert:
		o.Effect = txn.Replaced
	case a.cascades && t.Op == lex.Delete:
		o.Effect = txn.Cascaded
	}
	if a.named && (!p.names.session.lax || t.Op != lex.Insert && t.Op != lex.Upsert) {
		o.Key.Target.ID = p.keyOf(t.Key, a.key, args)
	}
	return p.captureOperation(to, o)
}

// captureOperation counts an operation in a record, if that is not full.
func (p *capturer) captureOperation(to *txn.Record, o txn.Operation) *txn.Captured {
	f := to.Capture(o)
	if f == nil {
		p.uncaptured(1, "limit")
	}
	return f
}

// captureSchema makes an event of each object that the i-th statement is about.
func (p *capturer) captureSchema(ctx context.Context, to *txn.Record, j *job, i int) {
	s := &j.stmts[i]
	for _, name := range p.schemaTargets(j, i) {
		key := txn.Key{Action: "schema.changed", Target: hooks.Target{Type: "schema", ID: name, Name: s.Verb}, Values: p.origin(ctx)}
		o := txn.Operation{Key: key, Effect: txn.Altered, Metadata: map[string]any{"statement": s.Verb}}
		if f := p.captureOperation(to, o); f != nil {
			f.Add(0)
			f.Uncounted()
			if !s.Conditional {
				f.Sure()
			}
		}
	}
}

// countUnseen counts what may have been written unseen, or more than is seen: by
// opaque statements, behind views of what is captured, and to what had its name
// only in the middle of a string.
func (p *capturer) countUnseen(j *job) {
	if p.names.rules == nil {
		return
	}
	opaque, views, passed, torn := 0, 0, 0, 0
	for i := range j.stmts {
		s := &j.stmts[i]
		if s.Kind == lex.Opaque || s.Partial {
			opaque++
		}
		if j.isLost(i) {
			passed++
		}
		for _, t := range s.Also {
			if a, _ := p.aimAt(j, j.names.of(i, t.Table), t.Op); a.torn {
				torn++
			}
		}
		if s.Kind != lex.Write {
			continue
		}
		for _, t := range s.Tables {
			r := j.names.of(i, t)
			a, ok := p.aimAt(j, r, s.Op)
			if a.torn {
				torn++
			}
			if !ok && !a.torn && p.missesAt(j, r, s.Op) {
				views++
			}
		}
	}
	p.uncaptured(opaque, "opaque")
	p.uncaptured(views, "view")
	p.uncaptured(passed, "several_statements")
	p.uncaptured(torn, "prepared")
}

// isLost reports whether what the i-th statement is about is not known, for one of
// its names.
func (j *job) isLost(i int) bool {
	s := &j.stmts[i]
	if i <= j.names.split {
		return false
	}
	lost := func(t lex.Table) bool { return j.names.of(i, t).unknown }
	switch {
	case s.Kind == lex.Schema && (s.Temporary || !aboutRelations(s)):
	case s.On.Name != "":
		return lost(s.On)
	case slices.ContainsFunc(s.Tables, lost):
		return true
	}
	return slices.ContainsFunc(s.Also, func(t lex.Target) bool { return lost(t.Table) })
}

func (p *capturer) action(o operation) string {
	action, known := p.actions[o]
	if !known {
		if p.actions == nil || len(p.actions) >= maxNames {
			p.actions = make(map[operation]string)
		}
		action = actionOf(p.names.dialect, o.table, verbs[o.op])
		p.actions[o] = action
	}
	return action
}

// actionOf folds a table's name into the form of an action.
func actionOf(d naming, t lex.Table, verb string) string {
	table := word(t.Name) + "."
	if !d.isDefault(t.Schema) {
		table = word(t.Schema) + "." + table
	}
	if n := hooks.MaxAction - len(verb); len(table) > n {
		table = strings.TrimSuffix(table[:n-1], ".") + "."
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
