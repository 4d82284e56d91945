package driver

import (
	"context"
	"database/sql/driver"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

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
				if f := c.captureWrite(ctx, s.Target(t), s.Partial, j.args); f != nil {
					f.add(rows)
					if res == nil && s.Returning && len(j.stmts) == 1 {
						f.reading++
						f.learns = s.ReturnsKey && f.key.target.ID == ""
						captures = append(captures, f)
					} else if !known || s.Op == lex.Truncate {
						f.unknown, f.sure = true, f.sure || s.Op == lex.Truncate
					}
				}
			}
		}
	}
	return captures
}

// captureAlso makes events of what a statement within s writes to. How many rows
// that were, or whether any, the server does not say.
func (c *conn) captureAlso(ctx context.Context, s *lex.Statement, args []driver.NamedValue) {
	for i := range s.Also {
		if f := c.captureWrite(ctx, s.Also[i], false, args); f != nil {
			f.add(0)
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

func (c *conn) captureWrite(ctx context.Context, t lex.Target, wide bool, args []driver.NamedValue) *capture {
	if !c.audits(t.Table) {
		return nil
	}
	a := act{deed: deed(t.Op), wide: wide, key: foldKey{
		action: actionOf(t.Table, verbs[t.Op]),
		target: hooks.Target{Type: nameOf(t.Table), ID: c.keyOf(t.Key, args)},
		values: c.origin(ctx),
	}}
	if t.Moves {
		a.deed = moved
	}
	return c.fold(a, nil)
}

func (c *conn) captureSchema(ctx context.Context, s *lex.Statement) {
	key := foldKey{action: "schema.changed", target: hooks.Target{Type: "schema", Name: s.Verb}, values: c.origin(ctx)}
	if len(s.Tables) > 0 {
		key.target.ID = nameOf(s.Tables[0])
	}
	if f := c.fold(act{key: key, deed: altered}, map[string]any{"statement": s.Verb}); f != nil {
		f.add(0)
		f.unknown, f.sure = true, f.sure || !s.Conditional
	}
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
