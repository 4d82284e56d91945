package catalog

import (
	"context"
	"database/sql"
	"slices"
	"strings"
)

// Altered reports whether triggers of a table were enabled, disabled or made anew after its last capture, whether or not they fire
// now. The step that makes a trigger adds the capture in the same transaction. So a later version of the trigger means that it was
// disabled, perhaps for a time only, as by pg_restore --disable-triggers; or that a partition was detached and attached again. A trigger
// that fires always was set so by ENABLE ALWAYS, which is no gap: what enables all triggers after a time does not set that. Altered
// returns false where the last capture was in another database, or this role cannot read it.
func (s *Database) Altered(ctx context.Context, q Querier, f *Relation) (bool, error) {
	if f.LastCapture == nil || f.LastCapture.Place != f.Place || f.LastCapture.ShapeID == nil {
		return false, nil
	}
	// Numbers of transactions begin anew after 2^32, so the later of two is the one from which it is less than half that to the other.
	list, err := ReadAll(ctx, q, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) },
		`SELECT pg_catalog.concat(g.tgname, ' ', `+QualifiedName+`)
		FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
		JOIN `+s.At("audit_captures")+` k ON k.table_id = $3 AND k.lsn = $4::pg_catalog.text::pg_catalog.pg_lsn AND k.noted_at = $5::pg_catalog.text::pg_catalog.timestamptz
		WHERE pn.nspname = $1 AND p.proname = $2 AND g.tgenabled <> 'A'
			AND ((pg_catalog.age(k.xmin)::pg_catalog.int8 - pg_catalog.age(g.xmin)::pg_catalog.int8 + 4294967295) OPERATOR(pg_catalog.%) 4294967296) OPERATOR(pg_catalog.<) 2147483647`,
		s.Schema, f.Function(), f.TableID(), f.LastCapture.LSN, f.LastCapture.NotedAt)
	there := func(trigger string) bool {
		name, table, _ := strings.Cut(trigger, " ")
		ours := strings.HasPrefix(name, RowTrigger) || name == TruncateTrigger || strings.HasPrefix(name, BulkTrigger)
		return ours && f.WasCaptured(table)
	}
	return slices.ContainsFunc(list, there), Wrap("look for the triggers of "+f.Qualified(), err)
}

// WasCaptured reports whether a table, by its qualified name, is the captured one or was a partition of it at the last capture.
func (f *Relation) WasCaptured(table string) bool {
	return table == f.Qualified() || slices.Contains(f.LastCapture.Partitions, table)
}
