package reading

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
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
	f, err := s.Catalog.Look(ctx, q, name)
	return f, s.beforeCopies(ctx, q, err)
}

// noCopies is what may be wrong where no row change is known at all.
const noCopies = "if the row changes of another database are to come here, none has arrived yet: they come with the app's first events"

// NoCopies is noCopies for an error of which it is one more clause, "" on SQLite.
func (s *Reader) NoCopies() string {
	if s.Catalog.Dialect != hooks.Postgres {
		return ""
	}
	return "; " + noCopies
}

// beforeCopies adds noCopies to an error that a table is not here, if nothing was ever captured here: until the first change arrives, a
// database that is to keep another one's changes looks like any other.
func (s *Reader) beforeCopies(ctx context.Context, q catalog.Querier, err error) error {
	var missing *catalog.MissingError
	if !errors.As(err, &missing) {
		return err
	}
	var some bool
	if failed := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM "+s.At("audit_shapes")+")").Scan(&some); failed != nil || some {
		return err // the table is what is missing, whatever else is
	}
	return fmt.Errorf("%w; nothing was ever captured here, and %s", err, noCopies)
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
		return nil, fmt.Errorf("changes: %s: %w in the app's database, as far as its row changes have arrived here; name its schema if it is not public, and quote a name with capitals: \"Order\"", name, change.ErrNotCaptured)
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
