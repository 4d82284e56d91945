package forward

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// log returns the Hub's logger, for lines about d's database. Once there is a connection
// they name the database, because a program may open several by one driver.
func (d *handler) log() *zap.Logger {
	if named := d.named.Load(); named != nil {
		return named
	}
	return d.hub.log
}

// nameLog asks the database for its name. A database that does not answer stays
// without one: it must not affect the app. It is an error if the answer shows that
// the dialect is not the database's.
func (d *handler) nameLog(ctx context.Context, conn *sql.DB) error {
	if d.named.Load() != nil {
		return nil
	}
	name, err := databaseName(ctx, conn, d.db.Dialect)
	switch {
	case err == nil:
		d.named.Store(d.hub.log.With(zap.String("database", name)))
	case isForeign(err, d.db.Dialect):
		return fmt.Errorf("forward: the dialect %q is not that of this database: give Hub.Relay, Hub.Work or driver.WithDialect the one that it speaks: %w", d.db.Dialect, err)
	}
	return nil
}

// isForeign reports whether err is that of a database of another dialect: only
// PostgreSQL has SQLSTATEs.
func isForeign(err error, dialect hooks.Dialect) bool {
	state := hooks.SQLState(err)
	if dialect == hooks.Postgres {
		return state == "" && strings.Contains(err.Error(), "syntax error") || strings.Contains(err.Error(), "no such")
	}
	return dialect == hooks.SQLite && state != ""
}

// Over a Unix socket the server has no address.
const (
	postgresName = `SELECT pg_catalog.concat(pg_catalog.current_database(), CASE WHEN pg_catalog.inet_server_addr() IS NOT NULL THEN
	pg_catalog.format(' at %s:%s', pg_catalog.host(pg_catalog.inet_server_addr()), pg_catalog.inet_server_port()) END)`
	// A database in memory has no file.
	sqliteName = "SELECT file FROM pragma_database_list WHERE name = 'main'"
)

func databaseName(ctx context.Context, conn *sql.DB, dialect hooks.Dialect) (name string, err error) {
	query := postgresName
	if dialect == hooks.SQLite {
		query = sqliteName
	}
	err = conn.QueryRowContext(ctx, query).Scan(&name)
	if dialect == hooks.SQLite && name == "" {
		name = "in memory"
	}
	return name, err
}
