package sqltest

import (
	"database/sql"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Lent returns db as the driver lends a connection, for tests that call a [hooks.Handler], or
// the journal, themselves. Of nil it is nil.
func Lent(db *sql.DB) hooks.Conn {
	if db == nil {
		return nil
	}
	return lent{db}
}

type lent struct{ hooks.Handle }

func (l lent) DB() *sql.DB { return l.Handle.(*sql.DB) }
