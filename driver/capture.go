package driver

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// maxTargets is how many targets of one table and operation get events of their
// own in a transaction; the rest share one without an ID.
const maxTargets = 100

// foldKey is what statements must share to share an event.
type foldKey struct {
	action string
	target hooks.Target
	values hooks.Values
}

// capture is an event that statements are folded into.
type capture struct {
	statements int
	rows       int64
	reading    int  // statements whose rows are still being read
	unknown    bool // the number of rows is not known
	shortened  bool
	maybe      bool // none of its statements has certainly changed anything
	index      int  // in the transaction's items
	key        foldKey
	learns     bool // the rows tell the key
}

// none reports that its statements turned out to have changed nothing.
func (f *capture) none() bool { return f.statements == 0 }

// complete writes the counts into the event.
func (f *capture) complete(e *hooks.Event) {
	m := map[string]any{"statements": f.statements}
	if !f.unknown && f.reading == 0 {
		m["rows"] = f.rows
	}
	if f.shortened {
		m["shortened"] = true
	}
	if f.maybe {
		m["conditional"] = true
	}
	for k, v := range e.Metadata {
		if k != "rows" && k != "statements" && k != "conditional" {
			m[k] = v
		}
	}
	e.Metadata = m
}

// matches reports whether a rule captures s.
func (c *conn) matches(s *lex.Statement) bool {
	if c.db.reg.cfg.rules == nil {
		return false
	}
	switch s.Kind {
	case lex.Write:
		for _, t := range s.Tables {
			if c.audits(t) {
				return true
			}
		}
	case lex.Schema:
		if c.auditsSchema(s) {
			return true
		}
	}
	for i := range s.Also {
		if c.audits(s.Also[i].Table) {
			return true
		}
	}
	return false
}

func (c *conn) audits(t lex.Table) bool {
	return c.db.reg.cfg.rules.match(t) && !c.temporary(t)
}

func (c *conn) auditsSchema(s *lex.Statement) bool {
	switch {
	case s.Temporary:
		return false
	case s.On.Name != "": // an index, a trigger: what matters is the table
		return c.audits(s.On)
	case len(s.Tables) == 0:
		return c.db.reg.cfg.rules.all
	default:
		return c.audits(s.Tables[0])
	}
}

// capture makes events of statements that have been executed; res is nil where
// they were queried. It returns the events whose rows are still to be counted.
func (c *conn) capture(ctx context.Context, j job, res driver.Result) []*capture {
	if feeds(j.stmts, j.args) {
		return nil
	}
	rows, known := int64(0), false
	if res != nil && len(j.stmts) == 1 {
		n, err := res.RowsAffected()
		rows, known = n, err == nil && (n > 0 || j.stmts[0].Op != lex.Merge) // which lib/pq does not count
	}
	var captures []*capture
	for i := range j.stmts {
		s := &j.stmts[i]
		c.captureAlso(ctx, s, j.args)
		switch {
		case s.Kind == lex.Schema:
			if c.auditsSchema(s) {
				c.captureSchema(ctx, s)
			}
		case s.Kind != lex.Write, known && rows == 0 && s.Op != lex.Truncate:
		default:
			for _, t := range s.Tables {
				if f := c.captureWrite(ctx, lex.Target{Table: t, Op: s.Op, Key: s.Key}, j.args); f != nil {
					f.statements++
					f.rows += rows
					if res == nil && s.Returning && len(j.stmts) == 1 {
						f.reading++
						f.learns = s.ReturnsKey && f.key.target.ID == ""
						captures = append(captures, f)
					} else if !known || s.Op == lex.Truncate {
						f.unknown = true
					}
				}
			}
		}
	}
	return captures
}

// captureAlso makes events of what a statement within s writes to. Nobody says
// how many rows, or whether any.
func (c *conn) captureAlso(ctx context.Context, s *lex.Statement, args []driver.NamedValue) {
	for i := range s.Also {
		if f := c.captureWrite(ctx, s.Also[i], args); f != nil {
			f.statements++
			f.unknown = true
		}
	}
}

// feeds reports whether a call only hands lib/pq a row of a COPY FROM.
func feeds(stmts []lex.Statement, args []driver.NamedValue) bool {
	return len(args) > 0 && len(stmts) == 1 && stmts[0].Kind == lex.Write && stmts[0].Verb == "COPY"
}

// captureClosed makes events of a COPY that the Close of its statement ended.
func (c *conn) captureClosed(stmts []lex.Statement) {
	if c.open && c.tx.mode != hooks.Off {
		c.capture(context.Background(), job{stmts: stmts}, nil)
	}
}

// heed keeps the names of temporary tables, whose writes are nobody's business,
// from statements that have been executed.
func (c *conn) heed(stmts []lex.Statement) {
	for i := range stmts {
		s := &stmts[i]
		switch {
		case s.Kind != lex.Schema || len(s.Tables) == 0:
		case s.Temporary && (strings.HasPrefix(s.Verb, "CREATE") || s.Verb == "SELECT INTO"):
			if c.temp == nil {
				c.temp = make(map[string]bool)
			}
			c.temp[c.tempName(s.Tables[0])] = c.open && !c.tx.own
		case s.Verb == "DROP TABLE":
			for _, t := range s.Tables {
				delete(c.temp, c.tempName(t))
			}
		}
	}
}

func (c *conn) tempName(t lex.Table) string {
	if c.postgres() {
		return t.Name
	}
	return strings.ToLower(t.Name)
}

// forget drops the temporary tables that were made in a transaction: they may
// have gone with it, and an event too many is better than one too few.
func (c *conn) forget() {
	for name, inside := range c.temp {
		if inside {
			delete(c.temp, name)
		}
	}
}

func (c *conn) temporary(t lex.Table) bool {
	_, ok := c.temp[c.tempName(t)]
	return ok
}

var verbs = [...]string{
	lex.Insert: "inserted", lex.Update: "updated", lex.Delete: "deleted", lex.Upsert: "upserted",
	lex.Truncate: "truncated", lex.Merge: "merged",
}

func (c *conn) captureWrite(ctx context.Context, t lex.Target, args []driver.NamedValue) *capture {
	if !c.audits(t.Table) {
		return nil
	}
	key := foldKey{
		action: actionOf(t.Table, verbs[t.Op]),
		target: hooks.Target{Type: nameOf(t.Table), ID: keyOf(t.Key, args)},
		values: c.origin(ctx),
	}
	return c.fold(key, nil)
}

func (c *conn) captureSchema(ctx context.Context, s *lex.Statement) {
	key := foldKey{action: "schema.changed", target: hooks.Target{Type: "schema", Name: s.Verb}, values: c.origin(ctx)}
	if len(s.Tables) > 0 {
		key.target.ID = nameOf(s.Tables[0])
	}
	if f := c.fold(key, map[string]any{"statement": s.Verb}); f != nil {
		f.maybe = s.Conditional && (f.maybe || f.none())
		f.statements++
		f.unknown = true
	}
}

// fold finds the event that a statement belongs to, or adds one. It returns nil
// where the transaction's limit is reached.
func (c *conn) fold(key foldKey, meta map[string]any) *capture {
	t := &c.tx
	if f := c.folded(key); f != nil {
		return f
	}
	if key.target.ID != "" && key.action != "schema.changed" && !t.room(key) {
		key.target.ID = ""
		if f := c.folded(key); f != nil {
			return f
		}
	}
	if len(t.items) >= c.db.reg.cfg.maxEvents {
		c.uncaptured(1, "limit")
		return nil
	}
	f := &capture{index: len(t.items), key: key}
	e := hooks.Event{
		OccurredAt: time.Now().UTC().Truncate(time.Microsecond),
		Action:     key.action, Outcome: hooks.Success, Target: key.target, Metadata: meta, Captured: true,
	}
	e.ID, _ = uuid.NewV7()
	c.attribute(&e, key.values)
	f.shortened = hooks.Shorten(&e)
	t.items = append(t.items, item{event: e, fold: f})
	if t.folds == nil {
		t.folds = make(map[foldKey]*capture)
	}
	t.folds[key] = f
	return f
}

// room reports whether one more target can have an event of its own, and counts
// it.
func (t *txn) room(key foldKey) bool {
	key.target.ID = ""
	if t.targets[key] >= maxTargets {
		return false
	}
	if t.targets == nil {
		t.targets = make(map[foldKey]int)
	}
	t.targets[key]++
	return true
}

// learned gives the one row of an INSERT … RETURNING, whose event is f, an event
// of its own. It reports whether f could still be changed.
func (c *conn) learned(f *capture, id string) bool {
	if c.folded(f.key) != f {
		return false
	}
	t, key := &c.tx, f.key
	key.target.ID = id
	if f.statements == 1 && f.index == len(t.items)-1 && c.folded(key) == nil && t.room(key) {
		delete(t.folds, f.key)
		t.folds[key], f.key = f, key
		e := &t.items[f.index].event
		e.Target.ID = id
		f.shortened = hooks.Shorten(e) || f.shortened
		f.rows++
		return true
	}
	g := c.fold(key, nil)
	if g == nil {
		return false
	}
	f.statements--
	g.statements++
	g.rows++
	return true
}

// folded returns the event for key if it may still change: written since the
// innermost savepoint, and not flushed.
func (c *conn) folded(key foldKey) *capture {
	t := &c.tx
	f := t.folds[key]
	if f == nil || f.index < t.floor() || f.index >= len(t.items) || t.items[f.index].fold != f {
		return nil
	}
	return f
}

// origin is what is known about who runs a statement with ctx, and why: by ctx,
// else by that of the transaction's BEGIN, else by that of BeginTx, whose Tx
// outlives a raw COMMIT, else by the goroutine.
func (c *conn) origin(ctx context.Context) hooks.Values {
	if c.open {
		return hooks.Origin(ctx, c.tx.ctx, c.handle.ctx)
	}
	return hooks.Origin(ctx, c.handle.ctx)
}

// attribute says who: what the event itself names, else its origin, else the
// default actor.
func (c *conn) attribute(e *hooks.Event, origin hooks.Values) {
	origin.Fill(e)
	if e.Actor.IsZero() {
		e.Actor = c.db.reg.cfg.actor
	}
}

// nameOf is the exact name of a table, with its schema unless that is the
// default one.
func nameOf(t lex.Table) string {
	switch strings.ToLower(t.Schema) {
	case "", "public", "main":
		return t.Name
	}
	return t.Schema + "." + t.Name
}

// actionOf folds a table's name into the form of an action.
func actionOf(t lex.Table, verb string) string {
	table := word(t.Name) + "."
	if nameOf(t) != t.Name {
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

// keyOf is the key's value as text, or "" where it is not plain to see.
func keyOf(k lex.Key, args []driver.NamedValue) string {
	if !k.Found {
		return ""
	}
	if k.Param == 0 && k.ParamName == "" {
		return k.Literal
	}
	for _, a := range args {
		if (k.ParamName != "" && a.Name == k.ParamName) || (k.ParamName == "" && a.Ordinal == k.Param) {
			return textOf(a.Value)
		}
	}
	return ""
}

func textOf(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case []byte:
		if len(v) == 16 {
			if id, err := uuid.FromBytes(v); err == nil {
				return id.String()
			}
		}
		return string(v)
	case nil:
		return ""
	case bool, float64, time.Time, int, int32, uint64, fmt.Stringer:
		return fmt.Sprint(v)
	default:
		return ""
	}
}
