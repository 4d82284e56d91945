package undo

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// sqlite is a reader on SQLite.
type sqlite struct{ reading.SQLite }

// onSQLite returns the reader as one on SQLite, and whether the database is SQLite.
func onSQLite(r *reading.Reader) (sqlite, bool) {
	lite, is := r.OnSQLite()
	return sqlite{lite}, is
}

// ofTransaction reads the changes of a transaction.
func (s sqlite) ofTransaction(ctx context.Context, r *undoer, id int64) ([]*reading.Row, error) {
	var rows []*reading.Row
	if id != 0 {
		var err error
		rows, err = catalog.ReadAll(ctx, r.Tx, reading.ScanSQLite, s.SelectChanges(s.In("audit_changes")+" c WHERE c.held IS NULL AND c.tx_id = ? ORDER BY c.seq LIMIT "+strconv.Itoa(MaxChanges+1)), id)
		if err != nil {
			return nil, catalog.Wrap("read the transaction", err)
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w: transaction %d", change.ErrNoChange, id)
	}
	if len(rows) > MaxChanges {
		return nil, ErrTooMany
	}
	switch read, err := s.ReadSome(ctx, r.Tx, rows, changes.MaxTransactionBytes, nil); {
	case err != nil:
		return nil, err
	case read < len(rows):
		return nil, ErrTooMany
	}
	of := make(map[int64][]*reading.Row)
	for _, one := range rows {
		of[one.TableID] = append(of[one.TableID], one)
	}
	for table, list := range of {
		t, err := r.Table(ctx, table)
		if err != nil {
			return nil, err
		}
		t.NullKeys(list)
	}
	return rows, nil
}

// under is [undoer.under].
func (s sqlite) under(ctx context.Context, q catalog.Querier, l *reading.Lives, key []string) (text string, each [][]*reading.Row, err error) {
	keys, err := s.Keys(ctx, q, key)
	if err != nil {
		return "", nil, err
	}
	for _, typed := range keys {
		some, err := l.Each(ctx, rowtext.FormatSQLite(typed))
		switch {
		case err != nil:
			return "", nil, catalog.Wrap("read the history", err)
		case len(some) > 0 && len(each) > 0 && reading.RealsOf(typed, key) > 0: // rather the one that is written so
		case len(some) > 0 && len(each) > 0:
			return "", nil, fmt.Errorf("undo: several rows have had the key (%s), in different storage classes: undo to a change of one", strings.Join(key, ", "))
		case len(some) > 0:
			text, each = rowtext.FormatSQLite(typed), some
		}
	}
	return text, each, nil
}

// later is undoer.later for steps whose rows are gone or differ.
func (s sqlite) later(ctx context.Context, r *undoer, steps []*step) error {
	for _, st := range steps {
		last := st.changes[len(st.changes)-1]
		rows, err := catalog.ReadAll(ctx, r.Tx, reading.ScanSQLite, s.SelectChanges(s.In("audit_changes")+" c WHERE c.held IS NULL AND c.table_id = ?1 AND (c.key = ?2 OR c.former_key = ?2) AND c.seq > ?3 ORDER BY c.seq LIMIT "+strconv.Itoa(mostLater)),
			st.table.ID, last.Row.Key.String, last.Row.Seq)
		if err == nil {
			err = s.ReadWhole(ctx, r.Tx, st.table, rows)
		}
		if err == nil {
			err = r.laterOf(st, rows)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bytewise says that values of columns are equal if they have the same storage class and bytes; nil on PostgreSQL.
func bytewise(t *reading.Table, columns []string) []reading.SQLiteEquality {
	if t.Dialect != hooks.SQLite {
		return nil
	}
	return slices.Repeat([]reading.SQLiteEquality{{Exact: true}}, len(columns))
}

// bytes is the text of a row's key as the function values makes it.
func bytes(t *reading.Table, text string, key []string) string {
	if t.Dialect != hooks.SQLite {
		return text
	}
	list := make([]string, len(key))
	for i := range key {
		v, _ := t.KeyValue(key[i])
		list[i] = reading.SQLiteEquality{Exact: true}.Fold(v)
	}
	return rowtext.Format(list)
}
