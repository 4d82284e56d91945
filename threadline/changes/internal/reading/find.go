package reading

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// KeptChange is a change with its row of audit_changes, and the shape that it was kept under.
type KeptChange struct {
	change.Change
	Row   *Row
	Shape *catalog.Shape // nil if it has drifted
	At    int            // its place, in the order of capture, among the changes that are undone

	RowKey, formerRowKey []string // as the texts of rows have them
}

// Before is the row's key before the change, nil if it had none.
func (c *KeptChange) Before() []string {
	switch {
	case c.Op == change.Insert:
		return nil
	case c.formerRowKey != nil:
		return c.formerRowKey
	}
	return c.RowKey
}

// After is the row's key after the change, nil if it has none.
func (c *KeptChange) After() []string {
	if c.Op == change.Delete {
		return nil
	}
	return c.RowKey
}

// Changes returns the changes of rows, under the names that columns have now.
func (r *Snapshot) Changes(ctx context.Context, rows []*Row) ([]*KeptChange, error) {
	list := make([]*KeptChange, 0, len(rows))
	for _, one := range rows {
		t, err := r.Table(ctx, one.TableID)
		if err != nil {
			return nil, err
		}
		c := &KeptChange{Row: one}
		if sh := t.Shapes[one.ShapeID.Int64]; sh != nil {
			c.Shape = t.calledNow(sh)
		}
		whole := *one
		if !t.Keyed() {
			whole.changed.Valid, whole.whole = false, true // all values together identify the row
		}
		if c.Change, err = whole.ChangeNow(t); err != nil {
			return nil, catalog.Wrap("read the change at "+one.LSN, err)
		}
		if c.RowKey, err = KeyOf(one.Key); err == nil {
			c.formerRowKey, err = KeyOf(one.FormerKey)
		}
		if err != nil {
			return nil, catalog.Wrap("read the change at "+one.LSN, err)
		}
		list = append(list, c)
	}
	return list, nil
}

// Replaces reports whether the change has replaced a version of its row.
func (c *KeptChange) Replaces() bool {
	return c.Op == change.Update || c.Op == change.Delete
}

// Makes reports whether the change has made a version of its row.
func (c *KeptChange) Makes() bool {
	return c.Op == change.Update || c.Op == change.Insert
}

// Native is the text of a whole row on SQLite, before or after the change.
func (c *KeptChange) Native(side func(*change.Field) change.Value) string {
	if c.Row.Native == nil {
		return ""
	}
	list := make([]string, len(c.Fields))
	for i := range c.Fields {
		if v := side(&c.Fields[i]); v.Text != nil {
			list[i] = v.Storage + " " + *v.Text
		}
	}
	return rowtext.Format(list)
}

// Find returns the row of audit_changes of a change.
func (r *Snapshot) Find(ctx context.Context, c *change.Change) (*KeptChange, error) {
	rows, err := r.mayBe(ctx, c)
	if err != nil {
		return nil, catalog.Wrap("read the change", err)
	}
	var found []*Row
	for _, one := range rows {
		var key []string
		if key, err = one.keyOf(one.Key); err != nil {
			return nil, catalog.Wrap("read the change at "+one.LSN, err)
		}
		t, tableErr := r.Table(ctx, one.TableID)
		if tableErr != nil {
			return nil, tableErr
		}
		if Ops[one.Op] == c.Op && slices.Equal(key, c.Key) && (c.Table == "" || t.had(c.Schema, c.Table)) {
			found = append(found, one)
		}
	}
	if len(found) > 1 && r.Reader.Catalog.Dialect == hooks.SQLite { // whose clock is coarse
		found = slices.DeleteFunc(found, func(one *Row) bool {
			other, failed := one.Change(r.Tables[one.TableID])
			return failed != nil || !reflect.DeepEqual(other.FormerKey, c.FormerKey) || !reflect.DeepEqual(other.Fields, c.Fields)
		})
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: %s in transaction %d at %s", change.ErrNoChange, c.Op, c.XID, c.CapturedAt.UTC().Format(time.RFC3339Nano))
	case 1:
	default:
		return nil, errors.New("changes: the history has several changes of the transaction that were captured at the same time: undo the transaction")
	}
	list, err := r.Changes(ctx, found)
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// mayBe returns the changes of a transaction that were captured at the time of c. They are found by each table's index on the time.
// The primary key would lead through all changes of the transaction, so the condition on that is written so that it fits no index.
func (r *Snapshot) mayBe(ctx context.Context, c *change.Change) ([]*Row, error) {
	if s, ok := r.Reader.OnSQLite(); ok {
		return s.mayBe(ctx, r, c)
	}
	const of = "CASE WHEN c.xid = $1::pg_catalog.text::pg_catalog.xid8 AND c.tx_started_at = $2::pg_catalog.text::pg_catalog.timestamptz THEN true END"
	return catalog.ReadAll(ctx, r.Tx, ScanRow, r.Reader.SelectChanges(r.Reader.System(), "(SELECT DISTINCT h.table_id FROM "+r.Reader.At("audit_shapes")+" h) t CROSS JOIN LATERAL (SELECT * FROM "+
		r.Reader.At("audit_changes")+" c WHERE c.table_id = t.table_id AND c.captured_at = $3::pg_catalog.text::pg_catalog.timestamptz AND "+of+" OFFSET 0) c ORDER BY c.lsn"),
		strconv.FormatInt(c.XID, 10), c.TxStartedAt.UTC().Format(time.RFC3339Nano), c.CapturedAt.UTC().Format(time.RFC3339Nano))
}
