package forward

import (
	"context"
	"database/sql"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// On SQLite no table is made before the app writes: its pool may be read-only, its
// file in use by others, its connection the target of a backup. The first flush makes
// what the journal and the relay need, in the app's transaction. If that is rolled
// back, or a connection has a separate database in memory, the next flush makes it.

// write writes to the journal.
func (d *handler) write(ctx context.Context, f hooks.Flush) (written bool, err error) {
	if !d.dialect.local() {
		return d.journal.Write(ctx, f)
	}
	if d.registered.Load() {
		if written, err = d.journal.Write(ctx, f); !d.journal.Missing(err) {
			return written, err
		}
		d.registered.Store(false)
	}
	conn := f.Conn.DB()
	if err = d.journal.ConnectWithin(ctx, conn); err != nil {
		return false, err
	}
	// Before the events are written, so that the forwarders get them.
	if _, err = d.registerSinks(ctx, conn); err != nil {
		return false, err
	}
	return d.journal.Write(ctx, f)
}

// unmade reports whether err means that the transaction which made the journal was
// rolled back, so that there are no events to find. That is not so if the journal was
// committed before, or if the database is in memory: conn may have another one than
// the transaction had.
func (d *handler) unmade(ctx context.Context, conn *sql.DB, err error) bool {
	if !d.journal.Missing(err) || d.registered.Load() {
		return false
	}
	var file string
	err = conn.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file)
	return err == nil && file != ""
}
