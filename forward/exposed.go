package forward

import (
	"context"
	"database/sql"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// warnExposed warns, once for each database, of functions with which every role can write to the
// journal or the timeline: a dump that was restored without rights has them.
func (d *handler) warnExposed(ctx context.Context, conn *sql.DB) {
	if d.journal == nil {
		return
	}
	if functions := d.dialect.exposed(ctx, conn); functions != "" {
		d.log().Warn("aftercommit: every role that may use their schema may execute functions that write there, as after a restore without rights (pg_dump --no-acl): "+
			"run what journal.Upgrade and threadline.Schema return as their owner, and grant EXECUTE to the roles that need it again",
			zap.String("driver", d.db.Driver), zap.String("functions", functions))
	}
}

// exposedQuery looks in all schemas: a timeline may be anywhere.
var exposedQuery = "SELECT coalesce(" + pgtext.HexAnywhere("pg_catalog.string_agg(p.oid::pg_catalog.regprocedure::pg_catalog.text, ', ' ORDER BY p.oid::pg_catalog.regprocedure::pg_catalog.text)") + `, '')
FROM pg_catalog.pg_proc p
WHERE p.proname IN ('write', 'claim', 'written', 'acknowledge', 'enlist', 'record') AND p.prosecdef AND 'search_path=pg_catalog, pg_temp' = ANY (p.proconfig)
AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = p.pronamespace AND c.relname IN ('journal', 'audit_actions'))
AND EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a WHERE a.grantee = 0::pg_catalog.oid AND a.privilege_type = 'EXECUTE')`

func (postgres) exposed(ctx context.Context, conn *sql.DB) (functions string) {
	_ = conn.QueryRowContext(ctx, exposedQuery).Scan(pgtext.Scanner(&functions))
	return functions
}

func (sqlite) exposed(context.Context, *sql.DB) string      { return "" }
func (unjournaled) exposed(context.Context, *sql.DB) string { return "" }
