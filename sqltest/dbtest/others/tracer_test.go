package others_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"

	sqldblogger "github.com/simukti/sqldb-logger"
)

func typeOf(v any) string { return fmt.Sprintf("%T", v) }

// quiet is a logger for sqldb-logger.
type quiet struct{}

func (quiet) Log(context.Context, sqldblogger.Level, string, map[string]any) {}

// What follows opens and passes on as dd-trace-go's contrib/database/sql does,
// with the propagation that puts a comment before each statement.

func traceOpen(d sqldriver.Driver, dsn string) (*sql.DB, error) {
	if dc, ok := d.(sqldriver.DriverContext); ok {
		c, err := dc.OpenConnector(dsn)
		return sql.OpenDB(traceConnector{c}), err
	}
	return sql.OpenDB(traceConnector{traceDSN{d, dsn}}), nil
}

type traceDSN struct {
	driver sqldriver.Driver
	dsn    string
}

func (c traceDSN) Connect(context.Context) (sqldriver.Conn, error) { return c.driver.Open(c.dsn) }
func (c traceDSN) Driver() sqldriver.Driver                        { return c.driver }

type traceConnector struct{ sqldriver.Connector }

func (c traceConnector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return &tracedConn{conn}, err
}

// tracedConn starts a span for each call, whose name is in a comment.
type tracedConn struct{ sqldriver.Conn }

type spanKey struct{}

func (c *tracedConn) WrappedConn() sqldriver.Conn { return c.Conn }

func comment(query string) string { return "/*dddbs='shop',traceparent='00-1-2-01'*/ " + query }

func (c *tracedConn) BeginTx(ctx context.Context, opts sqldriver.TxOptions) (sqldriver.Tx, error) {
	return c.Conn.(sqldriver.ConnBeginTx).BeginTx(context.WithValue(ctx, spanKey{}, 1), opts)
}

func (c *tracedConn) PrepareContext(ctx context.Context, query string) (sqldriver.Stmt, error) {
	return c.Conn.(sqldriver.ConnPrepareContext).PrepareContext(ctx, comment(query))
}

func (c *tracedConn) ExecContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	return c.Conn.(sqldriver.ExecerContext).ExecContext(context.WithValue(ctx, spanKey{}, 1), comment(query), args)
}

func (c *tracedConn) QueryContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	return c.Conn.(sqldriver.QueryerContext).QueryContext(context.WithValue(ctx, spanKey{}, 1), comment(query), args)
}

func (c *tracedConn) CheckNamedValue(value *sqldriver.NamedValue) error {
	if checker, ok := c.Conn.(sqldriver.NamedValueChecker); ok {
		return checker.CheckNamedValue(value)
	}
	return sqldriver.ErrSkip
}

func (c *tracedConn) ResetSession(ctx context.Context) error {
	if resetter, ok := c.Conn.(sqldriver.SessionResetter); ok {
		return resetter.ResetSession(ctx)
	}
	return nil
}
