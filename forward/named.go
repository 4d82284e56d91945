package forward

import (
	"context"
	"database/sql"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// log is the Hub's, for lines about d's database: once there is a connection, they
// name it. A program may have opened several by one driver.
func (d *handler) log() *zap.Logger {
	if named := d.named.Load(); named != nil {
		return named
	}
	return d.hub.log
}

// nameLog asks the database for its name. A database that does not answer stays
// without one: it must not affect the app.
func (d *handler) nameLog(ctx context.Context, conn *sql.DB) {
	if d.named.Load() != nil {
		return
	}
	if name := databaseName(ctx, conn, d.db.Dialect); name != "" {
		d.named.Store(d.hub.log.With(zap.String("database", name)))
	}
}

// Where the server is asked through a socket, it has no address.
const (
	postgresName = `SELECT pg_catalog.current_database() || coalesce(' at ' ||
	pg_catalog.host(pg_catalog.inet_server_addr()) || ':' || pg_catalog.inet_server_port(), '')`
	mysqlName = "SELECT CONCAT(COALESCE(DATABASE(), ''), ' at ', @@hostname, ':', @@port)"
	// A database in memory has no file.
	sqliteName = "SELECT file FROM pragma_database_list WHERE name = 'main'"
)

func databaseName(ctx context.Context, conn *sql.DB, dialect hooks.Dialect) (name string) {
	query := postgresName
	switch dialect {
	case hooks.SQLite:
		query = sqliteName
	case hooks.MySQL:
		query = mysqlName
	}
	if conn.QueryRowContext(ctx, query).Scan(&name) != nil {
		return ""
	}
	if dialect == hooks.SQLite && name == "" {
		return "in memory"
	}
	return name
}
