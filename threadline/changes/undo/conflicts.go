package undo

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

const (
	// mostLater is how many later changes of a row are read.
	mostLater = 200
	// mostShown is how many of them a conflict has.
	mostShown = 20
	// mostKeyless is how many rows without a key are looked up, each by a scan of its table.
	mostKeyless = 100
	// longest is how many characters a conflict shows of a value.
	longest = 200
)

// readLive sets the live rows of steps.
func (r *undoer) readLive(ctx context.Context, steps []*step) error {
	for _, t := range tablesOf(steps) {
		var there []*step
		var keys [][]string
		for _, st := range steps {
			if st.table == t && st.exists && (t.Dialect != hooks.SQLite || len(st.after) == len(t.Key)) {
				there, keys = append(there, st), append(keys, st.after)
			}
		}
		live, err := r.LiveRows(ctx, t, keys)
		if err != nil {
			return err
		}
		for n, st := range there {
			st.live = live[n]
		}
	}
	return nil
}

func (r *undoer) conflict(st *step, kind ConflictKind, columns []string, is string) {
	key := st.after
	if !st.exists {
		key = st.before
	}
	r.script.Conflicts = append(r.script.Conflicts, Conflict{Kind: kind, Table: st.table.Name, Key: st.table.Plain(key), Columns: columns, Is: is})
}

// conflicts looks for what is in the way.
func (r *undoer) conflicts(ctx context.Context, steps []*step) error {
	keyless := 0
	for _, st := range steps {
		switch {
		case len(st.table.Key) > 0: // below, with what the history says of it
		case st.exists && keyless < mostKeyless:
			keyless++
			if slices.ContainsFunc(st.table.Columns, func(c reading.LiveColumn) bool { return c.Constrained }) {
				r.warnOnce("whether the rows of " + st.table.Label() + " are there is not looked up: to read values of its types may execute what a role has made")
				continue
			}
			var is bool
			if err := r.Tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+st.table.Only()+" WHERE "+st.where()+")").Scan(&is); err != nil {
				return catalog.Wrap("look for a row of "+st.table.Name, err)
			}
			if !is {
				r.conflict(st, RowGone, nil, "")
			}
		}
	}
	for _, t := range tablesOf(steps) {
		for _, f := range []func(context.Context, *reading.Table, []*step) error{r.later, r.taken, r.parents, r.referred, r.checkConstraints} {
			if err := f(ctx, t, steps); err != nil {
				return catalog.Wrap("look for conflicts in "+t.Name, err)
			}
		}
	}
	return nil
}

// differs returns the columns whose values are not as they were left, and what they are; and those of which that is not
// known.
func (st *step) differs() (columns, is, unknown []string) {
	for i := range st.table.Columns {
		c := &st.table.Columns[i]
		f := st.guard(c)
		if f == nil {
			if st.field(c.Name) != nil && !c.Generated {
				unknown = append(unknown, c.Name)
			}
			continue
		}
		now, known := st.live[c.Name]
		if known && now.Equal(f.New) {
			continue
		}
		text := "a long value"
		if known {
			text = shown(st.table, c.Name, now)
		}
		columns, is = append(columns, c.Name), append(is, text)
	}
	return columns, is, unknown
}

// shown is a value for people, unless it must not be shown.
func shown(t *reading.Table, column string, v change.Value) string {
	if t.Hides(column) {
		return "(masked)"
	}
	if v.Text == nil {
		return "NULL"
	}
	quote := strconv.Quote
	if v.Storage != "" && v.Storage != "text" { // as SQL has it
		quote = func(s string) string { return s }
	}
	short := []rune(*v.Text)
	if len(short) > longest {
		return quote(string(short[:longest])) + "…"
	}
	return quote(*v.Text)
}

// later finds rows that are gone, or no longer as they were left, and the changes that have done that.
func (r *undoer) later(ctx context.Context, t *reading.Table, steps []*step) error {
	var mine []*step
	for _, st := range steps {
		if st.table == t && st.exists && len(t.Key) > 0 {
			if columns, _, unknown := st.differs(); st.live == nil || len(columns)+len(unknown) > 0 {
				mine = append(mine, st)
			}
		}
	}
	if s, ok := onSQLite(r.Reader); ok {
		return s.later(ctx, r, mine)
	}
	changes := r.Reader.At("audit_changes")
	for chunk := range slices.Chunk(mine, reading.AtOnce) {
		var list []string
		for n, st := range chunk {
			last := st.changes[len(st.changes)-1]
			list = append(list, fmt.Sprintf("(%d, %s, '%s'::pg_catalog.pg_lsn, '%s'::pg_catalog.timestamptz)", n, reading.CastTo(&last.Row.Key.String, `pg_catalog.text COLLATE "C"`), last.Row.LSN, last.Row.Captured))
		}
		under := func(column string) string {
			return "SELECT * FROM " + changes + " c WHERE " + reading.WithKey(column, "v.key", strconv.FormatInt(t.ID, 10)) + " AND (c.lsn >= v.lsn OR c.captured_at >= v.captured)"
		}
		from := "(VALUES " + strings.Join(list, ", ") + ") v (n, key, lsn, captured) CROSS JOIN LATERAL (SELECT u.* FROM (" + under("key") + " UNION ALL " + under("former_key") + " AND coalesce(c.key <> v.key, true)) u ORDER BY u.lsn LIMIT " + strconv.Itoa(mostLater) + ") c"
		type numbered struct {
			n int
			*reading.Row
		}
		rows, err := catalog.ReadAll(ctx, r.Tx, func(rows *sql.Rows) (one numbered, err error) {
			one.Row, err = reading.ScanRowAnd(rows, &one.n)
			return one, err
		}, r.Reader.SelectChanges(r.Reader.System(), from, "v.n")+" ORDER BY v.n, c.lsn")
		if err != nil {
			return err
		}
		found := make(map[int][]*reading.Row)
		for _, one := range rows {
			found[one.n] = append(found[one.n], one.Row)
		}
		for n, st := range chunk {
			if err := r.laterOf(st, found[n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// laterOf makes the conflicts of a step with the row that is there, and with its changes in rows that
// come after the step's last. Changes that were undone again are none.
func (r *undoer) laterOf(st *step, rows []*reading.Row) error {
	columns, is, unknown := st.differs()
	last := st.changes[len(st.changes)-1].Row
	rows = reading.ByVersion(reading.ByCluster(rows)) // with the last itself
	var later []change.Change
	touched := make(map[string]bool)
	for _, one := range rows[slices.IndexFunc(rows, last.Is)+1:] {
		if r.undone[one.ID()] {
			continue
		}
		c, err := one.ChangeNow(st.table)
		if err != nil {
			return err
		}
		concerned := st.live == nil
		for _, f := range c.Fields {
			if (slices.Contains(columns, f.Name) || slices.Contains(unknown, f.Name)) && (c.Op != change.Update || !f.Unchanged()) {
				touched[f.Name], concerned = true, true
			}
		}
		if concerned && len(later) < mostShown {
			later = append(later, c)
		}
	}
	conflict := Conflict{Kind: Differs, Table: st.table.Name, Key: st.table.Plain(st.after), Columns: columns, Is: strings.Join(is, ", "), Later: later}
	switch {
	case st.live == nil:
		conflict.Kind, conflict.Columns, conflict.Is = RowGone, nil, ""
	case len(later) > 0:
		conflict.Kind = ChangedLater
		for _, name := range unknown {
			if touched[name] {
				conflict.Columns = append(conflict.Columns, name)
			}
		}
	case len(columns) == 0:
		return nil
	}
	r.script.Conflicts = append(r.script.Conflicts, conflict)
	return nil
}

// taken finds rows that have what restored rows need to be unique.
func (r *undoer) taken(ctx context.Context, t *reading.Table, steps []*step) error {
	for _, u := range t.Uniques {
		key := t.Key
		if len(key) == 0 {
			key = u.Columns
		}
		leave := make(map[string]bool) // the rows that have other values in the end
		var mine []*step
		for _, st := range steps {
			if st.table != t {
				continue
			}
			if _, ok := st.takesAway(u.Columns, u.Same); ok {
				text, _ := values(key, st.is, bytewise(t, key))
				leave[text] = true
			}
			if _, ok := st.brings(u.Columns, u.Same); ok {
				mine = append(mine, st)
			}
		}
		var list []string
		for _, k := range key {
			list = append(list, "t."+pgschema.Ident(k))
		}
		was := func(n, i int) change.Value { v, _ := mine[n].was(u.Columns[i]); return v }
		row := "ROW(" + strings.Join(list, ", ") + ")::pg_catalog.text"
		if t.Dialect == hooks.SQLite {
			row = "coalesce(" + rowtext.SQLiteOf("t", key) + ", '')"
		}
		err := r.LookUp(ctx, len(mine), u.Columns, was, t, t.Only(), u.Collated(), row, func(n int, text string) error {
			other, err := reading.KeyOf(sql.NullString{String: text, Valid: text != ""})
			if err != nil || leave[bytes(t, text, other)] {
				return err
			}
			r.conflict(mine[n], KeyTaken, u.Columns, "by "+reading.NameOf(t.Name, t.Plain(other)))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// parents finds rows that restored ones would refer to, and that are not there.
func (r *undoer) parents(ctx context.Context, t *reading.Table, steps []*step) error {
	for _, k := range t.Keys {
		if k.ParentSecured { // of which undoer.warn warns
			continue
		}
		come, goes := make(map[string]bool), make(map[string]bool)
		for _, st := range steps {
			if !isReferred(st.table, k) {
				continue
			}
			if v, ok := st.brings(k.References, k.Same); ok {
				come[v] = true
			}
			if v, ok := st.takesAway(k.References, k.Same); ok {
				goes[v] = true
			}
		}
		var mine []*step
		for _, st := range steps {
			if v, ok := st.brings(k.Columns, k.Same); ok && st.table == t && !come[v] && !st.carried[k.Columns[0]] {
				mine = append(mine, st)
			}
		}
		there := make(map[*step]bool)
		was := func(n, i int) change.Value { v, _ := mine[n].was(k.Columns[i]); return v }
		err := r.LookUp(ctx, len(mine), k.Columns, was, t, k.ParentName, k.References, "''", func(n int, _ string) error {
			v, _ := mine[n].brings(k.Columns, k.Same)
			there[mine[n]] = !goes[v]
			return nil
		})
		if err != nil {
			return err
		}
		for _, st := range mine {
			if !there[st] {
				v, _ := values(k.Columns, st.was, nil)
				r.conflict(st, ParentMissing, k.Columns, "there is no "+k.ParentName+" "+v)
			}
		}
	}
	return nil
}

// isReferred reports whether it is the table that the foreign key refers to.
func isReferred(t *reading.Table, k *reading.ForeignKey) bool {
	return slices.ContainsFunc(t.Referred, func(o *reading.ForeignKey) bool { return o.Child == k.Child && o.Name == k.Name })
}

// referred finds rows that refer to those that would be taken away.
func (r *undoer) referred(ctx context.Context, t *reading.Table, steps []*step) error {
	for _, k := range t.Referred {
		if t.Dialect == hooks.SQLite && !t.Enforces {
			continue
		}
		leave, come := make(map[string]int), make(map[string]bool)
		for _, st := range steps {
			if st.table == t {
				if v, ok := st.brings(k.References, k.Same); ok {
					come[v] = true
				}
			}
			if st.table.OID == k.Child {
				if v, ok := st.takesAway(k.Columns, k.Same); ok {
					leave[v]++
				}
			}
		}
		var mine []*step
		for _, st := range steps {
			if v, ok := st.takesAway(k.References, k.Same); ok && st.table == t && !come[v] && (st.op() == change.Delete || k.OnUpdate != reading.Cascades) {
				mine = append(mine, st)
			}
		}
		found := make(map[*step]int)
		is := func(n, i int) change.Value { v, _ := mine[n].is(k.References[i]); return v }
		err := r.LookUp(ctx, len(mine), k.References, is, t, k.ChildName, k.Columns, reading.HowMany, func(n int, text string) (err error) {
			found[mine[n]], err = strconv.Atoi(text)
			return err
		})
		if err != nil {
			return err
		}
		for _, st := range mine {
			v, _ := st.takesAway(k.References, k.Same)
			if n := found[st] - leave[v]; n > 0 {
				r.conflict(st, StillReferred, k.References, fmt.Sprintf("by %d of %s, in %s", n, k.ChildName, strings.Join(k.Columns, ", ")))
			}
		}
	}
	return nil
}
