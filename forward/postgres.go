package forward

import (
	"context"
	"database/sql"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

type postgres struct{}

func (postgres) beside() bool { return true }
func (postgres) local() bool  { return false }

func (postgres) isStandby(ctx context.Context, conn *sql.DB) (standby bool, err error) {
	err = conn.QueryRowContext(ctx, "SELECT pg_catalog.pg_is_in_recovery()").Scan(&standby)
	return standby, err
}

// databaseName: over a Unix socket the server has no address.
func (postgres) databaseName(ctx context.Context, conn *sql.DB) (name string, err error) {
	err = conn.QueryRowContext(ctx, `SELECT pg_catalog.concat(pg_catalog.current_database(), CASE WHEN pg_catalog.inet_server_addr() IS NOT NULL THEN
	pg_catalog.format(' at %s:%s', pg_catalog.host(pg_catalog.inet_server_addr()), pg_catalog.inet_server_port()) END)`).Scan(&name)
	return name, err
}

// isForeign: the others have no SQLSTATEs.
func (postgres) isForeign(err error) bool {
	return hooks.SQLState(err) == "" && strings.Contains(err.Error(), "syntax error") || strings.Contains(err.Error(), "no such")
}

func (postgres) risks(ctx context.Context, conn *sql.DB) (risks []string) {
	var commit, fsync string
	const query = "SELECT pg_catalog.current_setting('synchronous_commit'), pg_catalog.current_setting('fsync')"
	if err := conn.QueryRowContext(ctx, query).Scan(&commit, &fsync); err != nil {
		return nil
	}
	if commit == "off" {
		risks = append(risks, "synchronous_commit=off")
	}
	if fsync == "off" {
		risks = append(risks, "fsync=off")
	}
	return risks
}
