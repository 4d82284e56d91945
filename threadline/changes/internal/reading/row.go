package reading

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// Row is a row of audit_changes.
type Row struct {
	TableID                                         int64
	XID, Started, Captured, LSN, Op                 string
	ShapeID, System                                 sql.NullInt64
	Depth                                           int
	oldTID, newTID                                  sql.NullString // of the row's versions
	Key, FormerKey, changed, Old, New, cut, columns sql.NullString

	Seq    int64                // on SQLite
	whole  bool                 // there: its fields are all that are kept, not only those that were changed
	Held   bool                 // there: it is no change, but a copy of a row that may be replaced
	Native map[int]sqliteValues // there, by the column's number in the shape, from 1
}

// ChangeID is the primary key of audit_changes.
type ChangeID struct{ xid, lsn, captured string }

// ID identifies the change.
func (r *Row) ID() ChangeID { return ChangeID{r.XID, r.LSN, r.Captured} }

// Transaction is the key of the transaction that has made the change.
func (r *Row) Transaction() Transaction { return Transaction{r.XID, r.Started} }

// Is reports whether both are the same change.
func (r *Row) Is(o *Row) bool { return r.XID == o.XID && r.LSN == o.LSN && r.Captured == o.Captured }

// SameTx reports whether both are of the same transaction.
func (r *Row) SameTx(o *Row) bool { return r.XID == o.XID && r.Started == o.Started }

// Began reports whether the change has given its row the key.
func (r *Row) Began(key string) bool {
	return r.FormerKey.Valid && r.Key.String == key && r.FormerKey.String != key
}

// Ended reports whether the change has taken the key from its row, or the row away.
func (r *Row) Ended(key string) bool {
	return r.Op == "D" || r.Op == "T" || r.FormerKey.Valid && r.FormerKey.String == key && r.Key.String != key
}

// SelectChanges is a query, for [ScanRow], for the changes c of a FROM clause. system is an expression for the cluster in which they
// were made. others are columns that are selected before those of the changes.
func (s *Reader) SelectChanges(system, from string, others ...string) string {
	return "SELECT " + strings.Join(append(others, ""), ", ") + `c.table_id, pg_catalog.concat(c.xid), ` + pgtext.Time("c.tx_started_at") + `, ` + pgtext.Time("c.captured_at") + `,
		c.lsn::pg_catalog.text, c.old_tid::pg_catalog.text, c.new_tid::pg_catalog.text, c.shape_id, c.depth, c.op::pg_catalog.text,
		c.key, c.former_key, c.changed, c.old_row, c.new_row, c.cut, c.columns::pg_catalog.text,
		` + system + `
		FROM ` + from
}

// ScanRow scans what SelectChanges selects.
func ScanRow(rows *sql.Rows) (*Row, error) { return ScanRowAnd(rows) }

// ScanRowAnd scans, before that, the other columns that SelectChanges selects.
func ScanRowAnd(rows *sql.Rows, others ...any) (*Row, error) {
	r := &Row{}
	return r, rows.Scan(append(others, &r.TableID, &r.XID, &r.Started, &r.Captured, &r.LSN, &r.oldTID, &r.newTID, &r.ShapeID, &r.Depth, &r.Op, &r.Key, &r.FormerKey, &r.changed, &r.Old, &r.New, &r.cut, &r.columns, &r.System)...)
}

// Change returns the change under the names that the table and its columns had then.
func (r *Row) Change(t *Table) (c change.Change, err error) {
	sh, err := t.ShapeOf(r)
	if err != nil {
		return c, err
	}
	return r.changeIn(t, sh)
}

// ChangeNow returns the change under the names that the table's columns have now.
func (r *Row) ChangeNow(t *Table) (c change.Change, err error) {
	sh, err := t.ShapeOf(r)
	if err != nil {
		return c, err
	}
	return r.changeIn(t, t.calledNow(sh))
}

func (r *Row) changeIn(t *Table, sh *catalog.Shape) (c change.Change, err error) {
	if c.XID, err = strconv.ParseInt(r.XID, 10, 64); err != nil {
		return c, err
	}
	if c.TxStartedAt, err = time.Parse(lenient.TimeForm, r.Started); err != nil {
		return c, err
	}
	if c.CapturedAt, err = time.Parse(lenient.TimeForm, r.Captured); err != nil {
		return c, err
	}
	c.Op, c.Nested, c.Seq = Ops[r.Op], r.Depth > 1, r.Seq
	c.Drifted = t.Shapes[r.ShapeID.Int64] == nil && r.Op != "T"
	if c.Schema, c.Table = sh.Schema, sh.Table; c.Table == "" && t.LastShape != nil {
		c.Schema, c.Table = t.LastShape.Schema, t.LastShape.Table
	}
	if c.Key, err = r.keyOf(r.Key); err != nil {
		return c, err
	}
	if c.FormerKey, err = r.keyOf(r.FormerKey); err != nil {
		return c, err
	}
	c.KeyColumns = sh.Key
	c.Fields, err = r.fields(sh)
	return c, err
}

// keyOf are the values of a key of the row.
func (r *Row) keyOf(text sql.NullString) ([]string, error) {
	if text.String == fromNull {
		return nil, nil
	}
	key, err := KeyOf(text)
	for i := 0; err == nil && r.Native != nil && i < len(key); i++ {
		var v change.Value
		if v, err = ParseSQLiteKey(key[i]); err == nil {
			key[i] = *v.Text
		}
	}
	return key, err
}

// KeyOf are the values of a key, as the text of a row has them: nil for none.
func KeyOf(text sql.NullString) ([]string, error) {
	if !text.Valid {
		return nil, nil
	}
	values, err := rowtext.Parse(text.String)
	if err != nil {
		return nil, err
	}
	key := make([]string, len(values))
	for i, v := range values {
		if v != nil {
			key[i] = *v
		}
	}
	return key, nil
}

func (r *Row) fields(sh *catalog.Shape) ([]change.Field, error) {
	switch {
	case r.Native != nil:
		return r.nativeFields(sh), nil
	case r.Op == "T":
		return nil, nil
	}
	old, err := r.values(r.Old, len(sh.Columns))
	if err != nil {
		return nil, err
	}
	now, err := r.values(r.New, len(sh.Columns))
	if err != nil {
		return nil, err
	}
	changed, cut := strings.Fields(r.changed.String), strings.Fields(r.cut.String)
	var fields []change.Field
	for i, c := range sh.Columns {
		n := strconv.Itoa(i + 1)
		if r.changed.Valid && !slices.Contains(changed, n) {
			continue
		}
		f := change.Field{Name: c.Name, Type: c.Type}
		if r.Old.Valid {
			f.Old = change.Value{Text: old[i], Masked: c.Masked, Shortened: slices.Contains(cut, "o"+n)}
		}
		if r.New.Valid {
			f.New = change.Value{Text: now[i], Masked: c.Masked, Shortened: slices.Contains(cut, "n"+n)}
		}
		fields = append(fields, f)
	}
	return fields, nil
}

func (r *Row) values(text sql.NullString, want int) ([]*string, error) {
	if !text.Valid {
		return nil, nil
	}
	values, err := rowtext.Parse(text.String)
	if err == nil && len(values) != want {
		err = fmt.Errorf("%d values for %d columns", len(values), want)
	}
	return values, err
}

// ReadSome reads as many rows of SelectChanges as size says, and reports whether there are more. After so many
// bytes it reads no other.
func ReadSome(ctx context.Context, q catalog.Querier, size, bytes int, query string, args ...any) (list []*Row, more bool, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if len(list) == size || bytes < 0 {
			return list, true, nil
		}
		one, err := ScanRow(rows)
		if err != nil {
			return nil, false, err
		}
		list = append(list, one)
		bytes -= one.Bytes()
	}
	return list, false, rows.Err()
}

// Bytes is how long the row's texts are, in bytes.
func (r *Row) Bytes() (n int) {
	for _, v := range r.Native {
		for _, side := range []change.Value{v.old, v.new} {
			if side.Text != nil {
				n += len(*side.Text)
			}
		}
	}
	return n + len(r.Key.String) + len(r.FormerKey.String) + len(r.Old.String) + len(r.New.String) + len(r.columns.String)
}
