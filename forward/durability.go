package forward

import (
	"context"
	"database/sql"
	"strings"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// durability asks the database for settings by which a crash can take back a
// commit that it has confirmed. That a setting cannot be read is no trouble of
// the app's.
func durability(ctx context.Context, conn *sql.DB, dialect hooks.Dialect) []string {
	var risks []string
	if dialect == hooks.SQLite {
		var level int
		if err := conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&level); err == nil && level == 0 {
			risks = append(risks, "synchronous=OFF")
		}
		return risks
	}
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

// warnDurability says once for each database what committed means there. Without
// a journal it is not asked.
func (d *handler) warnDurability(ctx context.Context, conn *sql.DB) {
	if d.journal == nil {
		return
	}
	if risks := durability(ctx, conn, d.db.Dialect); len(risks) > 0 {
		d.log().Warn("aftercommit: a crash of the database can take back what it has confirmed: "+
			"an event may have been forwarded by then, and its transaction be gone",
			zap.String("driver", d.db.Driver), zap.String("settings", strings.Join(risks, ", ")))
	}
}
