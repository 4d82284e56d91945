package threadline_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"sync"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// statement is one that reached a driver.
type statement struct {
	query    string
	args     []driver.NamedValue
	prepared bool
}

// ledger keeps the statements of a spied database.
type ledger struct {
	mu   sync.Mutex
	list []statement
}

func (l *ledger) add(s statement) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, s)
}

func (l *ledger) all() []statement {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]statement(nil), l.list...)
}

func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}

// spied opens a new database and logs what reaches its driver.
func spied(t *testing.T, e dbtest.Engine) (*sql.DB, *ledger) {
	t.Helper()
	dsn := e.DSN(t)
	l := &ledger{}
	db := sql.OpenDB(connector{dsn: dsn, driver: dbtest.Open(t, e.Driver, dsn).Driver(), log: l})
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db, l
}

type connector struct {
	dsn    string
	driver driver.Driver
	log    *ledger
}

func (c connector) Driver() driver.Driver { return c.driver }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return &spy{Conn: conn, log: c.log}, nil
}

// spy is a connection of any of the drivers here, all of which execute and query
// without preparing.
type spy struct {
	driver.Conn
	log *ledger
}

func (s *spy) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s.log.add(statement{query: query, args: args})
	return s.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (s *spy) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s.log.add(statement{query: query, args: args})
	return s.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (s *spy) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s.log.add(statement{query: query, prepared: true})
	return s.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (s *spy) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return s.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

func says(err error, part string) bool {
	return err != nil && strings.Contains(err.Error(), part)
}
