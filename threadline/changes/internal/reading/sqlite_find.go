package reading

import (
	"context"
	"database/sql"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// fromNull is the former key of a row that had NULL in its key.
const fromNull = "()"

// ReadWhole reads the values of a table's changes.
func (s SQLite) ReadWhole(ctx context.Context, q catalog.Querier, t *Table, list []*Row) error {
	if err := s.ReadValues(ctx, q, list); err != nil {
		return err
	}
	t.NullKeys(list)
	return nil
}

// NullKeys gives changes of rows that had NULL in their keys a former key.
func (t *Table) NullKeys(list []*Row) {
	for _, r := range list {
		sh := t.Shapes[r.ShapeID.Int64]
		if r.Op != "U" || !r.Key.Valid || r.FormerKey.Valid || sh == nil {
			continue
		}
		for _, k := range sh.Key {
			if v, changed := r.Native[sh.Position(k)+1]; changed && v.flags&unchanged == 0 && v.old.Text == nil {
				r.FormerKey = sql.NullString{String: fromNull, Valid: true}
			}
		}
	}
}

// mayBe returns the rows of audit_changes that may be that of a change: one, unless it was made by hand. Those are found by
// each table's index on the time, since a transaction may have very many, and those of programs without the driver have none.
func (s SQLite) mayBe(ctx context.Context, r *Snapshot, c *change.Change) ([]*Row, error) {
	from := s.In("audit_changes") + " c WHERE c.seq = ?3"
	args := []any{sql.NullInt64{Int64: c.XID, Valid: c.XID != 0}, c.CapturedAt.UTC().Format(lenient.TimeForm)}
	if c.Seq != 0 {
		args = append(args, c.Seq)
	} else {
		from = "(SELECT DISTINCT h.table_id FROM " + s.In("audit_shapes") + " h) t CROSS JOIN " + s.In("audit_changes") + " c WHERE c.table_id = t.table_id"
	}
	from += " AND c.held IS NULL AND +c.tx_id IS ?1 AND c.captured_at = ?2"
	rows, err := catalog.ReadAll(ctx, r.Tx, ScanSQLite, s.SelectChanges(from+" ORDER BY c.seq"), args...)
	if err != nil {
		return nil, err
	}
	for _, one := range rows {
		t, err := r.Table(ctx, one.TableID)
		if err == nil {
			err = s.ReadWhole(ctx, r.Tx, t, []*Row{one})
		}
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}
