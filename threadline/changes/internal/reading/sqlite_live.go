package reading

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// live returns the table that has an ID now, nil if there is none: that which its triggers are on, or else the one of its
// name that a plan would take for it.
func (s SQLite) live(ctx context.Context, r *Snapshot, t *Table) (*LiveTable, error) {
	is := r.Lite[t.ID]
	if is == nil {
		name := t.LastShape.Table
		err := r.Tx.QueryRowContext(ctx, "SELECT m.name FROM main.sqlite_master m WHERE m.type = 'table' AND m.name = coalesce((SELECT g.tbl_name FROM main.sqlite_master g WHERE g.type = 'trigger' AND g.name = ?), ?) COLLATE NOCASE",
			s.Trigger(t.ID, "insert"), name).Scan(&name)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if is, err = s.Look(ctx, r.Tx, pgschema.Ident(name)); err != nil {
			return nil, err
		}
		if is.TableID() != t.ID {
			return nil, nil
		}
		r.Lite[t.ID] = is
	}
	live := s.describe(is, t.Shapes)
	return live, s.constraints(ctx, r.Tx, live, is)
}

// describe is a table as it is now.
func (s SQLite) describe(is *catalog.SQLiteTable, shapes map[int64]*catalog.Shape) *LiveTable {
	t := &LiveTable{Name: is.Qualified(), Readable: true, Capturing: !s.Missing(is), OID: liteID(is.Table), Locator: is.RowID, Identity: []string{is.RowID}}
	if is.WithoutRowID {
		t.Locator, t.Identity = "", nil
		for _, k := range is.PrimaryKey {
			t.Identity = append(t.Identity, pgschema.Ident(k))
		}
	}
	now := is.Shape
	now.Columns, now.Places = is.All, []string{catalog.SQLitePlace}
	t.Now = &now
	hidden := is.Before(shapes)
	for _, c := range is.All {
		one := LiveColumn{Name: c.Name, Type: c.Type, Generated: c.Generated, NotNull: c.NotNull, Exact: true, Native: true}
		if hidden != nil {
			is := func(n catalog.NotedColumn) bool { return n.Name == c.Name }
			one.hidden = slices.ContainsFunc(hidden.Mask, is) || slices.ContainsFunc(hidden.Exclude, is)
		}
		t.Columns = append(t.Columns, one)
	}
	return t
}

// liveRows is Snapshot.LiveRows.
func (s SQLite) liveRows(ctx context.Context, q catalog.Querier, t *Table, keys [][]string) ([]map[string]change.Value, error) {
	live := make([]map[string]change.Value, len(keys))
	for n, key := range keys {
		where, err := sqliteKeyIs(t.Key, key)
		if err == nil {
			live[n], err = s.values(ctx, q, t.LiveTable, where)
		}
		if err != nil {
			return nil, catalog.Wrap("look up the rows of "+t.Name, err)
		}
	}
	return live, nil
}

// lookUp is Snapshot.LookUp.
func (s SQLite) lookUp(ctx context.Context, q catalog.Querier, count int, value func(n, i int) change.Value, table string, is []string, expression string, f func(n int, text string) error) error {
	if expression == HowMany {
		expression = "count(*)"
	}
	for n := range count {
		var conditions []string
		for i, column := range is {
			name, collation, _ := strings.Cut(column, "\x00")
			condition := "t." + pgschema.Ident(name) + " = " + SQLiteLiteral(value(n, i))
			if collation != "" {
				condition += " COLLATE " + pgschema.Ident(collation)
			}
			conditions = append(conditions, condition)
		}
		texts, err := catalog.ReadAll(ctx, q, scanText, "SELECT "+expression+" FROM "+table+" t WHERE "+strings.Join(conditions, " AND "))
		if err != nil {
			return err
		}
		for _, text := range texts {
			if err := f(n, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// columnsAtOnce is of how many columns values reads: four expressions of each, of 2,000 that a statement may have.
const columnsAtOnce = 400

// values are those of the row that a condition is true of, without long ones, nil if there is none.
func (s SQLite) values(ctx context.Context, q catalog.Querier, t *LiveTable, where string) (map[string]change.Value, error) {
	row := make(map[string]change.Value)
	for some := range slices.Chunk(t.Columns, columnsAtOnce) {
		is, err := s.valuesOf(ctx, q, t, some, where, row)
		if err != nil || !is {
			return nil, err
		}
	}
	return row, nil
}

// valuesOf adds the values of some columns, and reports whether there is such a row.
func (s SQLite) valuesOf(ctx context.Context, q catalog.Querier, t *LiveTable, some []LiveColumn, where string, row map[string]change.Value) (bool, error) {
	columns := make([]string, 0, len(some))
	for _, c := range some {
		name := pgschema.Ident(c.Name)
		short := "CASE WHEN NOT (" + catalog.SQLiteLong(name) + ") THEN " + name + " END"
		columns = append(columns, catalog.SQLiteLong(name)+", "+SQLiteColumns("("+short+")"))
	}
	list, err := catalog.ReadAll(ctx, q, func(rows *sql.Rows) (_ struct{}, err error) {
		isLong, types := make([]bool, len(some)), make([]string, len(some))
		reals, bytes := make([]sql.NullFloat64, len(some)), make([][]byte, len(some))
		var destinations []any
		for i := range some {
			destinations = append(destinations, &isLong[i], &types[i], &reals[i], &bytes[i])
		}
		if err = rows.Scan(destinations...); err != nil {
			return struct{}{}, err
		}
		for i, c := range some {
			if !isLong[i] {
				row[c.Name] = SQLiteValue(types[i], reals[i].Float64, bytes[i])
			}
		}
		return struct{}{}, nil
	}, "SELECT "+strings.Join(columns, ", ")+" FROM "+t.Name+" WHERE "+where+" LIMIT 1")
	return len(list) > 0, err
}
