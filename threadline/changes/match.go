package changes

import (
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
	"github.com/go-aftercommit/aftercommit/threadline/internal/alias"
)

// capturedNames are the names under which a table was captured: each the schema and the table.
type capturedNames [][2]string

// is reports whether a table that had these names is one that the query means.
func (n capturedNames) is(q *Query, aliases alias.Names) bool {
	return slices.ContainsFunc(n, func(name [2]string) bool {
		if q.Schema != "" && name[0] != q.Schema {
			return false
		}
		return len(q.Tables) == 0 || slices.ContainsFunc(q.Tables, func(table string) bool {
			return slices.ContainsFunc(aliases.As(table), func(t string) bool { return t == name[1] || t == name[0]+"."+name[1] })
		})
	})
}

// candidate is a change that a query may match.
type candidate struct {
	Change
	at     position // of the change
	before position // of the change that was looked at before it
	names  capturedNames
	// numbered says that the transaction's number alone identifies it, as the random ones on SQLite do.
	numbered bool
	skip     bool // it is no change, or one of another table
	row      *reading.Row
	keys     meantKeys // of its table
}

// matchesPlain reports whether a change matches, as far as that does not depend on who made it.
func (q *Query) matchesPlain(c *candidate, aliases alias.Names) bool {
	return q.plain(c, aliases) && !slices.ContainsFunc(q.Not, func(n Query) bool { return !n.asksWho() && n.plain(c, aliases) })
}

// matchesWho reports whether a change that matchesPlain also matches as far as that depends on who made it.
func (q *Query) matchesWho(c *candidate, aliases alias.Names) bool {
	return q.who(c.By) && !slices.ContainsFunc(q.Not, func(n Query) bool { return n.asksWho() && n.plain(c, aliases) && n.who(c.By) })
}

// has reports whether the change has a key, or has changed it.
func (c *candidate) has(key []string) bool {
	return slices.ContainsFunc(c.keys[rowtext.Format(key)], func(text string) bool {
		return c.row.Key.Valid && c.row.Key.String == text || c.row.FormerKey.Valid && c.row.FormerKey.String == text
	})
}

func (q *Query) plain(c *candidate, aliases alias.Names) bool {
	switch {
	case (q.Schema != "" || len(q.Tables) > 0) && !c.names.is(q, aliases),
		len(q.Key) > 0 && !c.has(q.Key),
		q.XID != 0 && (c.XID != q.XID || !c.numbered && !c.TxStartedAt.Equal(ceil(q.TxStartedAt))),
		!q.From.IsZero() && c.CapturedAt.Before(q.From),
		!q.To.IsZero() && !c.CapturedAt.Before(q.To),
		len(q.Ops) > 0 && !slices.Contains(q.Ops, c.Op):
		return false
	}
	for _, name := range q.Fields {
		if !slices.ContainsFunc(c.Fields, func(f Field) bool { return f.Name == name && c.changed(&f) }) {
			return false
		}
	}
	for _, want := range q.Old {
		if c.Op == Insert || !slices.ContainsFunc(c.Fields, func(f Field) bool { return f.Name == want.Field && want.is(f.Old) }) {
			return false
		}
	}
	for _, want := range q.New {
		if c.Op == Delete || !slices.ContainsFunc(c.Fields, func(f Field) bool { return f.Name == want.Field && want.is(f.New) }) {
			return false
		}
	}
	for _, text := range q.Text {
		if !c.contains(strings.ToLower(text)) {
			return false
		}
	}
	return true
}

// changed reports whether the change has given a field another value: an update that has drifted has all fields.
func (c *candidate) changed(f *Field) bool {
	return c.Op != Update || !c.Drifted || (f.Old.Text == nil) != (f.New.Text == nil) || f.Old.Text != nil && *f.Old.Text != *f.New.Text
}

// is reports whether a value is the one that the query asks for. One that was not kept whole never is.
func (v FieldValue) is(value Value) bool {
	switch {
	case value.Masked || value.Shortened:
		return false
	case value.Text == nil:
		return v.Null
	}
	return !v.Null && v.Text == *value.Text
}

// contains reports whether a text in lower case occurs.
func (c *candidate) contains(text string) bool {
	in := func(s string) bool { return strings.Contains(strings.ToLower(s), text) }
	value := func(v Value) bool { return v.Text != nil && !v.Masked && !v.Shortened && in(*v.Text) }
	return slices.ContainsFunc(c.names, func(n [2]string) bool { return in(n[1]) }) ||
		slices.ContainsFunc(c.Key, in) || slices.ContainsFunc(c.FormerKey, in) ||
		slices.ContainsFunc(c.Fields, func(f Field) bool { return value(f.Old) || value(f.New) })
}

// who reports whether one of a transaction's contexts matches.
func (q *Query) who(by *Attribution) bool {
	if !q.asksWho() {
		return true
	}
	if q.Unattributed {
		known := func(c Context) bool { return c.Actor.Type != "" || c.Actor.ID != "" }
		if by != nil && slices.ContainsFunc(by.Contexts, known) {
			return false
		}
		if q.TenantID == "" && q.CorrelationID == "" && q.RequestID == "" {
			return true
		}
	}
	return by != nil && slices.ContainsFunc(by.Contexts, q.context)
}

// context reports whether all filters match one context.
func (q *Query) context(c Context) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return (q.ActorType == "" || q.ActorType == c.Actor.Type) && is(q.ActorID, c.Actor.ID) &&
		is(q.TenantID, c.TenantID) && is(q.CorrelationID, c.CorrelationID) && is(q.RequestID, c.RequestID)
}
