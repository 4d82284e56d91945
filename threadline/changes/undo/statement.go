package undo

import (
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// sql returns the step's statement, "" if foreign keys do all that it would do. together are
// the steps of the same statement.
func (st *step) sql(together []*step) string {
	t := st.table
	switch st.op() {
	case change.Delete:
		return "DELETE FROM " + t.Only() + " WHERE " + st.where() + st.unreferred(together) + st.enforced()
	case change.Insert:
		var names, literals []string
		overriding := ""
		for _, f := range st.sets() {
			c := t.Column(f.Name)
			if c.Always {
				overriding = " OVERRIDING SYSTEM VALUE"
			}
			names, literals = append(names, pgschema.Ident(f.Name)), append(literals, c.Literal(f.Old))
		}
		return "INSERT " + orAbort(t) + "INTO " + t.Name + " (" + strings.Join(names, ", ") + ")" + overriding + " VALUES (" + strings.Join(literals, ", ") + ")"
	}
	var sets []string
	for _, f := range st.sets() {
		sets = append(sets, pgschema.Ident(f.Name)+" = "+t.Column(f.Name).Literal(f.Old))
	}
	if len(sets) == 0 {
		return ""
	}
	return "UPDATE " + orAbort(t) + t.Only() + " SET " + strings.Join(sets, ", ") + " WHERE " + st.where() + st.unreferred(together) + st.enforced()
}

// where is the condition that finds the row, as the steps before have left it. If another row gets its key, the values that were not
// changed, as they are now, say which of the two it is.
func (st *step) where() string {
	t := st.table
	var conditions []string
	for i, k := range t.Key {
		text := st.after[i]
		if st.carried[k] {
			text = st.before[i]
		}
		v, _ := t.KeyValue(text)
		conditions = append(conditions, t.Column(k).Equals("", v))
	}
	var columns []*reading.LiveColumn
	var left []change.Value
	for i := range t.Columns {
		c := &t.Columns[i]
		if slices.Contains(t.Key, c.Name) && c.Exact || st.carried[c.Name] {
			continue
		}
		if f := st.guard(c); f != nil {
			columns, left = append(columns, c), append(left, f.New)
		} else if v, known := st.live[c.Name]; known && st.exchanged && st.field(c.Name) == nil && !c.Generated && !t.Hides(c.Name) {
			columns, left = append(columns, c), append(left, v)
		}
	}
	conditions = append(conditions, identical(columns, left)...)
	where := allOf(conditions)
	if len(t.Key) == 0 { // of several rows that are the same, one
		where = t.Locator + " = (SELECT " + strings.Trim(t.Locator, "()") + " FROM " + t.Only() + " WHERE " + where + " LIMIT 1)"
	}
	return where
}

// sets are the fields that an INSERT or UPDATE sets to their old values.
func (st *step) sets() (fields []*change.Field) {
	for _, f := range st.fields {
		// What is not known here is only that of a change in between, which the undo of one before it writes.
		if c := st.table.Column(f.Name); c != nil && !c.Generated && reading.IsWhole(&f.Old) && !st.carried[f.Name] && (st.op() == change.Insert || !f.Unchanged()) {
			fields = append(fields, f)
		}
	}
	return fields
}

// orAbort is how a statement begins that must remove no other row, whatever the table says ON CONFLICT.
func orAbort(t *reading.Table) string {
	if t.Dialect == hooks.SQLite {
		return "OR ABORT "
	}
	return ""
}

// enforced is the condition, on SQLite, that foreign keys are enforced if they were when the undo was made, and not if they were not;
// "" if that does not decide what else the statement does.
func (st *step) enforced() string {
	if st.table.Dialect != hooks.SQLite || !slices.ContainsFunc(st.table.Referred, func(k *reading.ForeignKey) bool {
		_, takes := st.takesAway(k.References, k.Same)
		return takes
	}) {
		return ""
	}
	if st.table.Enforces {
		return " AND (SELECT foreign_keys FROM pragma_foreign_keys) = 1"
	}
	return " AND (SELECT foreign_keys FROM pragma_foreign_keys) = 0"
}

// otherLiteRow is otherRow for SQLite.
func otherLiteRow(t *reading.Table, a, b string) string {
	same := make([]string, len(t.Identity))
	for i, name := range t.Identity {
		same[i] = a + "." + name + " = " + b + "." + name
	}
	return "NOT (" + strings.Join(same, " AND ") + ")"
}

// allOf joins conditions by AND. To SQLite an expression may be 1,000 deep at most, and each AND is one deeper.
func allOf(conditions []string) string {
	const most = 100
	if len(conditions) <= most {
		return strings.Join(conditions, " AND ")
	}
	half := len(conditions) / 2
	return "(" + allOf(conditions[:half]) + ") AND (" + allOf(conditions[half:]) + ")"
}

// identical are the conditions that columns have values, of the same bytes.
func identical(columns []*reading.LiveColumn, list []change.Value) (conditions []string) {
	var names, literals []string
	for i, c := range columns {
		switch {
		case c.Native:
			conditions = append(conditions, c.Equals("", list[i]))
			continue
		case list[i].Text != nil && strings.HasSuffix(c.Base, "[]"), c.MayHaveArray(list[i]): // of a domain, too
			conditions = append(conditions, c.IsArray(list[i]))
			continue
		}
		names, literals = append(names, pgschema.Ident(c.Name)), append(literals, c.Literal(list[i]))
	}
	if len(names) > 0 {
		conditions = append(conditions, "ROW("+strings.Join(names, ", ")+")::record OPERATOR(pg_catalog.*=) ROW("+strings.Join(literals, ", ")+")::record")
	}
	return conditions
}

// endangering are the foreign keys that would delete or change other rows if the step took its row,
// or the row's key, away.
func (st *step) endangering() (list []*reading.ForeignKey) {
	for _, k := range st.table.Referred {
		action := k.OnDelete
		if st.op() == change.Update {
			if action = k.OnUpdate; action == reading.Cascades {
				continue
			}
		}
		if _, takes := st.takesAway(k.References, k.Same); takes && (action == reading.Cascades || action == reading.SetNull || action == reading.SetDefault) {
			list = append(list, k)
		}
	}
	return list
}

// unreferred is the condition that no row refers to the one that is taken away, other than those
// that the same statement takes away.
func (st *step) unreferred(together []*step) string {
	var b strings.Builder
	for _, k := range st.endangering() {
		if k.ChildSecures { // the role that executes it may see less than this one
			b.WriteString(" AND NOT pg_catalog.row_security_active(" + pgtext.Literal(k.ChildName) + ")")
		}
		b.WriteString(" AND NOT EXISTS (SELECT 1 FROM " + k.ChildName + " referring WHERE " + refersTo(k, st))
		if k.Child == st.table.OID {
			b.WriteString(" AND " + otherRow(st.table, "referring", st.table.Name))
		}
		for _, o := range together {
			if o == st || o.table.OID != k.Child || !o.exists || len(o.table.Key) == 0 {
				continue
			}
			var same []string
			for i, name := range o.table.Key {
				v, _ := o.table.KeyValue(o.after[i])
				same = append(same, o.table.Column(name).Equals("referring.", v))
			}
			b.WriteString(" AND NOT (" + strings.Join(same, " AND ") + ")")
		}
		b.WriteString(")")
	}
	return b.String()
}

// refersTo is the condition that a row refers to that of a step.
func refersTo(k *reading.ForeignKey, st *step) string {
	var conditions []string
	for i, name := range k.References {
		v, _ := st.is(name)
		column := "referring." + pgschema.Ident(k.Columns[i])
		if st.table.Dialect == hooks.SQLite { // which compares as the row that is referred to does
			conditions = append(conditions, st.table.Name+"."+pgschema.Ident(name)+" = "+column)
			continue
		}
		conditions = append(conditions, st.table.Column(name).EqualsColumn(column, v))
	}
	return strings.Join(conditions, " AND ")
}

// locks is the statement that keeps others from making rows that refer to the one that is to be taken away, "" if that does not
// matter. The statement that takes it away would not see rows that are made while it waits.
func (st *step) locks() string {
	if st.table.Dialect == hooks.SQLite || st.op() == change.Insert || len(st.endangering()) == 0 {
		return ""
	}
	return "SELECT 1 FROM " + st.table.Only() + " WHERE " + st.where() + " FOR UPDATE"
}

// otherRow is the condition that two are different rows of the table.
func otherRow(t *reading.Table, a, b string) string {
	if t.Dialect != hooks.SQLite {
		return "(" + a + ".tableoid, " + a + ".ctid) <> (" + b + ".tableoid, " + b + ".ctid)"
	}
	return otherLiteRow(t, a, b)
}
