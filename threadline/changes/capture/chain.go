package capture

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// stale says in what a table, or what is to be captured of it, differs from its last capture, "" if in nothing.
func (f *target) stale() string {
	switch n := f.LastCapture; {
	case f.Unknown:
		return ""
	case n == nil:
		return "its capture is not in audit_captures"
	case n.Place != f.Place:
		return "it was restored"
	case !n.Named(&f.Shape):
		return "it was " + pgschema.Ident(n.Schema) + "." + pgschema.Ident(n.Table)
	case n.ShapeID == nil:
		return "its capture was removed"
	case *n.ShapeID != f.Digest():
		return "it, or what is to be captured of it, has changed"
	case !slices.Equal(n.Partitions, f.Partitions):
		return "its partitions have changed"
	}
	return ""
}

// insertCaptureSQL adds the capture of a table to audit_captures. It fails if the table was made again since it was planned, or if
// another table has its ID and the role that planned could not see that.
func (s *Installer) insertCaptureSQL(f *target, resumed bool) string {
	partitions, err := json.Marshal(slices.Concat([]string{}, f.Partitions))
	if err != nil {
		panic(err) // it has texts only
	}
	table := s.at("audit_captures")
	return fmt.Sprintf(`INSERT INTO %[1]s (table_id, place, table_oid, schema_name, table_name, shape_id, partitions, resumed)
SELECT %[2]d, h.place, CASE WHEN c.oid = %[3]d::pg_catalog.oid AND NOT EXISTS (SELECT FROM %[1]s n WHERE n.table_id = %[2]d AND n.place = h.place AND n.table_oid <> %[3]d)
	THEN c.oid::pg_catalog.int8 ELSE pg_catalog.concat('the table was made again: plan anew, as a role that may read audit_captures: ', c.oid)::pg_catalog.int8 END, n.nspname, c.relname, %[4]d, %[5]s::pg_catalog.json, %[6]t
FROM (SELECT %[7]s) h (place), pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %[8]s::pg_catalog.regclass::pg_catalog.oid`,
		table, f.TableID(), f.OID, f.Digest(), pgtext.Literal(string(partitions)), resumed, s.catalog.Place(), pgtext.Literal(f.Qualified()))
}

// endCaptureSQL adds to audit_captures that a capture has ended.
func (s *Installer) endCaptureSQL(f *target) string {
	return fmt.Sprintf("INSERT INTO %s (table_id, place, table_oid, schema_name, table_name, partitions, resumed) SELECT %d, %s, %d, %s, %s, '[]'::pg_catalog.json, false",
		s.at("audit_captures"), f.TableID(), s.catalog.Place(), f.OID, pgtext.Literal(f.Schema), pgtext.Literal(f.Table))
}
