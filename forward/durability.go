package forward

import (
	"context"
	"database/sql"
	"strings"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// durability asks the database for settings with which a crash can undo a commit that
// it has confirmed. A setting that cannot be read is ignored: it must not affect the
// app.
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

// warnDurability warns, once for each database, of settings with which a crash can undo
// a confirmed commit. Without a journal the database is not asked.
func (d *handler) warnDurability(ctx context.Context, conn *sql.DB) {
	if d.journal == nil {
		return
	}
	if risks := durability(ctx, conn, d.db.Dialect); len(risks) > 0 {
		d.log().Warn("aftercommit: with these settings a crash of the database can undo commits that it has confirmed, "+
			"after their events were forwarded",
			zap.String("driver", d.db.Driver), zap.String("settings", strings.Join(risks, ", ")))
	}
}
