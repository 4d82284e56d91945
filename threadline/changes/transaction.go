package changes

import (
	"context"
	"database/sql"
	"encoding/json"
	"strconv"
	"time"
)

// Transaction is what is kept of one transaction.
type Transaction struct {
	// Changes are in the order in which they were captured.
	Changes []Change
	// More says that there are others behind them.
	More bool
	// Lost is what a trigger could not keep.
	Lost []Loss
}

// Loss is a change of which only a note was kept.
type Loss struct {
	// Schema and Table are the table's when its capture was planned, "" if that is not known.
	Schema, Table string
	Op            Op
	Reason        string
}

// Transaction returns what is kept of a transaction, by [Change.XID] and [Change.TxStartedAt]: limit
// changes at most, 1 if it is less.
func (s *Store) Transaction(ctx context.Context, xid int64, startedAt time.Time, limit int) (*Transaction, error) {
	if err := s.known(); err != nil {
		return nil, err
	}
	limit = max(limit, 1)
	const where = " WHERE c.xid = $1::pg_catalog.text::pg_catalog.xid8 AND c.tx_started_at = $2::pg_catalog.text::pg_catalog.timestamptz ORDER BY c.lsn LIMIT "
	id, started := strconv.FormatInt(xid, 10), startedAt.UTC().Format(time.RFC3339Nano)
	rows, err := readAll(ctx, s.db, scanRow, s.selectChanges("c.system", s.at("audit_changes")+" c"+where+strconv.Itoa(limit+1)), id, started)
	if err != nil {
		return nil, wrap("read a transaction", err)
	}
	t := &Transaction{More: len(rows) > limit}
	tables := make(map[int64]map[int64]*shape)
	shapesOf := func(table int64) (shapes map[int64]*shape, err error) {
		if shapes = tables[table]; shapes == nil {
			shapes, err = s.shapes(ctx, s.db, table)
			tables[table] = shapes
		}
		return shapes, err
	}
	for _, r := range rows[:min(len(rows), limit)] {
		var shapes map[int64]*shape
		if shapes, err = shapesOf(r.tableID); err != nil {
			return nil, err
		}
		var c Change
		if c, err = r.change(shapes); err != nil {
			return nil, wrap("read the change at "+r.lsn, err)
		}
		if c.Table == "" { // it has drifted
			if last := lastOf(shapes); last != nil {
				c.Schema, c.Table = last.Schema, last.Table
			}
		}
		t.Changes = append(t.Changes, c)
	}
	err = s.byForeignKeys(ctx, t.Changes, rows, tables)
	if err != nil {
		return nil, err
	}
	if err = s.attribute(ctx, t.Changes); err != nil {
		return nil, err
	}
	gaps, err := s.gaps(ctx, s.db, where+strconv.Itoa(limit), id, started)
	if err != nil {
		return nil, err
	}
	for _, g := range gaps {
		var shapes map[int64]*shape
		if shapes, err = shapesOf(g.table); err != nil {
			return nil, err
		}
		l := Loss{Op: ops[g.op[:min(len(g.op), 1)]], Reason: g.reason}
		if last := lastOf(shapes); last != nil {
			l.Schema, l.Table = last.Schema, last.Table
		}
		t.Lost = append(t.Lost, l)
	}
	return t, nil
}

// gap is a row of audit_gaps.
type gap struct {
	table      int64
	op, reason string
}

// gaps are the rows c of audit_gaps with a condition.
func (s *Store) gaps(ctx context.Context, q querier, where string, args ...any) ([]gap, error) {
	list, err := readAll(ctx, q, func(rows *sql.Rows) (g gap, err error) { return g, rows.Scan(&g.table, &g.op, &g.reason) },
		"SELECT c.table_id, c.op, c.reason FROM "+s.at("audit_gaps")+" c"+where, args...)
	return list, wrap("read the gaps", err)
}

// lastOf is the shape that was noted last, nil if there is none.
func lastOf(shapes map[int64]*shape) (last *shape) {
	for _, sh := range shapes {
		if last == nil || sh.number > last.number {
			last = sh
		}
	}
	return last
}

// Captured returns the tables of which changes are kept, or were: the schema and the name.
func (s *Store) Captured(ctx context.Context) ([][2]string, error) {
	if err := s.known(); err != nil {
		return nil, err
	}
	list, err := readAll(ctx, s.db, func(rows *sql.Rows) (name [2]string, err error) {
		var text string
		if err = rows.Scan(&text); err == nil {
			err = json.Unmarshal([]byte(text), &name)
		}
		return name, err
	}, "SELECT DISTINCT pg_catalog.json_build_array(a.shape OPERATOR(pg_catalog.->>) 'schema', a.shape OPERATOR(pg_catalog.->>) 'table')::pg_catalog.text FROM "+s.at("audit_shapes")+" a ORDER BY 1")
	return list, wrap("read which tables are captured", err)
}
