package undo

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// What was in a table once need not be allowed there now: an enum may have lost a label, a column may have become NOT NULL, the table
// may have got a CHECK, and the partition may be gone. This is looked up only where no function of a role is called: it would run with
// the rights of the role that makes the undo. What is not looked up is a warning.

// writtenValue is a literal in the statement of a step.
type writtenValue struct {
	*step
	column, literal string
}

// checkTypes refuses values that are none of their types any more. It tries many at a time, and one by one only where that fails.
func (r *undoer) checkTypes(ctx context.Context, steps []*step) error {
	var all []writtenValue
	for _, st := range steps {
		all = append(all, r.written(st)...)
	}
	unread := make(map[string]bool)
	var list []string
	for _, v := range all {
		if _, known := unread[v.literal]; !known {
			unread[v.literal] = false
			list = append(list, v.literal)
		}
	}
	for chunk := range slices.Chunk(list, reading.AtOnce) {
		ok, err := areValid(ctx, r.Snapshot, chunk...)
		if err != nil {
			return err
		}
		for i := 0; !ok && i < len(chunk); i++ {
			one, err := areValid(ctx, r.Snapshot, chunk[i])
			if err != nil {
				return err
			}
			unread[chunk[i]] = !one
		}
	}
	refused := make(map[*step][]string)
	for _, v := range all {
		if unread[v.literal] && !slices.Contains(refused[v.step], v.column) {
			refused[v.step] = append(refused[v.step], v.column)
		}
	}
	for _, st := range steps {
		if refused[st] != nil {
			r.refuse(st.table, st.lastKey(), refused[st], "their types no longer take the values that they had: a label, an attribute or a domain was changed since")
		}
	}
	return nil
}

// written are the values, in the statement of a step, of types that are not PostgreSQL's own.
func (r *undoer) written(st *step) (list []writtenValue) {
	var sets []*change.Field
	for i := range st.table.Columns {
		c := &st.table.Columns[i]
		if c.Native || c.Space == "pg_catalog" {
			continue
		}
		if sets == nil {
			sets = st.sets()
		}
		f := st.field(c.Name)
		var values []change.Value
		if f != nil && st.existed && slices.Contains(sets, f) {
			values = append(values, f.Old)
		}
		if f != nil && st.exists && st.guard(c) != nil {
			values = append(values, f.New)
		}
		if k := slices.Index(st.table.Key, c.Name); f == nil && k >= 0 {
			values = st.keys(k)
		}
		if len(values) > 0 && c.Domain && !c.Inert {
			r.warnOnce("whether the domain of " + pgschema.Ident(c.Name) + " of " + st.table.Label() + " takes its former values is not looked up: if it does not, the statement fails")
		}
		for _, v := range values {
			if c.Inert {
				list = append(list, writtenValue{st, c.Name, c.Literal(v)})
			}
		}
	}
	return list
}

// keys are the values that a column of the key has in the statement, by its place in the key.
func (st *step) keys(column int) (values []change.Value) {
	for _, key := range [][]string{st.before, st.after} {
		if column < len(key) {
			values = append(values, change.Value{Text: &key[column]})
		}
	}
	return values
}

// areValid reports whether literals are values of their types, by computing them.
func areValid(ctx context.Context, r *reading.Snapshot, literals ...string) (bool, error) {
	text, err := r.Tried(ctx, "SELECT pg_catalog.concat(pg_catalog.num_nulls(ROW("+strings.Join(literals, ", ")+")))")
	return text.Valid, err
}

// warnOnce adds a warning, unless it is there.
func (r *undoer) warnOnce(text string) {
	if !slices.Contains(r.script.Warnings, text) {
		r.script.Warnings = append(r.script.Warnings, text)
	}
}

// checkConstraints finds rows that a NOT NULL or a CHECK would not allow, or that no partition is for.
func (r *undoer) checkConstraints(ctx context.Context, t *reading.Table, steps []*step) error {
	for chunk := range slices.Chunk(steps, reading.AtOnce) {
		sets := make(map[*step][]*change.Field)
		for _, st := range chunk {
			if st.table == t && st.existed {
				sets[st] = st.sets()
				r.notNull(st, sets[st])
			}
		}
		for i := range t.Checks {
			check := &t.Checks[i]
			var concerned []*step
			for _, st := range chunk {
				if slices.ContainsFunc(sets[st], func(f *change.Field) bool { return slices.Contains(check.Columns, f.Name) }) {
					concerned = append(concerned, st)
				}
			}
			if err := r.check(ctx, t, concerned, check); err != nil {
				return err
			}
		}
	}
	return nil
}

// notNull finds columns that would be NULL, and must not be.
func (r *undoer) notNull(st *step, sets []*change.Field) {
	var columns []string
	for i := range st.table.Columns {
		c := &st.table.Columns[i]
		if !c.NotNull || c.Generated {
			continue
		}
		f := st.field(c.Name)
		switch {
		case f == nil && st.op() == change.Insert && !slices.Contains(st.table.Key, c.Name) && !c.Default && !c.Native,
			f != nil && f.Old.Text == nil && slices.Contains(sets, f):
			columns = append(columns, c.Name)
		}
	}
	if len(columns) > 0 {
		r.conflict(st, NotAllowed, columns, "NOT NULL")
	}
}

// check finds rows that a CHECK would not allow.
func (r *undoer) check(ctx context.Context, t *reading.Table, steps []*step, check *reading.CheckConstraint) error {
	if len(steps) == 0 {
		return nil
	}
	unknown := func() {
		r.warnOnce("whether this is in the way of a row of " + t.Label() + " is not looked up: " + check.String())
	}
	if !check.Inert || slices.ContainsFunc(check.Columns, func(name string) bool { return t.Column(name) == nil || !t.Column(name).Inert }) {
		unknown()
		return nil
	}
	ordinal := "n"
	for t.Column(ordinal) != nil {
		ordinal += "n"
	}
	names := []string{ordinal}
	for _, name := range check.Columns {
		names = append(names, pgschema.Ident(name))
	}
	var list []string
	for n, st := range steps {
		literals := []string{strconv.Itoa(n)}
		for _, name := range check.Columns {
			if v, known := st.was(name); known && (!t.Column(name).Generated || st.field(name) != nil) {
				literals = append(literals, t.Column(name).Literal(v))
			}
		}
		if len(literals) <= len(check.Columns) {
			unknown()
			continue
		}
		list = append(list, "("+strings.Join(literals, ", ")+")")
	}
	if len(list) == 0 {
		return nil
	}
	text, err := r.Tried(ctx, fmt.Sprintf("SELECT pg_catalog.concat(pg_catalog.string_agg(%s::pg_catalog.text, ' ')) FROM (VALUES %s) %s (%s) WHERE (%s) IS FALSE",
		ordinal, strings.Join(list, ", "), pgschema.Ident(t.LastShape.Table), strings.Join(names, ", "), check.Expression))
	if err != nil {
		return err
	}
	if !text.Valid { // it cannot be computed
		unknown()
	}
	for _, n := range strings.Fields(text.String) {
		i, err := strconv.Atoi(n)
		if err != nil {
			return err
		}
		r.conflict(steps[i], NotAllowed, check.Columns, check.String())
	}
	return nil
}
