package changes

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// copied reports whether the histories are those of another database, from which a forwarder copies them: see
// Source.Copy. Tables that are here, and a journal, then have nothing to do with them, whatever their names are. A role that
// may read nothing can ask.
func (s *Store) copied(ctx context.Context, q pgschema.Querier) (is bool, err error) {
	if s.speaks != hooks.Postgres {
		return false, nil
	}
	err = q.QueryRowContext(ctx, "SELECT coalesce((SELECT pg_catalog.pg_relation_size(c.oid) > 0 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = "+
		pgtext.Literal(s.schema)+" AND c.relname = 'audit_copies'), false)").Scan(&is)
	return is, wrap("look for copied row changes", err)
}

// ownHistories returns an error if the histories are copies: a table that is captured here might have the ID of one there.
func (s *Store) ownHistories(ctx context.Context, q pgschema.Querier) error {
	is, err := s.copied(ctx, q)
	if is {
		err = fmt.Errorf("changes: schema %s has copies of another database's row changes, so that no table here can be captured in it: use another Options.Schema", s.schema)
	}
	return err
}

// lookPast is look for those who read histories, which may be copies.
func (s *Store) lookPast(ctx context.Context, q querier, name string) (*found, error) {
	is, err := s.copied(ctx, q)
	switch {
	case err != nil:
		return nil, err
	case is:
		return s.lookCopied(ctx, q, name)
	}
	return s.look(ctx, q, name)
}

// lookCopied finds a table by the last name that it had, or else by an earlier one. Of tables of one name, that which had it last is
// meant; without a schema, that of the schema public, if there is one.
func (s *Store) lookCopied(ctx context.Context, q querier, name string) (*found, error) {
	ids, err := readAll(ctx, q, func(rows *sql.Rows) (id int64, err error) { return id, rows.Scan(&id) },
		`SELECT h.table_id FROM `+s.at("audit_shapes")+` h, pg_catalog.parse_ident(`+pgtext.Literal(name)+`) i (parts)
		WHERE h.shape OPERATOR(pg_catalog.->>) 'table' = i.parts[pg_catalog.cardinality(i.parts)] AND (pg_catalog.cardinality(i.parts) = 1 OR h.shape OPERATOR(pg_catalog.->>) 'schema' = i.parts[pg_catalog.cardinality(i.parts) - 1])
		ORDER BY h.shape OPERATOR(pg_catalog.->>) 'schema' <> 'public', h.made_at DESC LIMIT 1`)
	if err != nil {
		return nil, wrap("look up the table "+name, err)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("changes: no changes of a table %s were copied here: name its schema if it is not public, and quote a name with capitals: \"Order\"", name)
	}
	shapes, err := s.shapes(ctx, q, ids[0])
	if err != nil {
		return nil, err
	}
	f := &found{shape: *lastOf(shapes), deferrable: true} // which is not known
	f.setTableID(ids[0])
	return f, nil
}

// elsewhere is the break of a table whose rows are in another database.
func (t *undoTable) elsewhere() *Break {
	now := time.Now()
	return &Break{Kind: Uncaptured, From: now, To: now, Schema: t.named.Schema, Table: t.named.Table, Text: "the changes are copies, and what no change has is in the app's database alone"}
}

// stateOfCopy is stateOf for changes that were copied here: what their own database knew when they were.
func (s *Store) stateOfCopy(w *witnesses) string {
	state := "'sent'"
	if w.has("audit_eventless") {
		state = "coalesce((SELECT e.state FROM " + s.at("audit_eventless") + " e WHERE e.xid = k.xid AND e.tx_started_at = k.started), 'sent')"
	}
	if w.has("audit_contexts") {
		state = "CASE WHEN EXISTS (SELECT FROM " + s.at("audit_contexts") + " c WHERE c.tx_id = k.xid::pg_catalog.text::pg_catalog.int8 AND c.tx_started_at = k.started) THEN 'recorded' ELSE " + state + " END"
	}
	return state
}
