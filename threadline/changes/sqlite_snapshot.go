package changes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// live returns the table that has an ID now, nil if there is none: that which its triggers are on, or else the one of its
// name that a plan would take for it.
func (s sqlite) live(ctx context.Context, r *snapshot, t *undoTable) (*liveTable, error) {
	is := r.lite[t.id]
	if is == nil {
		name := t.named.Table
		err := r.tx.QueryRowContext(ctx, "SELECT m.name FROM main.sqlite_master m WHERE m.type = 'table' AND m.name = coalesce((SELECT g.tbl_name FROM main.sqlite_master g WHERE g.type = 'trigger' AND g.name = ?), ?) COLLATE NOCASE",
			s.Trigger(t.id, "insert"), name).Scan(&name)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if is, err = s.Look(ctx, r.tx, pgschema.Ident(name)); err != nil {
			return nil, err
		}
		if is.TableID() != t.id {
			return nil, nil
		}
		r.lite[t.id] = is
	}
	live := s.describe(is, t.shapes)
	return live, s.constraints(ctx, r.tx, live, is)
}

// describe is a table as it is now.
func (s sqlite) describe(is *catalog.SQLiteTable, shapes map[int64]*catalog.Shape) *liveTable {
	t := &liveTable{Name: is.Qualified(), Readable: true, capturing: !s.Missing(is), OID: liteID(is.Table), place: is.RowID, identity: []string{is.RowID}}
	if is.WithoutRowID {
		t.place, t.identity = "", nil
		for _, k := range is.PrimaryKey {
			t.identity = append(t.identity, pgschema.Ident(k))
		}
	}
	now := is.Shape
	now.Columns, now.Places = is.All, []string{catalog.SQLitePlace}
	t.now = &now
	hidden := is.Before(shapes)
	for _, c := range is.All {
		one := liveColumn{Name: c.Name, Type: c.Type, Generated: c.Generated, NotNull: c.NotNull, exact: true, native: true}
		if hidden != nil {
			is := func(n catalog.NotedColumn) bool { return n.Name == c.Name }
			one.hidden = slices.ContainsFunc(hidden.Mask, is) || slices.ContainsFunc(hidden.Exclude, is)
		}
		t.Columns = append(t.Columns, one)
	}
	return t
}

// liveRows is snapshot.liveRows.
func (s sqlite) liveRows(ctx context.Context, q catalog.Querier, t *undoTable, keys [][]string) ([]map[string]Value, error) {
	live := make([]map[string]Value, len(keys))
	for n, key := range keys {
		where, err := sqliteKeyIs(t.key, key)
		if err == nil {
			live[n], err = s.values(ctx, q, t.liveTable, where)
		}
		if err != nil {
			return nil, catalog.Wrap("look up the rows of "+t.Name, err)
		}
	}
	return live, nil
}

// lookUp is snapshot.lookUp.
func (s sqlite) lookUp(ctx context.Context, q catalog.Querier, count int, value func(n, i int) Value, table string, is []string, expression string, f func(n int, text string) error) error {
	if expression == howMany {
		expression = "count(*)"
	}
	for n := range count {
		var conditions []string
		for i, column := range is {
			name, collation, _ := strings.Cut(column, "\x00")
			condition := "t." + pgschema.Ident(name) + " = " + sqliteLiteral(value(n, i))
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
func (s sqlite) values(ctx context.Context, q catalog.Querier, t *liveTable, where string) (map[string]Value, error) {
	row := make(map[string]Value)
	for some := range slices.Chunk(t.Columns, columnsAtOnce) {
		is, err := s.valuesOf(ctx, q, t, some, where, row)
		if err != nil || !is {
			return nil, err
		}
	}
	return row, nil
}

// valuesOf adds the values of some columns, and reports whether there is such a row.
func (s sqlite) valuesOf(ctx context.Context, q catalog.Querier, t *liveTable, some []liveColumn, where string, row map[string]Value) (bool, error) {
	columns := make([]string, 0, len(some))
	for _, c := range some {
		name := pgschema.Ident(c.Name)
		short := "CASE WHEN NOT (" + catalog.SQLiteLong(name) + ") THEN " + name + " END"
		columns = append(columns, catalog.SQLiteLong(name)+", "+sqliteColumns("("+short+")"))
	}
	list, err := catalog.ReadAll(ctx, q, func(rows *sql.Rows) (_ struct{}, err error) {
		isLong, types := make([]bool, len(some)), make([]string, len(some))
		reals, bytes := make([]sql.NullFloat64, len(some)), make([][]byte, len(some))
		var places []any
		for i := range some {
			places = append(places, &isLong[i], &types[i], &reals[i], &bytes[i])
		}
		if err = rows.Scan(places...); err != nil {
			return struct{}{}, err
		}
		for i, c := range some {
			if !isLong[i] {
				row[c.Name] = sqliteValue(types[i], reals[i].Float64, bytes[i])
			}
		}
		return struct{}{}, nil
	}, "SELECT "+strings.Join(columns, ", ")+" FROM "+t.Name+" WHERE "+where+" LIMIT 1")
	return len(list) > 0, err
}

// ofAnyClass calls f with each of the keys that a row may have whose values are those of key: their storage classes are not
// in it. It returns the row that there was, or else the error that says the least.
func (s sqlite) ofAnyClass(ctx context.Context, q catalog.Querier, key []string, f func(key []string) (*Row, error)) (*Row, error) {
	keys, err := s.keys(ctx, q, key)
	if err != nil {
		return nil, err
	}
	var found *Row
	var worst error
	for _, typed := range keys {
		row, err := f(typed)
		var unknown *AsOfError
		switch {
		case err == nil && found != nil:
			return nil, fmt.Errorf("changes: several rows have the key (%s), in different storage classes: ask for their changes", strings.Join(key, ", "))
		case err == nil:
			found = row
		case !errors.As(err, &unknown):
			return nil, err
		case worst == nil, errors.Is(worst, ErrNotYet), errors.Is(worst, ErrGone) && !errors.Is(err, ErrNotYet):
			worst = err
		}
	}
	if found == nil {
		return nil, worst
	}
	return found, nil
}

// fromNull is the former key of a row that had NULL in its key.
const fromNull = "()"

// readWhole reads the values of a table's changes.
func (s sqlite) readWhole(ctx context.Context, q catalog.Querier, t *undoTable, list []*row) error {
	if err := s.readValues(ctx, q, list); err != nil {
		return err
	}
	t.nullKeys(list)
	return nil
}

// nullKeys gives changes of rows that had NULL in their keys a former key.
func (t *undoTable) nullKeys(list []*row) {
	for _, r := range list {
		sh := t.shapes[r.shapeID.Int64]
		if r.op != "U" || !r.key.Valid || r.formerKey.Valid || sh == nil {
			continue
		}
		for _, k := range sh.Key {
			if v, changed := r.native[sh.Position(k)+1]; changed && v.flags&unchanged == 0 && v.old.Text == nil {
				r.formerKey = sql.NullString{String: fromNull, Valid: true}
			}
		}
	}
}

// mayBe returns the rows of audit_changes that may be that of a change: one, unless it was made by hand. Those are found by
// each table's index on the time, since a transaction may have very many, and those of programs without the driver have none.
func (s sqlite) mayBe(ctx context.Context, r *snapshot, c *Change) ([]*row, error) {
	from := s.In("audit_changes") + " c WHERE c.seq = ?3"
	args := []any{sql.NullInt64{Int64: c.XID, Valid: c.XID != 0}, c.CapturedAt.UTC().Format(lenient.TimeForm)}
	if c.Seq != 0 {
		args = append(args, c.Seq)
	} else {
		from = "(SELECT DISTINCT h.table_id FROM " + s.In("audit_shapes") + " h) t CROSS JOIN " + s.In("audit_changes") + " c WHERE c.table_id = t.table_id"
	}
	from += " AND c.held IS NULL AND +c.tx_id IS ?1 AND c.captured_at = ?2"
	rows, err := catalog.ReadAll(ctx, r.tx, scanSQLite, s.selectChanges(from+" ORDER BY c.seq"), args...)
	if err != nil {
		return nil, err
	}
	for _, one := range rows {
		t, err := r.table(ctx, one.tableID)
		if err == nil {
			err = s.readWhole(ctx, r.tx, t, []*row{one})
		}
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}
