// Package pgxdriver wraps pgx for database/sql. It does what
//
//	driver.Register("pgx-audited", "pgx", audit)
//
// does, and also looks at what pgx knows from the server's answers, without a round
// trip: the transaction status, against which a COMMIT is not believed, and
// standard_conforming_strings, by which strings with a backslash are read.
// The COMMIT of a transaction goes to the server in one message with its events, so that
// these cost no round trip; a pgx.QueryTracer sees that message as one query.
// It also takes connections from a pgxpool.Pool that the app has already.
//
// What goes to the pool directly does not go through database/sql and is not
// audited.
//
// # Connections
//
// The relay of a forward.Hub needs up to three connections for each database that
// is opened. [OpenDBFromPool] does not take them from the pool, which may have no
// more than the app needs: they are opened beside it, with the pool's ConnConfig,
// BeforeConnect and AfterConnect, and count against the server's max_connections
// and the role's CONNECTION LIMIT. PrepareConn and BeforeAcquire are not called
// for them. Where the server refuses them, delivery waits, with a warning, and the
// app goes on. Use [OpenDBFromPool] rather than driver.WrapConnector of a
// stdlib.GetPoolConnector, whose pool would serve the relay too.
package pgxdriver

import (
	"context"
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
// the caller's to close, after the database. What only the hook needs is opened
// beside the pool. As after [driver.WrapConnector], the mode cannot be changed by
// driver.SetMode.
func OpenDBFromPool(pool *pgxpool.Pool, hook hooks.Hook, opts ...driver.Option) (*sql.DB, error) {
	if pool == nil {
		return nil, errors.New("pgxdriver: OpenDBFromPool of a nil pool")
	}
	opts = append(opts[:len(opts):len(opts)], driver.SideConnector(beside{pool.Config()}))
	c, err := driver.WrapConnector(stdlib.GetPoolConnector(pool), hook, withStatus(opts)...)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxIdleConns(0) // idle connections belong to the pool
	return db, nil
}

// beside opens connections as a pool does, outside it.
type beside struct{ cfg *pgxpool.Config }

var _ sqldriver.Connector = beside{}

// Connect gives BeforeConnect a config to change that no other connection has, as
// the pool does.
func (b beside) Connect(ctx context.Context) (sqldriver.Conn, error) {
	var opts []stdlib.OptionOpenDB
	if b.cfg.BeforeConnect != nil {
		opts = append(opts, stdlib.OptionBeforeConnect(b.cfg.BeforeConnect))
	}
	if b.cfg.AfterConnect != nil {
		opts = append(opts, stdlib.OptionAfterConnect(b.cfg.AfterConnect))
	}
	return stdlib.GetConnector(*b.cfg.ConnConfig.Copy(), opts...).Connect(ctx)
}

// Driver is that of the pool's connections.
func (b beside) Driver() sqldriver.Driver { return stdlib.GetDefaultDriver() }

func withStatus(opts []driver.Option) []driver.Option {
	return append([]driver.Option{driver.WithTxStatus(Status), driver.WithParameter(Parameter), driver.WithCommitter(Committer)}, opts...)
}

// Parameter is what the server reported last of a setting, to a connection of
// pgx's stdlib. It is "" for any other, and for what the server does not report.
func Parameter(base sqldriver.Conn, name string) string {
	c, ok := base.(*stdlib.Conn)
	if !ok {
		return ""
	}
	return c.Conn().PgConn().ParameterStatus(name)
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
