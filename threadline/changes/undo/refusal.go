package undo

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// judge refuses a step of which not all is known.
func (r *undoer) judge(st *step) {
	t := st.table
	key := st.lastKey()
	refuse := func(reason string, columns ...string) {
		if len(columns) > 0 || strings.HasPrefix(reason, "the ") {
			r.refuse(t, key, columns, reason)
		}
	}
	switch {
	case t.LiveTable == nil && t.Copied:
		refuse("the changes are copies, and the table is in the app's database: ask for the undo there")
		return
	case t.LiveTable == nil:
		refuse("the table is gone, or was renamed, or its shapes are lost")
		return
	}
	for _, name := range st.hidden() {
		refuse("the undo would be made of what row-level security shows to this role of " + name + ": make it as a role that sees all rows")
	}
	switch {
	case t.Keyed() && len(t.Key) == 0:
		refuse("the table was captured with different keys, so that its history cannot follow rows: write the undo by hand, by what History says")
		return
	case t.Keyed() && t.Dialect == hooks.SQLite && (!st.keysKnown() || slices.Contains(st.before, "") || slices.Contains(st.after, "")):
		refuse("the key of the row has, or had, NULL in it: the row cannot be distinguished from others")
		return
	case t.Keyed() && !st.keysKnown():
		refuse("the key of the row is not known, because the table had lost its columns")
		return
	case st.torn:
		refuse("the history has a gap: a change does not begin with what the one before it has left, or a trigger of the app's has fired before those that capture")
		return
	}
	var masked, shortened, gone, odd, always, retyped, missing []string
	for _, f := range st.fields {
		c := t.Column(f.Name)
		switch {
		case c != nil && c.Generated || !st.existed:
		case f.Old.Masked || st.op() == change.Update && f.New.Masked:
			masked = append(masked, f.Name)
		case f.Old.Shortened:
			shortened = append(shortened, f.Name)
		case c == nil:
			gone = append(gone, f.Name)
		case !c.Is(f.Type):
			retyped = append(retyped, fmt.Sprintf("%s (%s, now %s)", f.Name, f.Type, c.Type))
		case !writable(t, f.Old):
			odd = append(odd, f.Name)
		case c.Always && st.op() == change.Update:
			always = append(always, f.Name)
		}
	}
	for _, k := range t.Key {
		if t.Column(k) == nil {
			gone = append(gone, k)
		}
	}
	drifted := slices.ContainsFunc(st.changes, func(c *reading.KeptChange) bool { return c.Drifted })
	if st.op() == change.Insert || st.merged || !t.Keyed() || drifted && st.existed {
		missing = st.missing(drifted)
	}
	refuse("masked: their values were not kept", masked...)
	refuse("shortened: only their lengths and digests were kept", shortened...)
	refuse("dropped or renamed since", gone...)
	refuse("of another type since", retyped...)
	refuse("their values are not UTF-8", odd...)
	refuse("GENERATED ALWAYS AS IDENTITY: an UPDATE cannot give them the values back", always...)
	refuse("excluded, or not in the history for another reason: their values were not kept", missing...)
	if !t.Keyed() && len(missing) == 0 && st.exists {
		refuse("without a key, and with values that were not kept, the row cannot be distinguished from others", st.unchecked()...)
	}
}

func (r *undoer) refuse(t *reading.Table, key, columns []string, reason string) {
	r.script.Refusals = append(r.script.Refusals, Refusal{Table: t.Label(), Key: t.Plain(key), Columns: columns, Reason: reason})
}

// unseen reports whether a change may lack a column that it has changed, or whose value it should have: on SQLite, where the column
// was added and not captured yet.
func unseen(t *reading.Table, u *reading.KeptChange, column string) bool {
	if t.Dialect != hooks.SQLite || u.Shape == nil {
		return false
	}
	under := false // whether the capture that the change was kept under has come; of those with its shape it is the last by then
	for _, n := range t.Captures {
		switch {
		case n.ShapeID != nil && *n.ShapeID == u.Row.ShapeID.Int64 && n.NotedAt <= u.Row.Captured:
			if under = true; slices.Contains(n.Columns, column) {
				return false
			}
		case under && slices.Contains(n.Columns, column):
			return n.Resumed // else the driver has seen the column being added
		}
	}
	return true
}

// unseenBy are the columns that the updates of a step may have changed unseen.
func unseenBy(t *reading.Table, st *step) (names []string) {
	for _, c := range t.Columns {
		if !c.Generated && slices.ContainsFunc(st.changes, func(u *reading.KeptChange) bool { return u.Op == change.Update && unseen(t, u, c.Name) }) {
			names = append(names, c.Name)
		}
	}
	return names
}

// keysKnown reports whether the row's key is known before the changes, if it was there, and after them, if it is.
func (st *step) keysKnown() bool {
	return (!st.existed || len(st.before) == len(st.table.Key)) && (!st.exists || len(st.after) == len(st.table.Key))
}

// lastKey is the key that the row has, or had when it was there.
func (st *step) lastKey() []string {
	if st.after == nil {
		return st.before
	}
	return st.after
}

// hidden are the tables of which row-level security may hide rows that the undo has to know: its own, and those whose
// rows a foreign key would delete or change with it.
func (st *step) hidden() (names []string) {
	if st.table.Secured {
		names = append(names, st.table.Name)
	}
	for _, k := range st.table.Referred {
		if k.ChildSecured && k.Child != st.table.OID && (st.op() == change.Delete || st.op() == change.Update && slices.ContainsFunc(k.References, func(c string) bool { return st.field(c) != nil })) {
			names = append(names, k.ChildName)
		}
	}
	return slices.Compact(names)
}

// missing are columns that the undo would need and that the changes do not have. What was added
// to the table after changes that have not drifted gets its default.
func (st *step) missing(drifted bool) (names []string) {
	for _, c := range st.table.Columns {
		has := func(u *reading.KeptChange) bool {
			return slices.ContainsFunc(u.Fields, func(f change.Field) bool { return f.Name == c.Name })
		}
		excluded := func(u *reading.KeptChange) bool { return u.Shape != nil && slices.Contains(u.Shape.Exclude, c.Name) }
		late := func(u *reading.KeptChange) bool { return !has(u) && unseen(st.table, u, c.Name) }
		if !c.Generated && (!slices.ContainsFunc(st.changes, has) && (drifted || !st.table.Keyed() || slices.ContainsFunc(st.changes, excluded)) || slices.ContainsFunc(st.changes, late)) {
			names = append(names, c.Name)
		}
	}
	return names
}

// unchecked are the columns of the row that cannot be compared with what the changes left.
func (st *step) unchecked() (names []string) {
	for _, c := range st.table.Columns {
		if f := st.field(c.Name); !c.Generated && (st.op() == change.Delete || f != nil) && st.guard(&c) == nil && !slices.Contains(st.table.Key, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// guard returns the field if the column can be compared with what the changes left.
func (st *step) guard(c *reading.LiveColumn) *change.Field {
	f := st.field(c.Name)
	if f == nil || c.Generated || !reading.IsWhole(&f.New) || !c.Is(f.Type) || !writable(st.table, f.New) {
		return nil
	}
	return f
}

// writable reports whether the value can be written as a literal.
func writable(t *reading.Table, v change.Value) bool {
	return v.Text == nil || utf8.ValidString(*v.Text) || t.Dialect == hooks.SQLite
}
