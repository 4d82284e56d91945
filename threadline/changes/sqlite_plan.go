package changes

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/sqlitetext"
)

func (s sqlite) plan(ctx context.Context, tables []Table) (*Plan, error) {
	if err := s.check(ctx, s.db); err != nil {
		return nil, err
	}
	p := &Plan{}
	seen := make(map[string]string)
	for _, w := range tables {
		t, err := s.find(ctx, s.db, w)
		if err != nil {
			return nil, err
		}
		if before, ok := seen[t.Table]; ok {
			return nil, fmt.Errorf("changes: %s and %s are one table", before, w.Name)
		}
		seen[t.Table] = w.Name
		is, err := s.deployed(ctx, s.db, t)
		if err != nil {
			return nil, err
		}
		p.warn(&t.found, is)
		if slices.ContainsFunc(t.unique, func(i sqliteIndex) bool { return i.unknown }) {
			p.Warnings = append(p.Warnings, t.qualified()+" has a unique index whose text could not be read: a row that REPLACE removes because of it is not captured")
		}
		if step := s.step(t, is, t.grown()); step != nil {
			p.Steps = append(p.Steps, *step)
		}
	}
	return p, nil
}

// find looks a table up and applies what is wanted of it.
func (s sqlite) find(ctx context.Context, q querier, w Table) (*sqliteTable, error) {
	t, err := s.look(ctx, q, w.Name)
	if err != nil {
		return nil, err
	}
	if len(w.Hash) > 0 {
		return nil, fmt.Errorf("changes: table %s: SQLite has no hash function: use Mask in place of Hash", w.Name)
	}
	for _, k := range w.Key {
		if slices.Contains(t.virtual, k) {
			return nil, fmt.Errorf("changes: table %s: column %q of the key is VIRTUAL, and not captured: make it STORED", w.Name, k)
		}
	}
	// Nothing is kept of these in any case.
	w.Mask, w.Exclude = without(w.Mask, t.virtual), without(w.Exclude, t.virtual)
	if err := t.choose(w); err != nil {
		return nil, fmt.Errorf("changes: table %s: %w", w.Name, err)
	}
	t.hidden = sqliteHidden{Mask: w.Mask, Exclude: w.Exclude}
	if w.Key != nil {
		if err := t.declare(w); err != nil {
			return nil, err
		}
	}
	for _, k := range slices.Concat(t.Key, t.heldBy()) {
		if i := t.position(k); i < 0 || t.Columns[i].Masked {
			return nil, fmt.Errorf("changes: table %s: column %q is in the key, and cannot be masked or excluded: rows could not be told apart", w.Name, k)
		}
	}
	return t, nil
}

// heldBy are the columns by which a row that may be replaced is found again.
func (t *sqliteTable) heldBy() []string {
	if t.withoutRowID {
		return t.primaryKey
	}
	return nil
}

// declare makes the columns of w.Key the key, if a unique index proves that they can be.
func (t *sqliteTable) declare(w Table) error {
	for _, k := range w.Key {
		if i := t.position(k); i >= 0 && !t.Columns[i].notNull && !slices.Contains(t.heldBy(), k) {
			return fmt.Errorf("changes: table %s: column %q of the key may be NULL: make it NOT NULL", w.Name, k)
		}
	}
	want := slices.Sorted(slices.Values(w.Key))
	proven := slices.Equal(want, slices.Sorted(slices.Values(t.primaryKey)))
	for _, i := range t.unique {
		var columns []string
		for _, term := range i.terms {
			columns = append(columns, term.column)
		}
		slices.Sort(columns)
		proven = proven || i.where == "" && slices.Equal(columns, want)
	}
	if !proven {
		return fmt.Errorf("changes: table %s: no unique index has exactly the columns of the key, %s: add one that is not partial", w.Name, strings.Join(w.Key, ", "))
	}
	t.Key = slices.Clone(w.Key)
	return nil
}

// deployed is what was captured of a table.
func (s sqlite) deployed(ctx context.Context, q querier, t *sqliteTable) (*deployed, error) {
	d := &deployed{}
	shapes, err := s.shapes(ctx, q, t.tableID())
	if err != nil {
		return nil, wrap("look for the capture of "+t.qualified(), err)
	}
	d.shape = shapes[t.id()] != nil
	if n := t.before(shapes); n != nil {
		d.notes = []*note{n}
	}
	return d, nil
}

// before is what a table was captured with, nil if it was not. If a column that was masked or excluded is no
// longer there, it may have another name: then so are all that were not there before.
func (t *sqliteTable) before(shapes map[int64]*shape) *note {
	if t.noted == nil || shapes[t.noted.shape.Int64] == nil {
		return nil
	}
	was := shapes[t.noted.shape.Int64]
	n := &note{OID: 1, Key: was.Key} // which is no table's, so that columns are the same by their names alone
	for _, c := range was.Columns {
		if c.Masked {
			n.Mask = t.orNew(n.Mask, c.Name)
		}
	}
	for _, name := range was.Exclude {
		n.Exclude = t.orNew(n.Exclude, name)
	}
	for _, name := range t.noted.hidden.Mask {
		n.Mask = t.orGone(n.Mask, was, name)
	}
	for _, name := range t.noted.hidden.Exclude {
		n.Exclude = t.orGone(n.Exclude, was, name)
	}
	return n
}

func (t *sqliteTable) orNew(list []noted, name string) []noted {
	if t.has(name) {
		return append(list, noted{Name: name})
	}
	for _, c := range t.all {
		if !slices.Contains(t.noted.columns, c.Name) {
			list = append(list, noted{Name: c.Name})
		}
	}
	return list
}

// orGone adds a column that was gone from a shape and is there now.
func (t *sqliteTable) orGone(list []noted, was *shape, name string) []noted {
	if t.has(name) && was.position(name) < 0 && !slices.Contains(was.Exclude, name) {
		return append(list, noted{Name: name})
	}
	return list
}

// grown reports whether the table has columns or unique indexes that it had not at the last note: what was written to
// the ones since, and the rows that REPLACE has removed because of the others, are not kept.
func (t *sqliteTable) grown() bool {
	return t.noted != nil && (slices.ContainsFunc(t.all, func(c column) bool { return !slices.Contains(t.noted.columns, c.Name) }) ||
		slices.ContainsFunc(t.unique, func(i sqliteIndex) bool { return !slices.Contains(t.noted.uniques, i.text()) }))
}

// step returns what is to be done for a table, nil if nothing is. missed says that changes may be missing since
// the last note.
func (s sqlite) step(t *sqliteTable, is *deployed, missed bool) *Step {
	var why []string
	wanted := s.wanted(t)
	same := 0
	for _, w := range wanted {
		if strings.HasSuffix(t.triggers[w.name], w.sql) {
			same++
		}
	}
	resumed := 0
	if missed {
		resumed = 1
	}
	switch {
	case t.noted == nil:
		why = append(why, "it is not captured yet")
	case !t.noted.shape.Valid:
		why = append(why, "its capture was removed")
	case s.missing(t):
		why = append(why, "triggers are missing")
		if t.noted.resumed != suspended {
			resumed = 1
		}
	case t.noted.name != t.Table:
		why = append(why, "it was "+pgschema.Ident(t.noted.name))
	}
	switch {
	case len(why) > 0:
	case !is.shape, t.noted.shape.Int64 != t.id(), same < len(wanted), len(t.triggers) > len(wanted):
		why = append(why, "it, or what is to be captured of it, has changed")
	case t.late:
		why = append(why, "another trigger was made after its own, so that it would fire first")
	default:
		return nil
	}
	step := &Step{Table: t.qualified(), Why: strings.Join(why, ", ")}
	step.SQL = append(step.SQL, fmt.Sprintf("INSERT INTO %s (id, table_id, shape) VALUES (%d, %d, %s) ON CONFLICT DO NOTHING", s.in("audit_shapes"), t.id(), t.tableID(), sqlitetext.Literal(t.text())))
	step.SQL = append(step.SQL, s.drop(t)...)
	for _, w := range wanted {
		step.SQL = append(step.SQL, "CREATE TRIGGER main."+w.sql)
	}
	step.SQL = append(step.SQL, s.noteSQL(t, strconv.FormatInt(t.id(), 10), resumed))
	return step
}

// drop ends what there is.
func (s sqlite) drop(t *sqliteTable) (list []string) {
	for name := range t.triggers {
		list = append(list, "DROP TRIGGER main."+pgschema.Ident(name))
	}
	slices.Sort(list)
	if t.noted != nil {
		held := fmt.Sprintf("FROM %s WHERE table_id = %d AND held IS NOT NULL", s.in("audit_changes"), t.tableID())
		list = append(list, "DELETE FROM "+s.in("audit_values")+" WHERE change IN (SELECT seq "+held+")", "DELETE "+held)
	}
	return list
}

// suspended is noted while the triggers of a table are dropped for DDL.
const suspended = 2

// noteSQL notes a capture, or that it has ended.
func (s sqlite) noteSQL(t *sqliteTable, shape string, resumed int) string {
	names := make([]string, len(t.all))
	for i, c := range t.all {
		names[i] = c.Name
	}
	uniques := []string{}
	for _, i := range t.unique {
		uniques = append(uniques, i.text())
	}
	return fmt.Sprintf("INSERT INTO %[1]s (table_id, number, table_name, columns, uniques, hidden, shape_id, resumed) SELECT %[2]d, coalesce(max(number), 0) + 1, %[3]s, %[6]s, %[8]s, %[7]s, %[4]s, %[5]d FROM %[1]s WHERE table_id = %[2]d",
		s.in("audit_captures"), t.tableID(), sqlitetext.Literal(t.Table), shape, resumed, jsonLiteral(names), jsonLiteral(t.hidden), jsonLiteral(uniques))
}

func jsonLiteral(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it has texts only
	}
	return sqlitetext.Literal(string(b))
}

func (s sqlite) apply(ctx context.Context, step *Step) error {
	return s.write(ctx, func(tx *sql.Conn) error { return runAll(ctx, tx, step.SQL) })
}

// execer is a *sql.DB or *sql.Conn.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func runAll(ctx context.Context, e execer, queries []string) error {
	for _, query := range queries {
		if _, err := e.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

func (s sqlite) remove(ctx context.Context, table string) error {
	if err := s.check(ctx, s.db); err != nil {
		return err
	}
	t, err := s.look(ctx, s.db, table)
	if err != nil {
		return err
	}
	step := &Step{Table: t.qualified(), SQL: s.drop(t)}
	if t.noted != nil && t.noted.shape.Valid {
		step.SQL = append(step.SQL, s.noteSQL(t, "NULL", 0))
	}
	return wrap("remove the capture of "+table, s.apply(ctx, step))
}
