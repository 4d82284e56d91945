// Package pgxdriver wraps pgx for database/sql. It does what
//
//	driver.Register("pgx-audited", "pgx", audit)
//
// does, and besides looks at the transaction status that the server sends with
// each answer: it costs no round trip, and a COMMIT is not believed against it.
// It also takes connections from a pgxpool.Pool that the app has already.
//
// What goes to the pool directly does not go through database/sql and is not
// audited.
package pgxdriver

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Register makes pgx, wrapped, available to sql.Open under a name. It panics as
// [driver.Register] does.
func Register(name string, hook hooks.Hook, opts ...driver.Option) {
	driver.Register(name, "pgx", hook, withStatus(opts)...)
}

// OpenDBFromPool returns a database whose connections are pool's, which stays
// the caller's to close, after the database. The relay takes two of them.
func OpenDBFromPool(pool *pgxpool.Pool, hook hooks.Hook, opts ...driver.Option) (*sql.DB, error) {
	if pool == nil {
		return nil, errors.New("pgxdriver: OpenDBFromPool of a nil pool")
	}
	c, err := driver.WrapConnector(stdlib.GetPoolConnector(pool), hook, withStatus(opts)...)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxIdleConns(0) // idle connections belong to the pool
	return db, nil
}

func withStatus(opts []driver.Option) []driver.Option {
	return append([]driver.Option{driver.WithTxStatus(Status)}, opts...)
}

// Status is what the server said last about a connection of pgx's stdlib. It is
// unknown for any other, and for one that is closed.
func Status(base sqldriver.Conn) driver.TxStatus {
	c, ok := base.(*stdlib.Conn)
	if !ok || c.Conn().IsClosed() {
		return driver.TxUnknown
	}
	switch s := driver.TxStatus(c.Conn().PgConn().TxStatus()); s {
	case driver.TxIdle, driver.TxOpen, driver.TxFailed:
		return s
	default:
		return driver.TxUnknown
	}
}
