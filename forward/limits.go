package forward

import (
	"context"
	"database/sql"

	"go.uber.org/zap"
)

// fewest is how many connections the server allows this session's role in this
// database: the least of three limits, of which -1 is none.
const fewest = `SELECT least(
	pg_catalog.current_setting('max_connections')::pg_catalog.int4 - pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int4,
	(SELECT nullif(rolconnlimit, -1) FROM pg_catalog.pg_roles WHERE rolname = session_user AND NOT rolsuper),
	(SELECT nullif(datconnlimit, -1) FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))`

// warnConnections warns where the server allows too few connections for the app
// and what runs beside it, so that one would keep out the other. A limit that
// cannot be read is ignored: it must not affect the app.
func (d *handler) warnConnections(ctx context.Context, conn *sql.DB) {
	beside := 0
	if d.hub.relayMode == RelayInProcess && d.dialect.beside() {
		if d.hasQueue() && len(d.sinks) > 0 {
			beside += relayConns
		}
		if len(d.queue.given) > 0 {
			beside += workerConns
		}
	}
	var allowed int
	if beside == 0 || conn.QueryRowContext(ctx, fewest).Scan(&allowed) != nil || allowed > beside {
		return
	}
	d.log().Warn("aftercommit: the server allows this role too few connections for the app and for what delivers events beside it: "+
		"raise CONNECTION LIMIT or max_connections, or deliver from another process and set Options.Relay to RelayElsewhere",
		zap.String("driver", d.db.Driver), zap.Int("allowed", allowed), zap.Int("beside", beside))
}
