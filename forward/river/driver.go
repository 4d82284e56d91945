package river

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"github.com/go-aftercommit/aftercommit/hooks"
)

type riverDriver = riverdriver.Driver[*sql.Tx]

func newDriver(dialect hooks.Dialect, db *sql.DB) (riverDriver, error) {
	if db == nil {
		return nil, errors.New("river: db is nil: give it the database with River's tables")
	}
	switch dialect {
	case hooks.Postgres:
		return riverdatabasesql.New(db), nil
	case hooks.SQLite:
		return riversqlite.New(db), nil
	default:
		return nil, fmt.Errorf("river: no driver for dialect %q: there is one for %s and %s", dialect, hooks.Postgres, hooks.SQLite)
	}
}

// quiet is a driver whose clients do not notify when they insert. In the app's
// transaction, NOTIFY on PostgreSQL takes a lock that makes commits wait for
// each other, and on SQLite it is one more insert.
type quiet struct{ riverDriver }

// SupportsListenNotify reports false.
func (quiet) SupportsListenNotify() bool { return false }

// quietDriver returns the driver that inserts, which has no pool.
func quietDriver(dialect hooks.Dialect) riverDriver {
	if dialect == hooks.SQLite {
		return quiet{riversqlite.New(nil)}
	}
	return quiet{riverdatabasesql.New(nil)}
}
