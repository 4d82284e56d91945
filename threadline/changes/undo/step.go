package undo

import (
	"slices"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// step undoes the changes of one row together: it turns what they have left into what was there before.
type step struct {
	table           *reading.Table
	changes         []*reading.KeptChange // in the order in which they were made
	existed, exists bool                  // before the changes, and after them
	before, after   []string              // the keys; nil for rows without one
	fields          []*change.Field       // with the first old value, and the last new one
	at              int                   // where the last change was captured

	exchanged bool                    // another row gets the key that it has now
	merged    bool                    // the row was deleted, and inserted again
	torn      bool                    // a change does not begin with what the one before it has left
	live      map[string]change.Value // the row as it is now, nil if it is not there, or has no key
	carried   map[string]bool         // columns that a foreign key's ON UPDATE CASCADE restores
	carriers  []*step                 // the steps whose statements restore these
	origin    *step                   // the step of which it undoes a part: see unfold
}

// op is what the step does.
func (st *step) op() change.Op {
	switch {
	case !st.existed:
		return change.Delete
	case !st.exists:
		return change.Insert
	}
	return change.Update
}

func (st *step) name() string {
	if st.exists {
		return reading.NameOf(st.table.Label(), st.table.Plain(st.after))
	}
	return reading.NameOf(st.table.Label(), st.table.Plain(st.before))
}

func (st *step) field(name string) *change.Field {
	for _, f := range st.fields {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// fold makes one step of changes of a row.
func fold(t *reading.Table, changes []*reading.KeptChange, at int) *step {
	first, last := changes[0], changes[len(changes)-1]
	st := &step{table: t, changes: changes, at: at, existed: first.Op != change.Insert, exists: last.Op != change.Delete, carried: make(map[string]bool)}
	st.before, st.after = first.Before(), last.After()
	for _, c := range changes {
		for i := range c.Fields {
			f := &c.Fields[i]
			if known := st.field(f.Name); known != nil {
				st.torn = st.torn || t.Dialect == hooks.SQLite && reading.IsWhole(&known.New) && reading.IsWhole(&f.Old) && !known.New.Equal(f.Old)
				known.New = f.New
				continue
			}
			one := *f
			st.fields = append(st.fields, &one)
		}
	}
	if t.LiveTable != nil {
		place := func(f *change.Field) int {
			return slices.IndexFunc(t.Columns, func(c reading.LiveColumn) bool { return c.Name == f.Name })
		}
		slices.SortStableFunc(st.fields, func(a, b *change.Field) int { return place(a) - place(b) })
	}
	st.dropUnchanged()
	return st
}

// dropUnchanged removes from an update the fields that are as they were before, unless they distinguish the row from others.
func (st *step) dropUnchanged() {
	if st.op() == change.Update && st.table.Keyed() {
		st.fields = slices.DeleteFunc(st.fields, (*change.Field).Unchanged)
	}
}

// nothing reports whether there is nothing to undo.
func (st *step) nothing() bool {
	return !st.torn && (!st.existed && !st.exists || st.op() == change.Update && !slices.ContainsFunc(st.fields, func(f *change.Field) bool { return !f.Unchanged() }))
}

// steps folds chains. A row that was deleted and inserted again under its key is updated.
func (r *undoer) steps(chains []*chain) []*step {
	type key struct {
		table int64
		key   string
	}
	var list []*step
	deleted := make(map[key]*step)
	for _, c := range chains {
		if i := slices.IndexFunc(c.changes, func(c *reading.KeptChange) bool { return c.Op == change.Truncate }); i >= 0 {
			r.refuse(c.table, nil, nil, "TRUNCATE keeps no rows")
			continue
		}
		st := fold(c.table, c.changes, c.at)
		if st.op() == change.Insert && st.before != nil {
			deleted[key{c.table.ID, c.table.Text(st.before)}] = st
		}
		list = append(list, st)
	}
	for _, st := range list {
		d := deleted[key{st.table.ID, st.table.Text(st.after)}]
		if d == nil || st.existed || !st.exists || st.after == nil {
			continue
		}
		for _, f := range d.fields {
			if n := st.field(f.Name); n != nil {
				n.Old = f.Old
			} else {
				st.fields = append(st.fields, f)
			}
		}
		st.existed, st.before, st.merged = true, d.before, true
		st.changes, st.at = append(slices.Clone(d.changes), st.changes...), max(st.at, d.at)
		st.torn = st.torn || d.torn
		d.existed, d.torn = false, false // so that it does nothing
		st.dropUnchanged()
	}
	return slices.DeleteFunc(list, (*step).nothing)
}

// was and is are the values of a column before the changes, and after them; known is false
// where there is no row, or the value is not known.
func (st *step) was(name string) (v change.Value, known bool) {
	if !st.existed {
		return v, false
	}
	if f := st.field(name); f != nil {
		return f.Old, reading.IsWhole(&f.Old)
	}
	return st.unchanged(name, st.before)
}

func (st *step) is(name string) (v change.Value, known bool) {
	if !st.exists {
		return v, false
	}
	if f := st.field(name); f != nil {
		return f.New, reading.IsWhole(&f.New)
	}
	return st.unchanged(name, st.after)
}

func (st *step) unchanged(name string, key []string) (v change.Value, known bool) {
	if i := slices.Index(st.table.Key, name); i >= 0 && i < len(key) {
		return st.table.KeyValue(key[i])
	}
	v, known = st.live[name]
	return v, known
}

// values are those of columns, as the text of a row; known is false if one is NULL or not known. On SQLite values have the same
// text if a constraint takes them for the same.
func values(names []string, of func(string) (change.Value, bool), same []reading.SQLiteEquality) (text string, known bool) {
	list := make([]string, len(names))
	for i, n := range names {
		v, known := of(n)
		if !known || v.Text == nil {
			return "", false
		}
		if list[i] = *v.Text; same != nil {
			list[i] = same[i].Fold(v)
		}
	}
	return rowtext.Format(list), true
}

// takesAway returns the values of columns that the row has now, and that it will not have.
func (st *step) takesAway(columns []string, same []reading.SQLiteEquality) (string, bool) {
	return gone(columns, st.is, st.was, same)
}

// brings returns the values of columns that the row will have, and has not now.
func (st *step) brings(columns []string, same []reading.SQLiteEquality) (string, bool) {
	return gone(columns, st.was, st.is, same)
}

// gone returns the values of columns on one side, and whether the other side has others, or none.
func gone(columns []string, of, other func(string) (change.Value, bool), same []reading.SQLiteEquality) (string, bool) {
	v, ok := values(columns, of, same)
	if !ok {
		return "", false
	}
	o, ok := values(columns, other, same)
	return v, !ok || o != v
}
