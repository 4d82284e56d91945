package changes

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// step undoes the changes of a row together: it makes of what they left what was there before.
type step struct {
	table           *undoTable
	changes         []*undoChange // in the order in which they were made
	existed, exists bool          // before the changes, and after them
	before, after   []string      // the keys; nil for rows without one
	fields          []*Field      // with the first old value, and the last new one
	at              int           // where the last change was captured

	exchanged bool             // another row gets the key that it has now
	merged    bool             // the row was deleted, and inserted again
	torn      bool             // a change does not begin with what the one before it has left
	live      map[string]Value // the row as it is now, nil if it is not there, or has no key
	carried   map[string]bool  // columns that a foreign key's ON UPDATE CASCADE restores
	carriers  []*step          // the steps that it follows from
	origin    *step            // of which it undoes a part
}

// op is what the step does.
func (st *step) op() Op {
	switch {
	case !st.existed:
		return Delete
	case !st.exists:
		return Insert
	}
	return Update
}

func (st *step) name() string {
	if st.exists {
		return nameOf(st.table.label(), st.table.plain(st.after))
	}
	return nameOf(st.table.label(), st.table.plain(st.before))
}

func (st *step) field(name string) *Field {
	for _, f := range st.fields {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// fold makes one step of changes of a row.
func fold(t *undoTable, changes []*undoChange, at int) *step {
	first, last := changes[0], changes[len(changes)-1]
	st := &step{table: t, changes: changes, at: at, existed: first.Op != Insert, exists: last.Op != Delete, carried: make(map[string]bool)}
	st.before, st.after = first.before(), last.after()
	for _, c := range changes {
		for i := range c.Fields {
			f := &c.Fields[i]
			if known := st.field(f.Name); known != nil {
				st.torn = st.torn || t.speaks == hooks.SQLite && isWhole(&known.New) && isWhole(&f.Old) && !sameValue(known.New, f.Old)
				known.New = f.New
				continue
			}
			one := *f
			st.fields = append(st.fields, &one)
		}
	}
	if t.liveTable != nil {
		place := func(f *Field) int {
			return slices.IndexFunc(t.Columns, func(c liveColumn) bool { return c.Name == f.Name })
		}
		slices.SortStableFunc(st.fields, func(a, b *Field) int { return place(a) - place(b) })
	}
	st.settle()
	return st
}

// settle leaves out of an update what is as it was before, unless it tells the row from others.
func (st *step) settle() {
	if st.op() == Update && st.table.keyed() {
		st.fields = slices.DeleteFunc(st.fields, sameSides)
	}
}

// nothing reports whether there is nothing to undo.
func (st *step) nothing() bool {
	return !st.torn && (!st.existed && !st.exists || st.op() == Update && !slices.ContainsFunc(st.fields, func(f *Field) bool { return !sameSides(f) }))
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
		if i := slices.IndexFunc(c.changes, func(c *undoChange) bool { return c.Op == Truncate }); i >= 0 {
			r.refuse(c.table, nil, nil, "TRUNCATE keeps no rows")
			continue
		}
		st := fold(c.table, c.changes, c.at)
		if st.op() == Insert && st.before != nil {
			deleted[key{c.table.id, c.table.text(st.before)}] = st
		}
		list = append(list, st)
	}
	for _, st := range list {
		d := deleted[key{st.table.id, st.table.text(st.after)}]
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
		st.settle()
	}
	return slices.DeleteFunc(list, (*step).nothing)
}

func (r *undoer) refuse(t *undoTable, key, columns []string, reason string) {
	r.undo.Refusals = append(r.undo.Refusals, Refusal{Table: t.label(), Key: t.plain(key), Columns: columns, Reason: reason})
}

// judge refuses a step of which not all is known.
func (r *undoer) judge(st *step) {
	t := st.table
	key := st.keyNow()
	refuse := func(reason string, columns ...string) {
		if len(columns) > 0 || strings.HasPrefix(reason, "the ") {
			r.refuse(t, key, columns, reason)
		}
	}
	if t.liveTable == nil {
		refuse("the table is gone, or was renamed, or its shapes are lost")
		return
	}
	for _, name := range st.hidden() {
		refuse("the undo would be made of what row-level security shows to this role of " + name + ": make it as a role that sees all rows")
	}
	switch {
	case t.keyed() && len(t.key) == 0:
		refuse("the table was captured with different keys")
		return
	case t.keyed() && t.speaks == hooks.SQLite && (len(key) != len(t.key) || slices.Contains(st.before, "") || slices.Contains(st.after, "")):
		refuse("the key of the row has, or had, NULL in it: it cannot be told from others")
		return
	case t.keyed() && len(key) != len(t.key):
		refuse("the key of the row is not known, because the table had lost its columns")
		return
	case st.torn:
		refuse("the history has a gap: a change does not begin with what the one before it has left, or a trigger of the app's has fired before those that capture")
		return
	}
	var masked, cut, gone, odd, always, retyped, missing []string
	for _, f := range st.fields {
		c := t.column(f.Name)
		switch {
		case c != nil && c.Generated || !st.existed:
		case f.Old.Masked || st.op() == Update && f.New.Masked:
			masked = append(masked, f.Name)
		case f.Old.Cut:
			cut = append(cut, f.Name)
		case c == nil:
			gone = append(gone, f.Name)
		case !c.is(f.Type):
			retyped = append(retyped, fmt.Sprintf("%s (%s, now %s)", f.Name, f.Type, c.Type))
		case !t.writable(f.Old):
			odd = append(odd, f.Name)
		case c.Always && st.op() == Update:
			always = append(always, f.Name)
		}
	}
	for _, k := range t.key {
		if t.column(k) == nil {
			gone = append(gone, k)
		}
	}
	drifted := slices.ContainsFunc(st.changes, func(c *undoChange) bool { return c.Drifted })
	if st.op() == Insert || st.merged || !t.keyed() || drifted && st.existed {
		missing = st.missing(drifted)
	}
	refuse("masked: their values were not kept", masked...)
	refuse("too long: only their lengths and digests were kept", cut...)
	refuse("dropped or renamed since", gone...)
	refuse("of another type since", retyped...)
	refuse("their values are not UTF-8", odd...)
	refuse("GENERATED ALWAYS AS IDENTITY: an UPDATE cannot give them the values back", always...)
	refuse("excluded, or not in the history for another reason: their values were not kept", missing...)
	if !t.keyed() && len(missing) == 0 && st.exists {
		refuse("without a key, and with values that were not kept, the row cannot be told from others", st.unchecked()...)
	}
}

// keyNow is the key that the row has, or had when it was there.
func (st *step) keyNow() []string {
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
		if k.ChildSecured && k.Child != st.table.OID && (st.op() == Delete || st.op() == Update && slices.ContainsFunc(k.References, func(c string) bool { return st.field(c) != nil })) {
			names = append(names, k.ChildName)
		}
	}
	return slices.Compact(names)
}

// missing are columns that the undo would need and that the changes do not have. What was added
// to the table after changes that have not drifted gets its default.
func (st *step) missing(drifted bool) (names []string) {
	for _, c := range st.table.Columns {
		has := func(u *undoChange) bool {
			return slices.ContainsFunc(u.Fields, func(f Field) bool { return f.Name == c.Name })
		}
		excluded := func(u *undoChange) bool { return u.shape != nil && slices.Contains(u.shape.Exclude, c.Name) }
		late := func(u *undoChange) bool { return !has(u) && st.table.unseen(u, c.Name) }
		if !c.Generated && (!slices.ContainsFunc(st.changes, has) && (drifted || !st.table.keyed() || slices.ContainsFunc(st.changes, excluded)) || slices.ContainsFunc(st.changes, late)) {
			names = append(names, c.Name)
		}
	}
	return names
}

// unchecked are the columns of the row that cannot be compared with what the changes left.
func (st *step) unchecked() (names []string) {
	for _, c := range st.table.Columns {
		if f := st.field(c.Name); !c.Generated && (st.op() == Delete || f != nil) && st.guard(&c) == nil && !slices.Contains(st.table.key, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// guard returns the field if the column can be compared with what the changes left.
func (st *step) guard(c *liveColumn) *Field {
	f := st.field(c.Name)
	if f == nil || c.Generated || !isWhole(&f.New) || !c.is(f.Type) || !st.table.writable(f.New) {
		return nil
	}
	return f
}

// writable reports whether SQL can have the value.
func (t *undoTable) writable(v Value) bool {
	return v.Text == nil || utf8.ValidString(*v.Text) || t.speaks == hooks.SQLite
}

// was and is are the values of a column before the changes, and after them; known is false
// where there is no row, or the value is not known.
func (st *step) was(name string) (v Value, known bool) {
	if !st.existed {
		return v, false
	}
	if f := st.field(name); f != nil {
		return f.Old, isWhole(&f.Old)
	}
	return st.unchanged(name, st.before)
}

func (st *step) is(name string) (v Value, known bool) {
	if !st.exists {
		return v, false
	}
	if f := st.field(name); f != nil {
		return f.New, isWhole(&f.New)
	}
	return st.unchanged(name, st.after)
}

func (st *step) unchanged(name string, key []string) (v Value, known bool) {
	if i := slices.Index(st.table.key, name); i >= 0 && i < len(key) {
		return st.table.keyValue(key[i])
	}
	v, known = st.live[name]
	return v, known
}

// keyValue is a value of a key.
func (t *undoTable) keyValue(text string) (v Value, known bool) {
	if t.speaks != hooks.SQLite {
		return Value{Text: &text}, true
	}
	v, err := parseSQLiteKey(text)
	return v, err == nil
}

// values are those of columns, as the text of a row; known is false if one is NULL or not known. On SQLite values have the same
// text if a constraint takes them for the same.
func values(names []string, of func(string) (Value, bool), same []sqliteSame) (text string, known bool) {
	list := make([]string, len(names))
	for i, n := range names {
		v, known := of(n)
		if !known || v.Text == nil {
			return "", false
		}
		if list[i] = *v.Text; same != nil {
			list[i] = same[i].fold(v)
		}
	}
	return rowtext.Format(list), true
}

// where finds the row, as the steps before have left it. Of a row whose key another gets, the other
// values as they are now say which one it is.
func (st *step) where() string {
	t := st.table
	var conditions []string
	for i, k := range t.key {
		text := st.after[i]
		if st.carried[k] {
			text = st.before[i]
		}
		v, _ := t.keyValue(text)
		conditions = append(conditions, t.column(k).equals("", v))
	}
	var columns []*liveColumn
	var left []Value
	for i := range t.Columns {
		c := &t.Columns[i]
		if slices.Contains(t.key, c.Name) && c.exact || st.carried[c.Name] {
			continue
		}
		if f := st.guard(c); f != nil {
			columns, left = append(columns, c), append(left, f.New)
		} else if v, known := st.live[c.Name]; known && st.exchanged && st.field(c.Name) == nil && !c.Generated && !t.hides(c.Name) {
			columns, left = append(columns, c), append(left, v)
		}
	}
	conditions = append(conditions, identical(columns, left)...)
	where := allOf(conditions)
	if len(t.key) == 0 { // of several rows that are the same, one
		where = t.place + " = (SELECT " + strings.Trim(t.place, "()") + " FROM " + t.only() + " WHERE " + where + " LIMIT 1)"
	}
	return where
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
func identical(columns []*liveColumn, list []Value) (conditions []string) {
	var names, literals []string
	for i, c := range columns {
		switch {
		case c.native:
			conditions = append(conditions, c.equals("", list[i]))
			continue
		case list[i].Text != nil && strings.HasSuffix(c.Base, "[]"): // of a domain, too
			conditions = append(conditions, c.isArray(list[i]))
			continue
		}
		names, literals = append(names, pgschema.Ident(c.Name)), append(literals, c.literal(list[i]))
	}
	if len(names) > 0 {
		conditions = append(conditions, "ROW("+strings.Join(names, ", ")+")::record OPERATOR(pg_catalog.*=) ROW("+strings.Join(literals, ", ")+")::record")
	}
	return conditions
}

// sets are the columns that an update restores.
func (st *step) sets() (fields []*Field) {
	for _, f := range st.fields {
		// What is not known here is only that of a change in between, which the undo of one before it writes.
		if c := st.table.column(f.Name); c != nil && !c.Generated && isWhole(&f.Old) && !st.carried[f.Name] && (st.op() == Insert || !sameSides(f)) {
			fields = append(fields, f)
		}
	}
	return fields
}

// sql returns the step's statement, "" if foreign keys do all that it would do. together are
// the steps of the same statement.
func (st *step) sql(together []*step) string {
	t := st.table
	switch st.op() {
	case Delete:
		return "DELETE FROM " + t.only() + " WHERE " + st.where() + st.unreferred(together) + st.enforced()
	case Insert:
		var names, literals []string
		overriding := ""
		for _, f := range st.sets() {
			c := t.column(f.Name)
			if c.Always {
				overriding = " OVERRIDING SYSTEM VALUE"
			}
			names, literals = append(names, pgschema.Ident(f.Name)), append(literals, c.literal(f.Old))
		}
		return "INSERT " + t.orAbort() + "INTO " + t.Name + " (" + strings.Join(names, ", ") + ")" + overriding + " VALUES (" + strings.Join(literals, ", ") + ")"
	}
	var sets []string
	for _, f := range st.sets() {
		sets = append(sets, pgschema.Ident(f.Name)+" = "+t.column(f.Name).literal(f.Old))
	}
	if len(sets) == 0 {
		return ""
	}
	return "UPDATE " + t.orAbort() + t.only() + " SET " + strings.Join(sets, ", ") + " WHERE " + st.where() + st.unreferred(together) + st.enforced()
}

// endangering are the foreign keys that would delete or change other rows if the step took its row,
// or the row's key, away.
func (st *step) endangering() (list []*foreignKey) {
	for _, k := range st.table.Referred {
		action := k.OnDelete
		if st.op() == Update {
			if action = k.OnUpdate; action == cascades {
				continue
			}
		}
		if _, takes := st.takesAway(k.References, k.same); takes && (action == cascades || action == setNull || action == setDefault) {
			list = append(list, k)
		}
	}
	return list
}

// takesAway returns the values of columns that the row has now, and that it will not have.
func (st *step) takesAway(columns []string, same []sqliteSame) (string, bool) {
	return gone(columns, st.is, st.was, same)
}

// brings returns the values of columns that the row will have, and has not now.
func (st *step) brings(columns []string, same []sqliteSame) (string, bool) {
	return gone(columns, st.was, st.is, same)
}

func gone(columns []string, of, other func(string) (Value, bool), same []sqliteSame) (string, bool) {
	v, ok := values(columns, of, same)
	if !ok {
		return "", false
	}
	o, ok := values(columns, other, same)
	return v, !ok || o != v
}

// unreferred is the condition that no row refers to the one that is taken away, other than those
// that the same statement takes away.
func (st *step) unreferred(together []*step) string {
	var b strings.Builder
	for _, k := range st.endangering() {
		if k.ChildSecures { // the role that executes it may see less than this one
			b.WriteString(" AND NOT pg_catalog.row_security_active(" + pgtext.Literal(k.ChildName) + ")")
		}
		b.WriteString(" AND NOT EXISTS (SELECT 1 FROM " + k.ChildName + " referring WHERE " + k.refersTo(st))
		if k.Child == st.table.OID {
			b.WriteString(" AND " + st.table.otherRow("referring", st.table.Name))
		}
		for _, o := range together {
			if o == st || o.table.OID != k.Child || !o.exists || len(o.table.key) == 0 {
				continue
			}
			var same []string
			for i, name := range o.table.key {
				v, _ := o.table.keyValue(o.after[i])
				same = append(same, o.table.column(name).equals("referring.", v))
			}
			b.WriteString(" AND NOT (" + strings.Join(same, " AND ") + ")")
		}
		b.WriteString(")")
	}
	return b.String()
}

// refersTo is the condition that a row refers to that of a step.
func (k *foreignKey) refersTo(st *step) string {
	var conditions []string
	for i, name := range k.References {
		v, _ := st.is(name)
		column := "referring." + pgschema.Ident(k.Columns[i])
		if st.table.speaks == hooks.SQLite { // which compares as the row that is referred to does
			conditions = append(conditions, st.table.Name+"."+pgschema.Ident(name)+" = "+column)
			continue
		}
		conditions = append(conditions, st.table.column(name).equalsColumn(column, v))
	}
	return strings.Join(conditions, " AND ")
}

// locks is the statement that keeps rows from being made that refer to the one that is to be taken
// away, "" if that does not matter. A statement does not see those that are made while it waits.
func (st *step) locks() string {
	if st.table.speaks == hooks.SQLite || st.op() == Insert || len(st.endangering()) == 0 {
		return ""
	}
	return "SELECT 1 FROM " + st.table.only() + " WHERE " + st.where() + " FOR UPDATE"
}

// otherRow is the condition that two are different rows of the table.
func (t *undoTable) otherRow(a, b string) string {
	if t.speaks != hooks.SQLite {
		return "(" + a + ".tableoid, " + a + ".ctid) <> (" + b + ".tableoid, " + b + ".ctid)"
	}
	return t.otherLiteRow(a, b)
}
