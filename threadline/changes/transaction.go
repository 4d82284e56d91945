package changes

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Transaction is what was captured of one transaction.
type Transaction struct {
	// Changes are in the order in which they were captured.
	Changes []Change
	// More says that there are others behind them.
	More bool
	// Lost are the changes that triggers could not keep, at most 1,000 kinds of them. MoreLost says that there are others.
	Lost     []Loss
	MoreLost bool
}

// Loss is a kind of changes of which only a note was kept.
type Loss struct {
	// Schema and Table are the table's when its capture was planned, "" if that is not known.
	Schema, Table string
	Op            Op
	Reason        string
	// Count is how many there were, each with the same table, operation and reason.
	Count int
}

// MostBytes is how many bytes of keys and values [Store.Transaction] reads before it returns, and how many the undo of a
// transaction may have.
const MostBytes = 64 << 20

// Transaction returns what was captured of a transaction, by [Change.XID] and [Change.TxStartedAt], which SQLite does not
// need: at most limit changes (one if limit is less), and fewer if they are longer than [MostBytes].
// [Store.Each] returns all of them. It is empty, and no error, for a transaction without captured changes.
func (s *Store) Transaction(ctx context.Context, xid int64, startedAt time.Time, limit int) (*Transaction, error) {
	if s, ok := s.sqlite(); ok {
		return s.transaction(ctx, xid, max(limit, 1))
	}
	if err := s.catalog.Supported(); err != nil {
		return nil, err
	}
	t := &Transaction{}
	if err := s.inSnapshot(ctx, s.catalog.DB, func(r *snapshot) error { return r.kept(ctx, t, xid, startedAt, max(limit, 1)) }); err != nil {
		return nil, err
	}
	return t, s.attribute(ctx, t.Changes)
}

// kept reads what is kept of a transaction.
func (r *snapshot) kept(ctx context.Context, t *Transaction, xid int64, startedAt time.Time, limit int) error {
	where := " WHERE " + ofTransaction("$1::pg_catalog.text::pg_catalog.xid8", "$2::pg_catalog.text::pg_catalog.timestamptz") + " ORDER BY c.xid, c.lsn LIMIT "
	id, started := strconv.FormatInt(xid, 10), startedAt.UTC().Format(time.RFC3339Nano)
	rows, more, err := readSome(ctx, r.tx, limit, MostBytes, r.store.selectChanges("c.system", r.store.at("audit_changes")+" c"+where+strconv.Itoa(limit+1)), id, started)
	if err != nil {
		return catalog.Wrap("read a transaction", err)
	}
	t.More = more
	inOneCluster(rows)
	for _, row := range rows {
		var table *undoTable
		if table, err = r.table(ctx, row.tableID); err != nil {
			return err
		}
		var c Change
		if c, err = row.change(table); err != nil {
			return catalog.Wrap("read the change at "+row.lsn, err)
		}
		t.Changes = append(t.Changes, c)
	}
	if err = r.lost(ctx, t, id, started); err != nil || len(t.Lost) > 0 {
		return err // what foreign keys have made does not show
	}
	return r.byForeignKeys(ctx, t.Changes, rows)
}

// mostLosses is how many losses of a transaction are listed.
const mostLosses = 1000

// lost reads what is lost of a transaction.
func (r *snapshot) lost(ctx context.Context, t *Transaction, id, started string) error {
	type counted struct {
		gap
		count int
	}
	gaps, err := catalog.ReadAll(ctx, r.tx, func(rows *sql.Rows) (g counted, err error) { return g, rows.Scan(&g.table, &g.op, &g.reason, &g.count) },
		"SELECT g.table_id, g.op, g.reason, pg_catalog.count(*) FROM "+r.store.at("audit_gaps")+" g WHERE g.xid = $1::pg_catalog.text::pg_catalog.xid8 AND g.tx_started_at = $2::pg_catalog.text::pg_catalog.timestamptz AND g.op <> '"+catalog.Unhashed+
			"' GROUP BY g.table_id, g.op, g.reason ORDER BY pg_catalog.min(g.lsn) LIMIT "+strconv.Itoa(mostLosses+1), id, started)
	if err != nil {
		return catalog.Wrap("read the gaps", err)
	}
	if t.MoreLost = len(gaps) > mostLosses; t.MoreLost {
		gaps = gaps[:mostLosses]
	}
	for _, g := range gaps {
		table, err := r.table(ctx, g.table)
		if err != nil {
			return err
		}
		l := Loss{Op: ops[g.op[:min(len(g.op), 1)]], Reason: g.reason, Count: g.count}
		if table.named != nil {
			l.Schema, l.Table = table.named.Schema, table.named.Table
		}
		t.Lost = append(t.Lost, l)
	}
	return nil
}

// inOneCluster sets for all rows of a transaction the cluster that the first one has.
func inOneCluster(rows []*row) {
	for _, r := range rows {
		r.system = rows[0].system
	}
}

// gap is a row of audit_gaps.
type gap struct {
	table      int64
	op, reason string
}

// gaps are the rows c of audit_gaps with a condition, without those of changes that are kept.
func (s *Store) gaps(ctx context.Context, q catalog.Querier, where string, args ...any) ([]gap, error) {
	list, err := catalog.ReadAll(ctx, q, func(rows *sql.Rows) (g gap, err error) { return g, rows.Scan(&g.table, &g.op, &g.reason) },
		"SELECT c.table_id, c.op, c.reason FROM (SELECT * FROM "+s.at("audit_gaps")+" g WHERE g.op <> '"+catalog.Unhashed+"') c"+where, args...)
	return list, catalog.Wrap("read the gaps", err)
}

// lastOf is the shape that was noted last, nil if there is none.
func lastOf(shapes map[int64]*catalog.Shape) (last *catalog.Shape) {
	for _, sh := range shapes {
		if last == nil || sh.Number > last.Number {
			last = sh
		}
	}
	return last
}

// Captured returns the tables that are captured, or were: each name that one had, as schema and name, in order.
func (s *Store) Captured(ctx context.Context) ([][2]string, error) {
	err := s.catalog.Supported()
	if s, ok := s.sqlite(); ok {
		err = s.Check(ctx, s.catalog.DB)
	}
	if err != nil {
		return nil, err
	}
	list, err := s.names(ctx, s.catalog.DB)
	if err != nil {
		return nil, catalog.Wrap("read which tables are captured", err)
	}
	names := make([][2]string, len(list))
	for i, n := range list {
		names[i] = n.name
	}
	slices.SortFunc(names, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(names), nil
}

// tableName is a name of a table, and the schema's, under which changes of it were captured.
type tableName struct {
	table int64
	name  [2]string
}

// names are those of all tables.
func (s *Store) names(ctx context.Context, db catalog.Querier) ([]tableName, error) {
	query := "SELECT DISTINCT a.table_id, pg_catalog.json_build_array(a.shape OPERATOR(pg_catalog.->>) 'schema', a.shape OPERATOR(pg_catalog.->>) 'table')::pg_catalog.text FROM " + s.at("audit_shapes") + " a"
	if s, ok := s.sqlite(); ok {
		query = "SELECT DISTINCT a.table_id, json_array(json_extract(a.shape, '$.schema'), json_extract(a.shape, '$.table')) FROM " + s.In("audit_shapes") + " a"
	}
	return catalog.ReadAll(ctx, db, func(rows *sql.Rows) (n tableName, err error) {
		var text string
		if err = rows.Scan(&n.table, &text); err == nil {
			err = json.Unmarshal([]byte(text), &n.name)
		}
		return n, err
	}, query)
}
