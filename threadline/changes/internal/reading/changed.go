package reading

import (
	"fmt"
	"slices"
)

// An UPDATE of a row says the values of the columns that it has changed. Another one of the same columns says nothing more of what the
// row was at a moment, if it is further from that. Of a row that is changed very often nearly all are like that.

// Changed returns what UPDATEs have changed, as Except compares it: the columns of a shape, by their numbers. No INSERT or DELETE has any, and
// no UPDATE without a former key has changed those of the key.
func Changed(t *Table, list []*Row) (changed []string) {
	for _, r := range list {
		if r.Op == "U" && !r.FormerKey.Valid && r.changed.String != "" && t.Shapes[r.ShapeID.Int64] != nil {
			changed = append(changed, fmt.Sprintf("%d %s", r.ShapeID.Int64, r.changed.String))
		}
	}
	slices.Sort(changed)
	return slices.Compact(changed)
}

// Except is a FROM clause for changes c with a key, without those UPDATEs that have changed only what is known: known is an array of what Changed returns.
// Only the one change of a transaction is left out: several say in which order they were made. The first and the last one stay, since their neighbors
// are not seen. order is that of the changes; nth numbers them in it.
func Except(changes, order, known string) string {
	return "(SELECT c.*, pg_catalog.row_number() OVER o AS nth, pg_catalog.lag(c.xid) OVER o AS one_side, pg_catalog.lead(c.xid) OVER o AS other_side FROM (" + changes + ") c WINDOW o AS (ORDER BY " + order + ")) c" +
		" WHERE CASE WHEN c.xid <> c.one_side AND c.xid <> c.other_side AND pg_catalog.concat(c.shape_id, ' ', c.changed) = ANY (" + known + ") THEN false ELSE true END"
}
