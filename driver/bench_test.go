package driver_test

import (
	"context"
	"database/sql/driver"
	"strings"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// nullConn does nothing, as fast as possible: what a benchmark over it shows is
// the wrapper.
type nullConn struct{}

func (nullConn) Prepare(string) (driver.Stmt, error) { return nil, driver.ErrSkip }
func (nullConn) Close() error                        { return nil }
func (nullConn) Begin() (driver.Tx, error)           { return nullConn{}, nil }
func (nullConn) Commit() error                       { return nil }
func (nullConn) Rollback() error                     { return nil }

func (nullConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	return nullConn{}, nil
}

func (nullConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(0), nil
}

type nullConnector struct{}

func (nullConnector) Connect(context.Context) (driver.Conn, error) { return nullConn{}, nil }
func (nullConnector) Driver() driver.Driver                        { return nullDriver{} }

type nullDriver struct{}

func (nullDriver) Open(string) (driver.Conn, error) { return nullConn{}, nil }

func BenchmarkConn(b *testing.B) {
	ctx := context.Background()
	connector, err := adriver.WrapConnector(nullConnector{}, &spy{}, adriver.WithDialect(hooks.Postgres), adriver.Capture(adriver.AllTables()))
	if err != nil {
		b.Fatal(err)
	}
	wrapped, err := connector.Connect(ctx)
	if err != nil {
		b.Fatal(err)
	}
	long := "SELECT id, name, price FROM products WHERE shop = $1" + strings.Repeat(" AND id <> 1234567890", 12)
	for _, conn := range []struct {
		name string
		conn driver.Conn
	}{{"bare", nullConn{}}, {"wrapped", wrapped}} {
		for _, q := range []struct{ name, query string }{{"short", "SELECT 1"}, {"300 bytes", long}} {
			b.Run("select "+q.name+"/"+conn.name, func(b *testing.B) {
				e := conn.conn.(driver.ExecerContext)
				b.ReportAllocs()
				for b.Loop() {
					_, _ = e.ExecContext(ctx, q.query, nil)
				}
			})
		}
		b.Run("begin and commit/"+conn.name, func(b *testing.B) {
			c := conn.conn.(driver.ConnBeginTx)
			b.ReportAllocs()
			for b.Loop() {
				tx, _ := c.BeginTx(ctx, driver.TxOptions{})
				_ = tx.Commit()
			}
		})
	}
}
