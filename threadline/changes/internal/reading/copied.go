package reading

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// LookPast looks a table up for those who read its history, which may be a copy: then the table is in another database.
func (s *Reader) LookPast(ctx context.Context, q catalog.Querier, name string) (*catalog.Relation, error) {
	is, err := s.Catalog.Copied(ctx, q)
	switch {
	case err != nil:
		return nil, err
	case is:
		return s.lookCopied(ctx, q, name)
	}
	return s.Catalog.Look(ctx, q, name)
}

// lookCopied finds a table by a name that it had. If several had the name, the one that had it last is meant; without a schema, one
// of the schema public is preferred.
func (s *Reader) lookCopied(ctx context.Context, q catalog.Querier, name string) (*catalog.Relation, error) {
	ids, err := catalog.ReadAll(ctx, q, func(rows *sql.Rows) (id int64, err error) { return id, rows.Scan(&id) },
		`SELECT h.table_id FROM `+s.At("audit_shapes")+` h, pg_catalog.parse_ident(`+pgtext.Literal(name)+`) i (parts)
		WHERE h.shape OPERATOR(pg_catalog.->>) 'table' = i.parts[pg_catalog.cardinality(i.parts)] AND (pg_catalog.cardinality(i.parts) = 1 OR h.shape OPERATOR(pg_catalog.->>) 'schema' = i.parts[pg_catalog.cardinality(i.parts) - 1])
		ORDER BY h.shape OPERATOR(pg_catalog.->>) 'schema' <> 'public', h.made_at DESC LIMIT 1`)
	if err != nil {
		return nil, catalog.Wrap("look up the table "+name, err)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("changes: no changes of a table %s were copied here: name its schema if it is not public, and quote a name with capitals: \"Order\"", name)
	}
	shapes, err := s.Catalog.Shapes(ctx, q, ids[0])
	if err != nil {
		return nil, err
	}
	f := &catalog.Relation{Shape: *lastOf(shapes), Deferrable: true} // whether the key is deferrable is not known here
	f.SetTableID(ids[0])
	return f, nil
}

// stateOfCopy is StateOf for copied changes: what their own database knew when they were copied.
func (s *Reader) stateOfCopy(w *EventTables) string {
	state := "'sent'"
	if w.has("audit_eventless") {
		state = "coalesce((SELECT e.state FROM " + s.At("audit_eventless") + " e WHERE e.xid = k.xid AND e.tx_started_at = k.started), 'sent')"
	}
	if w.has("audit_contexts") {
		state = "CASE WHEN EXISTS (SELECT FROM " + s.At("audit_contexts") + " c WHERE c.tx_id = k.xid::pg_catalog.text::pg_catalog.int8 AND c.tx_started_at = k.started) THEN 'recorded' ELSE " + state + " END"
	}
	return state
}
