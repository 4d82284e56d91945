package forward

import (
	"context"
	"database/sql"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// dialect is what the Hub has to know of a database system. What the journal, the relay and
// the timeline have to is in their packages.
type dialect interface {
	// beside reports whether connections beside the app's disturb nothing, so that a relay
	// can run there.
	beside() bool
	// local reports whether the database is a file, in the app's process: no table is made
	// before the app writes, and what delivery there is has the app's own connections.
	local() bool
	// isStandby reports whether conn is to a hot standby. The journal's tables may be
	// missing there until the primary has them.
	isStandby(ctx context.Context, conn *sql.DB) (bool, error)
	// databaseName is for the log. isForeign reports whether the error of asking for it is
	// that of a database of another dialect.
	databaseName(ctx context.Context, conn *sql.DB) (string, error)
	isForeign(err error) bool
	// risks are settings with which a crash can undo a commit that the database has
	// confirmed. One that cannot be read is ignored: it must not affect the app.
	risks(ctx context.Context, conn *sql.DB) []string
	// exposed lists the functions that write as their owner and that every role may execute. An
	// error is ignored: it must not affect the app.
	exposed(ctx context.Context, conn *sql.DB) string
}

// dialectOf returns that of a database that has no journal for one that is not known.
func dialectOf(d hooks.Dialect) dialect {
	switch d {
	case hooks.Postgres:
		return postgres{}
	case hooks.SQLite:
		return sqlite{}
	}
	return unjournaled{}
}
