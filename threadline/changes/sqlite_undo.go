package changes

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// orAbort is how a statement begins that must remove no other row, whatever the table says ON CONFLICT.
func (t *undoTable) orAbort() string {
	if t.speaks == hooks.SQLite {
		return "OR ABORT "
	}
	return ""
}

// enforced is the condition that foreign keys are enforced, or not, as they were when the undo was made, where that decides what
// else the statement does.
func (st *step) enforced() string {
	if st.table.speaks != hooks.SQLite || !slices.ContainsFunc(st.table.Referred, func(k *foreignKey) bool {
		_, takes := st.takesAway(k.References, k.same)
		return takes
	}) {
		return ""
	}
	if st.table.enforces {
		return " AND (SELECT foreign_keys FROM pragma_foreign_keys) = 1"
	}
	return " AND (SELECT foreign_keys FROM pragma_foreign_keys) = 0"
}

// otherLiteRow is otherRow on SQLite.
func (t *undoTable) otherLiteRow(a, b string) string {
	same := make([]string, len(t.identity))
	for i, name := range t.identity {
		same[i] = a + "." + name + " = " + b + "." + name
	}
	return "NOT (" + strings.Join(same, " AND ") + ")"
}

// unseen reports whether a change may have changed a column, or had a value in it, and does not have it: the column was added,
// and not captured yet.
func (t *undoTable) unseen(u *undoChange, column string) bool {
	if t.speaks != hooks.SQLite || u.shape == nil {
		return false
	}
	under := false // of notes, the change was captured under the last
	for _, n := range t.notes {
		switch {
		case n.ShapeID != nil && *n.ShapeID == u.row.shapeID.Int64 && n.NotedAt <= u.row.captured:
			if under = true; slices.Contains(n.Columns, column) {
				return false
			}
		case under && slices.Contains(n.Columns, column):
			return n.Resumed // else the driver has seen the column being added
		}
	}
	return true
}

// unseenBy are the columns that the updates of a step may have changed unseen.
func (t *undoTable) unseenBy(st *step) (names []string) {
	for _, c := range t.Columns {
		if !c.Generated && slices.ContainsFunc(st.changes, func(u *undoChange) bool { return u.Op == Update && t.unseen(u, c.Name) }) {
			names = append(names, c.Name)
		}
	}
	return names
}

// ofTransaction reads the changes of a transaction.
func (s sqlite) ofTransaction(ctx context.Context, r *undoer, id int64) ([]*row, error) {
	var rows []*row
	if id != 0 {
		var err error
		rows, err = catalog.ReadAll(ctx, r.tx, scanSQLite, s.selectChanges(s.In("audit_changes")+" c WHERE c.held IS NULL AND c.tx_id = ? ORDER BY c.seq LIMIT "+strconv.Itoa(MostUndone+1)), id)
		if err != nil {
			return nil, catalog.Wrap("read the transaction", err)
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w: transaction %d", ErrNoChange, id)
	}
	if len(rows) > MostUndone {
		return nil, ErrTooMany
	}
	switch read, err := s.readSome(ctx, r.tx, rows, MostBytes, nil); {
	case err != nil:
		return nil, err
	case read < len(rows):
		return nil, ErrTooMany
	}
	of := make(map[int64][]*row)
	for _, one := range rows {
		of[one.tableID] = append(of[one.tableID], one)
	}
	for table, list := range of {
		t, err := r.table(ctx, table)
		if err != nil {
			return nil, err
		}
		t.nullKeys(list)
	}
	return rows, nil
}

// under is [undoer.under].
func (s sqlite) under(ctx context.Context, q catalog.Querier, l *lives, key []string) (text string, each [][]*row, err error) {
	keys, err := s.keys(ctx, q, key)
	if err != nil {
		return "", nil, err
	}
	for _, typed := range keys {
		some, err := l.each(ctx, rowtext.FormatSQLite(typed))
		switch {
		case err != nil:
			return "", nil, catalog.Wrap("read the history", err)
		case len(some) > 0 && len(each) > 0 && realsOf(typed, key) > 0: // rather the one that is written so
		case len(some) > 0 && len(each) > 0:
			return "", nil, fmt.Errorf("changes: several rows have had the key (%s), in different storage classes: undo to a change of one", strings.Join(key, ", "))
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
		rows, err := catalog.ReadAll(ctx, r.tx, scanSQLite, s.selectChanges(s.In("audit_changes")+" c WHERE c.held IS NULL AND c.table_id = ?1 AND (c.key = ?2 OR c.former_key = ?2) AND c.seq > ?3 ORDER BY c.seq LIMIT "+strconv.Itoa(mostLater)),
			st.table.id, last.row.key.String, last.row.seq)
		if err == nil {
			err = s.readWhole(ctx, r.tx, st.table, rows)
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

// bytewise takes values of columns for the same that have the same storage class and bytes.
func bytewise(t *undoTable, columns []string) []sqliteSame {
	if t.speaks != hooks.SQLite {
		return nil
	}
	return slices.Repeat([]sqliteSame{{exact: true}}, len(columns))
}

// bytes is the text of a row's key as values has it.
func (t *undoTable) bytes(text string, key []string) string {
	if t.speaks != hooks.SQLite {
		return text
	}
	list := make([]string, len(key))
	for i := range key {
		v, _ := t.keyValue(key[i])
		list[i] = sqliteSame{exact: true}.fold(v)
	}
	return rowtext.Format(list)
}

// collated are the columns, each with the collation by which the index compares it.
func (u *uniqueKey) collated() []string {
	if u.same == nil {
		return u.Columns
	}
	list := slices.Clone(u.Columns)
	for i := range list {
		list[i] += "\x00" + u.same[i].collation
	}
	return list
}

// The script is for the sqlite3 shell, which ends at the first error, and with it the transaction. As it has no blocks, a
// CHECK fails in place of them.
const (
	liteBegin = ".bail on\nBEGIN IMMEDIATE;\nPRAGMA defer_foreign_keys = ON;\n" +
		"CREATE TEMP TABLE undo_check (statement INTEGER, affected INTEGER, wanted INTEGER, CONSTRAINT \"the rows are no longer as they were left\" CHECK (affected = wanted));\n"
	liteCommit = "DROP TABLE temp.undo_check;\nCOMMIT;\n"
)

func (s *Statement) liteScript(number int) string {
	return s.SQL + ";\n" + fmt.Sprintf("INSERT INTO temp.undo_check VALUES (%d, changes(), %d);\n", number, s.Rows)
}
