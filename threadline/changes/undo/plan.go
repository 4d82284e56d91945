package undo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// plan makes the undo of chains.
func (r *undoer) plan(ctx context.Context, chains []*chain) error {
	steps := r.steps(chains)
	for _, st := range steps {
		r.judge(st)
	}
	if len(r.script.Refusals) > 0 || len(steps) == 0 {
		return nil
	}
	if err := r.checkTypes(ctx, steps); err != nil || len(r.script.Refusals) > 0 {
		return err
	}
	if err := r.readLive(ctx, steps); err != nil {
		return err
	}
	groups := order(steps)
	if err := r.conflicts(ctx, steps); err != nil {
		return err
	}
	if err := r.CheckIntact(ctx, looked(steps)...); err != nil {
		return err
	}
	r.warn(steps)
	r.triggers(steps)
	r.settings(steps)
	for _, group := range groups {
		list := statements(group)
		if len(list) > 1 && group[0].table.Dialect == hooks.SQLite {
			r.script.Warnings = append(r.script.Warnings, "rows refer to each other: execute PRAGMA defer_foreign_keys = ON in the transaction, before the statements")
		}
		r.script.Statements = append(r.script.Statements, list...)
	}
	return nil
}

// looked are the tables in which rows of steps, or those that refer to them or that they refer to, may have been looked up.
func looked(steps []*step) []int64 {
	tables := make(map[int64]bool)
	for _, st := range steps {
		tables[st.table.OID] = true
		for _, k := range slices.Concat(st.table.Keys, st.table.Referred) {
			tables[k.Child], tables[k.Parent] = true, true
		}
	}
	return slices.Collect(maps.Keys(tables))
}

// statements are those of steps that belong together.
func statements(group []*step) (list []Statement) {
	var parts []Statement
	for _, st := range group {
		sql := st.sql(group)
		if sql == "" {
			continue
		}
		if lock := st.locks(); lock != "" {
			list = append(list, Statement{SQL: lock, Rows: 1, Comment: st.name() + ": keep others from referring to it"})
		}
		parts = append(parts, Statement{SQL: sql, Rows: 1, Comment: st.comment(), Unchecked: st.unchecked()})
	}
	if len(parts) < 2 || group[0].table.Dialect == hooks.SQLite {
		return append(list, parts...)
	}
	one := Statement{Rows: int64(len(parts))}
	var with, comments, from []string
	for i, p := range parts {
		with = append(with, fmt.Sprintf("part%d AS (%s RETURNING 1)", i+1, p.SQL))
		from = append(from, fmt.Sprintf("SELECT 1 FROM part%d", i+1))
		comments = append(comments, p.Comment)
		one.Unchecked = append(one.Unchecked, p.Unchecked...)
	}
	begin, union := "WITH "+strings.Join(with, ",\n")+"\n", strings.Join(from, " UNION ALL ")
	one.SQL = begin + union
	one.counted = begin + "SELECT pg_catalog.count(*) INTO undo_rows FROM (" + union + ") parts"
	one.Comment = strings.Join(comments, "; ") + ": together, because they refer to each other"
	return append(list, one)
}

// comment says for people what a step does.
func (st *step) comment() string {
	var times []string
	for _, c := range st.changes {
		if n := len(times); n == 0 || times[n-1] != string(c.Op) {
			times = append(times, string(c.Op))
		}
	}
	s := st.name() + ": undo of " + strings.Join(times, ", ")
	if st.op() == change.Update && st.before != nil && !slices.Equal(st.before, st.after) {
		s += "; its key becomes (" + strings.Join(st.table.Plain(st.before), ", ") + ")"
	}
	return s
}

// settings adds the settings on which the meaning of literals depends, and defers the constraints that may be broken between two
// statements.
func (r *undoer) settings(steps []*step) {
	var set, deferred []string
	local := func(name string) { set = append(set, "SET LOCAL "+name+" = "+reading.LiteralSettings[name]) }
	if slices.ContainsFunc(steps, (*step).nullsInArrays) {
		local("array_nulls")
	}
	if slices.ContainsFunc(steps, (*step).printsFloats) {
		set = append(set, "SET LOCAL extra_float_digits = 1")
	}
	for _, t := range tablesOf(steps) {
		if slices.Contains(t.Settings, "lc_monetary") {
			set = append(set, "SET LOCAL lc_monetary = 'C'")
		}
		if slices.ContainsFunc(t.Columns, func(c reading.LiveColumn) bool { return strings.HasPrefix(c.Type, "xml") }) {
			local("xmloption")
		}
		deferred = append(deferred, t.Deferrable...)
	}
	slices.Sort(deferred)
	if len(deferred) > 0 {
		set = append(set, "SET CONSTRAINTS "+strings.Join(slices.Compact(deferred), ", ")+" DEFERRED")
	}
	for i, s := range set {
		if !slices.Contains(set[:i], s) {
			r.script.Statements = append(r.script.Statements, Statement{SQL: s})
		}
	}
}

// nullsInArrays reports whether a value may be, or have in it, an array with NULL.
func (st *step) nullsInArrays() bool {
	null := func(text string) bool { return strings.Contains(text, "NULL") && strings.Contains(text, "{") }
	has := func(v *string) bool { return v != nil && null(*v) }
	return st.table.Dialect != hooks.SQLite && (slices.ContainsFunc(st.before, null) || slices.ContainsFunc(st.after, null) ||
		slices.ContainsFunc(st.fields, func(f *change.Field) bool { return has(f.Old.Text) || has(f.New.Text) }))
}

// printsFloats reports whether a value is compared by its text, which may have a float in it: see reading.LiveColumn.IsArray.
func (st *step) printsFloats() bool {
	may := func(c *reading.LiveColumn, f *change.Field) bool {
		return c.Name == f.Name && (c.MayHaveArray(f.Old) || c.MayHaveArray(f.New))
	}
	return slices.ContainsFunc(st.fields, func(f *change.Field) bool {
		return slices.ContainsFunc(st.table.Columns, func(c reading.LiveColumn) bool { return may(&c, f) })
	})
}

func tablesOf(steps []*step) (list []*reading.Table) {
	for _, st := range steps {
		if !slices.Contains(list, st.table) {
			list = append(list, st.table)
		}
	}
	return list
}

// triggers lists the app's triggers that fire.
func (r *undoer) triggers(steps []*step) {
	seen := make(map[string]bool)
	for _, st := range steps {
		var columns []string
		for _, f := range st.fields {
			columns = append(columns, f.Name)
		}
		for i := range st.table.Triggers {
			g := &st.table.Triggers[i]
			if text := g.Describe(st.op()); g.Fires(st.op(), columns) && !seen[text] {
				seen[text] = true
				r.script.Triggers = append(r.script.Triggers, text)
			}
		}
	}
	slices.Sort(r.script.Triggers)
}

// warn adds warnings of what the history does not know, and of what is not looked up.
func (r *undoer) warn(steps []*step) {
	warnings := make(map[string]bool)
	for _, st := range steps {
		t := st.table
		for _, c := range st.changes {
			if c.Shape == nil {
				continue
			}
			if c.Op == change.Update && len(c.Shape.Exclude) > 0 {
				warnings[t.Label()+": whether the changes have changed "+strings.Join(c.Shape.Exclude, ", ")+" as well is not known: nothing is kept of them"] = true
			}
		}
		for _, name := range unseenBy(t, st) {
			warnings[t.Label()+": whether the changes have changed "+name+" as well is not known: the column was added later than the capture"] = true
		}
		for _, u := range t.Unproven {
			if st.op() == change.Insert || st.op() == change.Update && slices.ContainsFunc(u.Columns, func(c string) bool { return st.field(c) != nil }) {
				warnings["whether the unique index "+pgschema.Ident(u.Name)+" of "+t.Label()+" has the values of another row is not looked up: if it has, the statement fails"] = true
			}
		}
		for _, rule := range t.Rewrites {
			if rule.Of(st.op()) {
				warnings[rule.Describe(t.Label(), st.op())] = true
			}
		}
		for _, k := range t.Keys {
			if _, brings := st.brings(k.Columns, k.Same); brings && k.ParentSecured {
				warnings["row-level security may hide rows of "+k.ParentName+" from this role: whether those are there that "+t.Label()+" would refer to is not looked up"] = true
			}
		}
		for _, k := range t.Referred {
			action := k.OnDelete
			if st.op() == change.Update {
				action = k.OnUpdate
			}
			if _, brings := st.brings(k.References, k.Same); brings && !k.Captured && slices.Contains([]string{reading.Cascades, reading.SetNull, reading.SetDefault}, action) {
				warnings[k.ChildName+" is not captured: what its foreign key "+pgschema.Ident(k.Name)+" has deleted or changed there stays so"] = true
			}
		}
	}
	r.script.Warnings = append(r.script.Warnings, slices.Sorted(maps.Keys(warnings))...)
}
