package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// indexContexts makes catalog.WhoIndexes on a timeline that is older than they are, once it has the contexts of all its events.
func (s *Installer) indexContexts(ctx context.Context) error {
	lacks, owned, err := s.lacksContextIndexes(ctx, s.catalog.DB)
	if err != nil || !lacks || !owned {
		return err
	}
	if _, err = s.catalog.DB.ExecContext(ctx, s.addContextsSQL()); err != nil {
		return fmt.Errorf("add the contexts of earlier events: %w", err)
	}
	for _, i := range catalog.WhoIndexes {
		if err = s.makeIndex(ctx, index{"audit_contexts", i.Name, "(" + i.Column + ", tx_started_at, tx_id) WHERE " + i.Column + " IS NOT NULL"}); err != nil {
			return err
		}
	}
	return nil
}

// lacksContextIndexes reports whether the timeline has contexts and lacks catalog.WhoIndexes, and whether this role owns it.
func (s *Installer) lacksContextIndexes(ctx context.Context, q catalog.Querier) (lacks, owned bool, err error) {
	// Where the function is an older one, events come without contexts, until the timeline is migrated.
	err = q.QueryRowContext(ctx, `SELECT NOT `+s.catalog.WhoIndexed()+`, pg_catalog.pg_has_role(c.relowner, 'USAGE')
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = `+pgtext.Literal(s.catalog.Schema)+` AND c.relname = 'audit_contexts' AND c.relkind = 'r'
			AND EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid AND p.proname = 'add' AND pg_catalog.strpos(p.prosrc, 'audit_contexts') > 0)`).Scan(&lacks, &owned)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return lacks, owned, err
}

// addContextsSQL adds the contexts of transactions that have none, as the timeline's function does for each delivery.
func (s *Installer) addContextsSQL() string {
	const same = "actor_type, actor_id, actor_name, on_behalf_of, tenant_id, request_id, correlation_id, job_id, ip_address, user_agent, application, host, role"
	return `INSERT INTO ` + s.at("audit_contexts") + ` (tx_id, tx_started_at, id, action_id, ` + same + `, events, occurred_at, first_recorded_at, last_recorded_at)
		SELECT tx_id, tx_started_at, pg_catalog.min(id::pg_catalog.text COLLATE pg_catalog."C")::pg_catalog.uuid,
			(pg_catalog.min(id::pg_catalog.text COLLATE pg_catalog."C") FILTER (WHERE NOT captured))::pg_catalog.uuid,
			` + same + `, pg_catalog.count(*), pg_catalog.min(occurred_at), pg_catalog.min(recorded_at), pg_catalog.max(recorded_at)
		FROM (SELECT id, captured, occurred_at, recorded_at, tx_id, tx_started_at, actor_type, actor_id, actor_name, on_behalf_of, tenant_id, request_id,
				nullif(a.correlation_id, a.id::pg_catalog.text) AS correlation_id, job_id, ip_address, user_agent, application, host, role
			FROM ` + s.at("audit_actions") + ` a WHERE a.tx_id IS NOT NULL AND a.tx_started_at IS NOT NULL
				AND NOT EXISTS (SELECT FROM ` + s.at("audit_contexts") + ` c WHERE c.tx_id = a.tx_id AND c.tx_started_at = a.tx_started_at)) a
		GROUP BY tx_id, tx_started_at, ` + same + `
		ON CONFLICT DO NOTHING`
}

// missingContextIndexes is a warning of what indexContexts would make. Only Migrate does: it reads the whole timeline.
func (s *Installer) missingContextIndexes(ctx context.Context, q catalog.Querier) (warnings []string, err error) {
	lacks, _, err := s.lacksContextIndexes(ctx, q)
	if err != nil || !lacks {
		return nil, err
	}
	return []string{s.at("audit_contexts") + " lacks indexes, without which pages of an actor, a correlation or a request are slow: call capture.Installer.Migrate as its owner"}, nil
}
