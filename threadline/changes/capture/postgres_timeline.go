package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// missingContexts is a warning if the timeline is another role's, and of a version that keeps no contexts: where it is
// this role's, a Forwarder makes what is missing.
func (s *Installer) missingContexts(ctx context.Context, q catalog.Querier) (warnings []string, err error) {
	var owner string
	err = q.QueryRowContext(ctx, `SELECT `+pgtext.HexAnywhere("pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text")+`
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = 'audit_actions' AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
			AND NOT EXISTS (SELECT FROM pg_catalog.pg_class t WHERE t.relnamespace = n.oid AND t.relname = 'audit_contexts')`, s.catalog.Schema).Scan(pgtext.Scanner(&owner))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("look for the timeline", err)
	}
	return []string{fmt.Sprintf("who makes changes is not known: the timeline has no table %s: call Migrate of threadline's Store, or run the SQL that threadline.Schema returns, as role %s, which owns it",
		s.at("audit_contexts"), pgschema.Ident(owner))}, nil
}
