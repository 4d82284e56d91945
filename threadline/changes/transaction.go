package changes

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// Transaction is what was captured of one transaction.
type Transaction struct {
	// Changes are in the order in which they were captured.
	Changes []Change
	// More says that there are others behind them.
	More bool
	// Lost are the changes that triggers could not keep, or that could not be copied to this database, at most 1,000 kinds of them. MoreLost says that there are others.
	Lost     []Loss
	MoreLost bool
}

// Loss is a kind of changes that triggers could not keep, or that could not be copied to this database: of each there is only a gap, a
// row of audit_gaps.
type Loss struct {
	// Schema and Table are the table's when its capture was planned, "" if that is not known, and then Op is "" where there are
	// copies.
	Schema, Table string
	Op            Op
	Reason        string
	// Count is how many there were, each with the same table, operation and reason.
	Count int
}

// MaxTransactionBytes is how many bytes of keys and values [Store.Transaction] reads before it returns, and how many the undo of a
// transaction may have.
const MaxTransactionBytes = 64 << 20

// Transaction returns what was captured of a transaction, by [Change.XID] and [Change.TxStartedAt], which SQLite does not
// need: at most limit changes (one if limit is less), and fewer if they are longer than [MaxTransactionBytes].
// [Store.Each] returns all of them. It is empty, and no error, for a transaction without captured changes.
func (s *Store) Transaction(ctx context.Context, xid int64, startedAt time.Time, limit int) (*Transaction, error) {
	if s, ok := onSQLite(s.reader()); ok {
		return s.transaction(ctx, xid, max(limit, 1))
	}
	if err := s.reader().Catalog.Supported(); err != nil {
		return nil, err
	}
	t := &Transaction{}
	if err := s.reader().InSnapshot(ctx, s.reader().Catalog.DB, func(r *reading.Snapshot) error {
		*t = Transaction{}
		err := readTransaction(ctx, r, t, xid, startedAt, max(limit, 1))
		if err == nil {
			err = r.Reader.Attribute(ctx, r.Tx, t.Changes)
		}
		return err
	}); err != nil {
		return nil, err
	}
	return t, nil
}

// readTransaction reads what is kept of a transaction.
func readTransaction(ctx context.Context, r *reading.Snapshot, t *Transaction, xid int64, startedAt time.Time, limit int) error {
	where := " WHERE " + reading.OfTransaction("$1::pg_catalog.text::pg_catalog.xid8", "$2::pg_catalog.text::pg_catalog.timestamptz") + " ORDER BY c.xid, c.lsn LIMIT "
	id, started := strconv.FormatInt(xid, 10), startedAt.UTC().Format(time.RFC3339Nano)
	rows, more, err := reading.ReadSome(ctx, r.Tx, limit, MaxTransactionBytes, r.Reader.SelectChanges("c.system", r.Reader.At("audit_changes")+" c"+where+strconv.Itoa(limit+1)), id, started)
	if err != nil {
		return catalog.Wrap("read a transaction", err)
	}
	t.More = more
	reading.InOneCluster(rows)
	for _, row := range rows {
		var table *reading.Table
		if table, err = r.Table(ctx, row.TableID); err != nil {
			return err
		}
		var c Change
		if c, err = row.Change(table); err != nil {
			return catalog.Wrap("read the change at "+row.LSN, err)
		}
		t.Changes = append(t.Changes, c)
	}
	if err = readLosses(ctx, r, t, id, started); err != nil || len(t.Lost) > 0 {
		return err // if changes are lost, it does not show what foreign keys have made
	}
	return setForeignKeys(ctx, r, t.Changes, rows)
}

// notDelivered is before the reason of a forwarder.
const notDelivered = "it could not be copied here: "

// mostLosses is how many losses of a transaction are listed.
const mostLosses = 1000

// readLosses sets Lost and MoreLost.
func readLosses(ctx context.Context, r *reading.Snapshot, t *Transaction, id, started string) error {
	type counted struct {
		reading.Gap
		count int
	}
	gaps, err := catalog.ReadAll(ctx, r.Tx, func(rows *sql.Rows) (g counted, err error) { return g, rows.Scan(&g.Table, &g.Op, &g.Reason, &g.count) },
		"SELECT g.table_id, g.op, g.reason, pg_catalog.count(DISTINCT g.lsn) FROM "+r.Reader.At("audit_gaps")+" g WHERE g.xid = $1::pg_catalog.text::pg_catalog.xid8 AND g.tx_started_at = $2::pg_catalog.text::pg_catalog.timestamptz AND g.op <> '"+catalog.Unhashed+
			"' AND "+r.Reader.Shows()+" GROUP BY g.table_id, g.op, g.reason ORDER BY pg_catalog.min(g.lsn) LIMIT "+strconv.Itoa(mostLosses+1), id, started)
	if err != nil {
		return catalog.Wrap("read the gaps", err)
	}
	if t.MoreLost = len(gaps) > mostLosses; t.MoreLost {
		gaps = gaps[:mostLosses]
	}
	for _, g := range gaps {
		table, err := r.Table(ctx, g.Table)
		if err != nil {
			return err
		}
		l := Loss{Op: reading.Ops[g.Op[:min(len(g.Op), 1)]], Reason: g.Reason, Count: g.count}
		if strings.HasSuffix(g.Op, catalog.Undelivered) {
			l.Reason = notDelivered + l.Reason
		}
		if table.LastShape != nil {
			l.Schema, l.Table = table.LastShape.Schema, table.LastShape.Table
		}
		t.Lost = append(t.Lost, l)
	}
	return nil
}

// Captured returns the tables that are captured, or were: each name that one had, as schema and name, in order.
func (s *Store) Captured(ctx context.Context) ([][2]string, error) {
	err := s.reader().Catalog.Supported()
	if s, ok := onSQLite(s.reader()); ok {
		err = s.Check(ctx, s.Catalog.DB)
	}
	if err != nil {
		return nil, err
	}
	list, err := tableNames(ctx, s.reader(), s.reader().Catalog.DB)
	if err != nil {
		return nil, catalog.Wrap("read which tables are captured", s.reader().Catalog.Explain(err))
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

// tableNames are those of all tables.
func tableNames(ctx context.Context, s *reading.Reader, db catalog.Querier) ([]tableName, error) {
	query := "SELECT DISTINCT a.table_id, pg_catalog.json_build_array(a.shape OPERATOR(pg_catalog.->>) 'schema', a.shape OPERATOR(pg_catalog.->>) 'table')::pg_catalog.text FROM " + s.At("audit_shapes") + " a"
	if s, ok := onSQLite(s); ok {
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
