package capture

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
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

func (s sqlite) plan(ctx context.Context, tables []Table) (*Plan, error) {
	if err := s.Check(ctx, s.catalog.DB); err != nil {
		return nil, err
	}
	p := &Plan{}
	seen := make(map[string]string)
	for _, w := range tables {
		t, warning, err := s.find(ctx, s.catalog.DB, w)
		if err != nil {
			return nil, err
		}
		if before, ok := seen[t.Table]; ok {
			return nil, fmt.Errorf("capture: %s and %s are one table", before, w.Name)
		}
		seen[t.Table] = w.Name
		is, err := s.deployed(ctx, s.catalog.DB, t)
		if err != nil {
			return nil, err
		}
		f := t.target()
		list := f.warnings(is, warning)
		if slices.ContainsFunc(t.Unique, func(i catalog.SQLiteIndex) bool { return i.Unknown }) {
			list.add("it has a unique index whose text could not be read: a row that REPLACE removes because of it is not captured")
		}
		if step := s.step(t, is, t.Grown()); step != nil {
			p.Steps = append(p.Steps, *step)
			list = append(list, f.warnKey()...)
		}
		p.Warnings = append(p.Warnings, list.named(f)...)
	}
	return p, nil
}

// find looks a table up and applies what is wanted of it.
func (s sqlite) find(ctx context.Context, q catalog.Querier, w Table) (t *sqliteTarget, warning string, err error) {
	if t, err = s.look(ctx, q, w.Name); err != nil {
		return nil, "", err
	}
	is, err := s.deployed(ctx, q, t)
	if err != nil {
		return nil, "", err
	}
	f := t.target()
	warning, err = f.wantPlanned(w, is.declaredKey(f), func(w Table) error { return t.want(f, w) })
	t.hidden.Key = f.declared
	return t, warning, err
}

// want applies what is wanted of a table. f is the part of it that PostgreSQL has, too.
func (t *sqliteTarget) want(f *target, w Table) error {
	if len(w.Hash) > 0 {
		return fmt.Errorf("capture: table %s: SQLite has no hash function: use Mask in place of Hash", w.Name)
	}
	for _, k := range w.Key {
		if slices.Contains(t.Virtual, k) {
			return fmt.Errorf("capture: table %s: %w", w.Name, &keyError{fmt.Errorf("column %q of the key is VIRTUAL, and not captured: make it STORED", k)})
		}
	}
	// Nothing is kept of these in any case.
	isVirtual := func(name string) bool { return slices.Contains(t.Virtual, name) }
	w.Mask, w.Exclude = slices.DeleteFunc(slices.Clone(w.Mask), isVirtual), slices.DeleteFunc(slices.Clone(w.Exclude), isVirtual)
	if err := f.chooseColumns(w); err != nil {
		return fmt.Errorf("capture: table %s: %w", w.Name, err)
	}
	t.hidden = catalog.SQLiteHidden{Mask: w.Mask, Exclude: w.Exclude}
	if w.Key != nil && !slices.Equal(w.Key, t.PrimaryKey) {
		if err := t.declareKey(w); err != nil {
			return err
		}
		f.declared = t.Key
	}
	for _, k := range slices.Concat(t.Key, t.heldBy()) {
		if i := t.Position(k); i < 0 || t.Columns[i].Masked {
			err := errHiddenKey(k)
			if w.Key != nil {
				err = &keyError{err}
			}
			return fmt.Errorf("capture: table %s: %w", w.Name, err)
		}
	}
	return nil
}

// heldBy are the columns by which a held row is found again: see sqliteGenerator.held.
func (t *sqliteTarget) heldBy() []string {
	if t.WithoutRowID {
		return t.PrimaryKey
	}
	return nil
}

// declareKey makes the columns of w.Key the key, if a unique index has exactly these.
func (t *sqliteTarget) declareKey(w Table) error {
	for _, k := range w.Key {
		if i := t.Position(k); i >= 0 && !t.Columns[i].NotNull && !slices.Contains(t.heldBy(), k) {
			return fmt.Errorf("capture: table %s: %w", w.Name, &keyError{fmt.Errorf("column %q of the key may be NULL: make it NOT NULL", k)})
		}
	}
	want := slices.Sorted(slices.Values(w.Key))
	proven := slices.Equal(want, slices.Sorted(slices.Values(t.PrimaryKey)))
	for _, i := range t.Unique {
		var columns []string
		for _, term := range i.Terms {
			columns = append(columns, term.Column)
		}
		slices.Sort(columns)
		proven = proven || i.Where == "" && slices.Equal(columns, want)
	}
	if !proven {
		return fmt.Errorf("capture: table %s: %w", w.Name, &keyError{fmt.Errorf("no unique index has exactly the columns of the key, %s: add one that is not partial", strings.Join(w.Key, ", "))})
	}
	t.Key = slices.Clone(w.Key)
	return nil
}

// deployed is what there is of a table's capture.
func (s sqlite) deployed(ctx context.Context, q catalog.Querier, t *sqliteTarget) (*deployed, error) {
	d := &deployed{Deployed: &catalog.Deployed{}}
	shapes, err := s.Shapes(ctx, q, t.TableID())
	if err != nil {
		return nil, wrap("look for the capture of "+t.Qualified(), err)
	}
	d.shape = shapes[t.Digest()] != nil
	if n := t.Before(shapes); n != nil {
		d.Notes = []*catalog.Note{n}
	}
	return d, nil
}

// step returns what is to be done for a table, nil if nothing is. missed says that changes may have been missed since the last
// capture.
func (s sqlite) step(t *sqliteTarget, is *deployed, missed bool) *Step {
	var why []string
	wanted := s.wanted(t)
	same := 0
	for _, w := range wanted {
		if strings.HasSuffix(t.Triggers[w.name], w.sql) {
			same++
		}
	}
	resumed := 0
	if missed || t.Ignores {
		resumed = 1
	}
	switch {
	case t.LastCapture == nil:
		why = append(why, "it is not captured yet")
	case !t.LastCapture.Shape.Valid:
		why = append(why, "its capture was removed")
	case s.Missing(t.SQLiteTable):
		why = append(why, "triggers are missing")
		if t.LastCapture.Resumed != suspended {
			resumed = 1
		}
	case t.LastCapture.Name != t.Table:
		why = append(why, "it was "+pgschema.Ident(t.LastCapture.Name))
	}
	switch {
	case len(why) > 0:
	case !is.shape, t.LastCapture.Shape.Int64 != t.Digest(), !slices.Equal(t.LastCapture.Hidden.Key, t.hidden.Key), same < len(wanted), len(t.Triggers) > len(wanted):
		why = append(why, "it, or what is to be captured of it, has changed")
	case t.Late:
		why = append(why, "another trigger was made after its own, so that it would fire first")
	default:
		return nil
	}
	step := &Step{Table: t.Qualified(), Why: strings.Join(why, ", ")}
	step.SQL = append(step.SQL, fmt.Sprintf("INSERT INTO %s (id, table_id, shape) VALUES (%d, %d, %s) ON CONFLICT DO NOTHING", s.In("audit_shapes"), t.Digest(), t.TableID(), sqlitetext.Literal(t.Text())))
	step.SQL = append(step.SQL, s.drop(t)...)
	for _, w := range wanted {
		step.SQL = append(step.SQL, "CREATE TRIGGER main."+w.sql)
	}
	step.SQL = append(step.SQL, s.insertCaptureSQL(t, strconv.FormatInt(t.Digest(), 10), resumed))
	return step
}

// drop removes a table's triggers, and the rows that are held for them.
func (s sqlite) drop(t *sqliteTarget) (list []string) {
	for name := range t.Triggers {
		list = append(list, "DROP TRIGGER main."+pgschema.Ident(name))
	}
	slices.Sort(list)
	if t.LastCapture != nil {
		held := fmt.Sprintf("FROM %s WHERE table_id = %d AND held IS NOT NULL", s.In("audit_changes"), t.TableID())
		list = append(list, "DELETE FROM "+s.In("audit_values")+" WHERE change IN (SELECT seq "+held+")", "DELETE "+held)
	}
	return list
}

// suspended is the value of audit_captures.resumed while the triggers of a table are dropped for DDL.
const suspended = 2

// insertCaptureSQL adds a capture to audit_captures, or, if shape is NULL, that it has ended.
func (s sqlite) insertCaptureSQL(t *sqliteTarget, shape string, resumed int) string {
	names := make([]string, len(t.All))
	for i, c := range t.All {
		names[i] = c.Name
	}
	uniques := []string{}
	for _, i := range t.Unique {
		uniques = append(uniques, i.Text())
	}
	return fmt.Sprintf("INSERT INTO %[1]s (table_id, number, table_name, columns, uniques, hidden, shape_id, resumed) SELECT %[2]d, coalesce(max(number), 0) + 1, %[3]s, %[6]s, %[8]s, %[7]s, %[4]s, %[5]d FROM %[1]s WHERE table_id = %[2]d",
		s.In("audit_captures"), t.TableID(), sqlitetext.Literal(t.Table), shape, resumed, jsonLiteral(names), jsonLiteral(t.hidden), jsonLiteral(uniques))
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
	if err := s.Check(ctx, s.catalog.DB); err != nil {
		return err
	}
	t, err := s.look(ctx, s.catalog.DB, table)
	if err != nil {
		return err
	}
	step := &Step{Table: t.Qualified(), SQL: s.drop(t)}
	if t.LastCapture != nil && t.LastCapture.Shape.Valid {
		step.SQL = append(step.SQL, s.insertCaptureSQL(t, "NULL", 0))
	}
	return wrap("remove the capture of "+table, s.apply(ctx, step))
}
