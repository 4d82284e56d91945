package reading

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// keyOf returns the columns of the key under which all changes of a table were captured, nil if it was not always the same. A key that
// the table had before its first change does not count: an app's migrations may build up the table while it is captured.
func (r *Snapshot) keyOf(ctx context.Context, t *Table) ([]string, error) {
	last := t.calledNow(t.LastShape).Key
	is := func(sh *catalog.Shape) bool { return slices.Equal(t.calledNow(sh).Key, last) }
	same := true
	for _, sh := range t.Shapes {
		same = same && is(sh)
	}
	if same {
		return last, nil
	}
	var since *catalog.Capture // the first capture with the last key, since when no capture had another
	for _, n := range slices.Backward(t.Captures) {
		if n.ShapeID == nil {
			continue
		}
		if sh := t.Shapes[*n.ShapeID]; sh == nil || !is(sh) {
			break
		}
		since = n
	}
	if since == nil {
		return nil, nil
	}
	shape, later, err := r.firstChange(ctx, t, since.NotedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return last, nil
	}
	if sh := t.Shapes[shape.Int64]; err == nil && later && sh != nil && is(sh) {
		return last, nil
	}
	return nil, err
}

// Rekeyed returns the times of the captures between which the table got the key that it has now, or the time now if they do not say.
func (t *Table) Rekeyed() (from, to time.Time) {
	last := t.calledNow(t.LastShape).Key
	var later *catalog.Capture
	for _, n := range slices.Backward(t.Captures) {
		if n.ShapeID == nil || t.Shapes[*n.ShapeID] == nil {
			continue
		}
		if later != nil && !slices.Equal(t.calledNow(t.Shapes[*n.ShapeID]).Key, last) {
			from, err := n.Time()
			to, failed := later.Time()
			if errors.Join(err, failed) == nil {
				return from, to
			}
		}
		later = n
	}
	now := time.Now()
	return now, now
}

// firstChange returns the shape of the first change of a table that was captured, and whether it was captured at a time or later.
func (r *Snapshot) firstChange(ctx context.Context, t *Table, at string) (shape sql.NullInt64, later bool, err error) {
	query := "SELECT c.shape_id, c.captured_at >= " + pgtext.Literal(at) + "::pg_catalog.timestamptz FROM " + r.Reader.Catalog.At("audit_changes") + " c WHERE c.table_id = $1 ORDER BY c.captured_at LIMIT 1"
	args := []any{t.ID}
	if s, ok := r.Reader.OnSQLite(); ok {
		query = "SELECT c.shape_id, c.captured_at >= ?2 FROM " + s.In("audit_changes") + " c WHERE c.held IS NULL AND c.table_id = ?1 ORDER BY c.captured_at LIMIT 1"
		args = append(args, at)
	}
	err = r.Tx.QueryRowContext(ctx, query, args...).Scan(&shape, &later)
	return shape, later, err
}
