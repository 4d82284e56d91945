package forward

import (
	"context"
	"database/sql"
	"strings"

	"go.uber.org/zap"
)

// warnDurability warns, once for each database, of settings with which a crash can undo
// a confirmed commit. Without a journal the database is not asked.
func (d *handler) warnDurability(ctx context.Context, conn *sql.DB) {
	if d.journal == nil {
		return
	}
	if risks := d.dialect.risks(ctx, conn); len(risks) > 0 {
		d.log().Warn("aftercommit: with these settings a crash of the database can undo commits that it has confirmed, "+
			"after their events were forwarded",
			zap.String("driver", d.db.Driver), zap.String("settings", strings.Join(risks, ", ")))
	}
}
