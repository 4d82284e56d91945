package relay

import (
	"context"
	"fmt"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// explain adds what to do to an error that says that a right or a table is missing, or
// that the database is not of the Store's dialect. Defer it first, so that it runs last:
// it asks q, which may have no connection to spare until the caller's is given back.
func (s *Store) explain(ctx context.Context, q pgschema.Querier, err *error) {
	s.explainRight(ctx, q, err, "connect as the owner, or have it grant what the documentation of relay.Store lists")
}

// explainRight is explain; remedy says what to do if a right is missing.
func (s *Store) explainRight(ctx context.Context, q pgschema.Querier, err *error, remedy string) {
	schema := s.journal.Schema()
	state := hooks.SQLState(*err)
	if *err != nil && !s.d.speaks(state, (*err).Error()) {
		*err = fmt.Errorf("%w: this database is not of the dialect that relay.New was given, or has no journal in %s: "+
			"give relay.New the dialect and the journal.Options of the programs that write here", *err, schema)
		return
	}
	switch state {
	case "42501": // insufficient_privilege
		roles := pgschema.Ask(ctx, q, schema)
		*err = fmt.Errorf("%w: %s lacks rights on what %s owns in schema %s: %s", *err, roles.Who(), roles.Whose(), schema, roles.Grant(remedy))
	case "42P01", "3F000", "42883": // undefined table, schema or function
		*err = fmt.Errorf("%w: the journal's tables or functions are missing in schema %s, or old: start a program that makes them, or run what journal.Schema returns, or for tables of an earlier version journal.Upgrade",
			*err, schema)
	}
}
