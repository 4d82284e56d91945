package forward

import (
	"context"
	"database/sql"
	"fmt"

	"go.uber.org/zap"
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
	name, err := d.dialect.databaseName(ctx, conn)
	switch {
	case err == nil:
		d.named.Store(d.hub.log.With(zap.String("database", name)))
	case d.dialect.isForeign(err):
		return fmt.Errorf("forward: the dialect %q is not that of this database: give Hub.Relay, Hub.Work or driver.WithDialect the one that it speaks: %w", d.db.Dialect, err)
	}
	return nil
}
