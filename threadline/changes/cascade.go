package changes

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// Foreign keys change rows without a statement of the app's, at the trigger depth of the statement that they follow. Their
// actions are never deferred: when the change of a row that is referred to is captured, the rows that referred to it have
// been changed, and their changes are captured next. So a change of a row that still refers to what is gone was made by the
// action, unless
//
//   - the row came to refer to it after that, which a deferred foreign key allows,
//   - a BEFORE trigger or a rule may have kept the action from the row,
//   - changes of the transaction were lost, so that neither shows,
//   - or one statement has changed both rows: by a foreign key from a table to itself, which is left out, or by a
//     WITH that changes data, which does not show.

// mostCompleted is for how many updates of a transaction the values that they have not changed are looked up.
const mostCompleted = 100

// tuple are the values of a foreign key's columns before or after a change.
type tuple struct {
	text  string
	known bool // all are; if one is NULL, text is "", and the row refers to nothing
}

// refers reports whether the values surely refer to something.
func (t tuple) refers() bool { return t.known && t.text != "" }

// cascadeReader finds the changes of a transaction that foreign keys have made.
type cascadeReader struct {
	*reading.Snapshot
	list      []Change // under the names that columns have now
	rows      []*reading.Row
	completed int // how many updates' values were looked up: see mostCompleted
}

// referred are values that rows refer to by a foreign key.
type referred struct {
	key    *reading.ForeignKey
	values string
}

// removal is the change by which values that rows refer to went.
type removal struct {
	op    Op
	depth int
	now   tuple // what they have become
}

// setForeignKeys sets ForeignKey of a transaction's changes, which come in order.
func setForeignKeys(ctx context.Context, r *reading.Snapshot, list []Change, rows []*reading.Row) error {
	c := &cascadeReader{Snapshot: r, rows: rows}
	from, to := make(map[int64][]*reading.ForeignKey), make(map[int64][]*reading.ForeignKey) // by the OIDs of tables
	for _, t := range r.Tables {
		if t.LiveTable == nil {
			continue
		}
		for _, k := range t.Keys {
			if k.Child != k.Parent {
				from[k.Child], to[k.Parent] = append(from[k.Child], k), append(to[k.Parent], k)
			}
		}
	}
	if len(from) == 0 {
		return nil
	}
	for i := range list {
		now, err := rows[i].ChangeNow(r.Tables[rows[i].TableID])
		if err != nil {
			return catalog.Wrap("read the change at "+rows[i].LSN, err)
		}
		c.list = append(c.list, now)
	}
	gone := make(map[referred]removal)
	nested := make(map[referred]bool) // that triggers have made rows refer to
	forget := func(k *reading.ForeignKey, now tuple) {
		if now.known {
			delete(gone, referred{k, now.text})
			return
		}
		for g := range gone {
			if g.key == k {
				delete(gone, g)
			}
		}
	}
	for i := range list {
		t, depth := r.Tables[rows[i].TableID], rows[i].Depth
		if t.LiveTable == nil {
			continue
		}
		var names []string
		for _, k := range from[t.OID] {
			was, is, err := c.sides(ctx, i, t, k.Columns)
			if err != nil {
				return err
			}
			if e, ok := gone[referred{k, was.text}]; ok && was.refers() && e.depth == depth && k.Acts && !interferes(t.LiveTable, &c.list[i], k) && e.makes(k, c.list[i].Op, is) {
				names = append(names, k.Name)
			}
			forget(k, is)
			if is.refers() && depth > 1 {
				nested[referred{k, is.text}] = true
			}
		}
		list[i].ForeignKey = strings.Join(names, ", ")
		for _, k := range to[t.OID] {
			was, is, err := c.sides(ctx, i, t, k.References)
			if err != nil {
				return err
			}
			if was.refers() && was != is && !nested[referred{k, was.text}] {
				gone[referred{k, was.text}] = removal{c.list[i].Op, depth, is}
			}
			forget(k, is)
		}
	}
	return nil
}

// makes reports whether a foreign key's action explains a change: after the removal, an op on a row that referred to the values
// that went, and that has the values is now.
func (e removal) makes(k *reading.ForeignKey, op Op, is tuple) bool {
	action := k.OnDelete
	if e.op == Update {
		action = k.OnUpdate
	}
	switch action {
	case reading.Cascades:
		return e.op == Delete && op == Delete || e.op == Update && op == Update && is.refers() && is == e.now
	case reading.SetNull:
		return op == Update && is.known && is.text == ""
	case reading.SetDefault:
		return op == Update
	}
	return false
}

// interferes reports whether something may have kept a foreign key's action from the row of a change.
func interferes(t *reading.LiveTable, c *Change, k *reading.ForeignKey) bool {
	return t.Rules || slices.ContainsFunc(t.Triggers, func(g reading.LiveTrigger) bool {
		return g.Type&reading.TriggerRow != 0 && g.Type&reading.TriggerBefore != 0 && g.Fires(c.Op, k.Columns)
	})
}

// sides returns the values of columns before and after a change. Both are the same if it has changed none of them.
func (c *cascadeReader) sides(ctx context.Context, i int, t *reading.Table, columns []string) (was, is tuple, err error) {
	change := &c.list[i]
	if change.Op == Truncate {
		return was, was, nil
	}
	values := make(map[string]*Field)
	for n := range change.Fields {
		values[change.Fields[n].Name] = &change.Fields[n]
	}
	missing := slices.DeleteFunc(slices.Clone(columns), func(name string) bool { return values[name] != nil })
	if len(missing) == len(columns) && change.Op == Update && !change.Drifted {
		return tuple{known: true}, tuple{known: true}, nil // it has changed none of them
	}
	if len(missing) > 0 && change.Op == Update && !change.Drifted {
		if err = c.complete(ctx, i, t, missing, values); err != nil {
			return was, is, err
		}
	}
	side := func(there bool, of func(*Field) *Value) tuple {
		if !there {
			return tuple{known: true}
		}
		var b strings.Builder
		null := false
		for _, name := range columns {
			f := values[name]
			if f == nil || !reading.IsWhole(of(f)) {
				return tuple{}
			}
			v := of(f)
			if null = null || v.Text == nil; v.Text != nil {
				b.WriteString(*v.Text + "\x00")
			}
		}
		if null {
			return tuple{known: true}
		}
		return tuple{b.String(), true}
	}
	was = side(change.Op != Insert, func(f *Field) *Value { return &f.Old })
	is = side(change.Op != Delete, func(f *Field) *Value { return &f.New })
	return was, is, nil
}

// complete adds the values of columns that an update has not changed: those of the key, and those that the row's history has.
func (c *cascadeReader) complete(ctx context.Context, i int, t *reading.Table, missing []string, values map[string]*Field) error {
	change := &c.list[i]
	add := func(name string, v Value) { values[name] = &Field{Name: name, Old: v, New: v} }
	left := slices.DeleteFunc(missing, func(name string) bool {
		n := slices.Index(t.Key, name)
		if n < 0 || n >= len(change.Key) {
			return false
		}
		add(name, Value{Text: &change.Key[n]})
		return true
	})
	if len(left) == 0 || change.Key == nil || c.completed >= mostCompleted {
		return nil
	}
	sh, err := t.ShapeOf(c.rows[i])
	if err != nil {
		return err
	}
	if slices.ContainsFunc(left, func(name string) bool { return t.Now.Find(sh, name) != t.Now.Position(name) }) {
		return nil // RowAfter has the names of then
	}
	c.completed++
	// A role that may read the changes, but not audit_captures or the app's table, gets what the changes say.
	readable, err := c.Reader.Catalog.CapturesReadable(ctx, c.Tx)
	if err != nil || !readable {
		return catalog.Wrap("read the captures of "+t.Label(), err)
	}
	row, err := rowAfter(ctx, c.Snapshot, &reading.KeptChange{Change: *change, Row: c.rows[i]})
	var unknown *AsOfError
	switch {
	case errors.As(err, &unknown), errors.Is(err, errUnreadable):
		return nil
	case err != nil:
		return err
	}
	for _, v := range row.Values {
		if !v.Unknown && slices.Contains(left, v.Name) {
			add(v.Name, v.Value)
		}
	}
	return nil
}
