package changes

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

func (s sqlite) history(ctx context.Context, table string, key []string) ([]Change, error) {
	if err := s.Check(ctx, s.Catalog.DB); err != nil {
		return nil, err
	}
	t, err := s.Look(ctx, s.Catalog.DB, table)
	if err != nil {
		return nil, err
	}
	if len(key) == 0 {
		return nil, fmt.Errorf("changes: History needs the key of a row of %s", table)
	}
	shapes, err := s.Shapes(ctx, s.Catalog.DB, t.TableID())
	if err != nil {
		return nil, err
	}
	if len(shapes) == 0 {
		return nil, reading.NotCaptured(table)
	}
	past := reading.PastTable(t.TableID(), shapes)
	if err = past.CheckKey(key); err != nil {
		return nil, err
	}
	l := &reading.Lives{Reader: s.Reader, DB: s.Catalog.DB, TableID: t.TableID(), Under: make(map[string][]*reading.Row)}
	var rows []*reading.Row
	keys, err := s.Keys(ctx, s.Catalog.DB, key)
	if err != nil {
		return nil, err
	}
	for _, typed := range keys {
		some, err := l.All(ctx, rowtext.FormatSQLite(typed))
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	// A change without a key is among those of each.
	slices.SortStableFunc(rows, func(a, b *reading.Row) int { return int(a.Seq - b.Seq) })
	rows = slices.CompactFunc(rows, func(a, b *reading.Row) bool { return a.Seq == b.Seq })
	return s.read(ctx, rows, func(int64) (*reading.Table, error) { return past, nil })
}

// read reads the values of rows, and makes changes of them.
func (s sqlite) read(ctx context.Context, rows []*reading.Row, tables func(id int64) (*reading.Table, error)) ([]Change, error) {
	if err := s.ReadValues(ctx, s.Catalog.DB, rows); err != nil {
		return nil, err
	}
	return s.made(ctx, rows, tables)
}

// made makes changes of rows whose values were read.
func (s sqlite) made(ctx context.Context, rows []*reading.Row, tables func(id int64) (*reading.Table, error)) ([]Change, error) {
	list := make([]Change, len(rows))
	for i, r := range rows {
		table, err := tables(r.TableID)
		if err == nil {
			list[i], err = r.Change(table)
		}
		if err != nil {
			return nil, catalog.Wrap("read the change at "+r.LSN, err)
		}
	}
	return list, s.Attribute(ctx, s.Catalog.DB, list)
}

// transaction is [Store.Transaction]. The number of a transaction is random, and identifies it alone.
func (s sqlite) transaction(ctx context.Context, id int64, limit int) (*Transaction, error) {
	if err := s.Check(ctx, s.Catalog.DB); err != nil {
		return nil, err
	}
	rows, err := catalog.ReadAll(ctx, s.Catalog.DB, reading.ScanSQLite, s.SelectChanges(s.In("audit_changes")+" c WHERE c.held IS NULL AND c.tx_id = ? ORDER BY c.seq LIMIT "+strconv.Itoa(limit+1)), id)
	if err != nil {
		return nil, catalog.Wrap("read a transaction", err)
	}
	read, err := s.ReadSome(ctx, s.Catalog.DB, rows[:min(len(rows), limit)], MaxTransactionBytes, nil)
	if err != nil {
		return nil, err
	}
	tables := make(pastTables)
	t := &Transaction{More: len(rows) > read}
	t.Changes, err = s.made(ctx, rows[:read], func(id int64) (*reading.Table, error) {
		return tables.of(ctx, s.Reader, s.Catalog.DB, id)
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}
