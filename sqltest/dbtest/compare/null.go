package main

import (
	"context"
	"database/sql/driver"
	"io"
	"strings"
)

// null is a driver that does nothing, as fast as possible, and returns ten rows
// of two columns: what is measured over it is what wraps it. Its catalog has the table
// products.
type null struct{}

func (null) Connect(context.Context) (driver.Conn, error) { return nullConn{}, nil }
func (null) Driver() driver.Driver                        { return null{} }
func (null) Open(string) (driver.Conn, error)             { return nullConn{}, nil }

type nullConn struct{}

func (nullConn) Prepare(string) (driver.Stmt, error) { return nullStmt{}, nil }
func (nullConn) PrepareContext(context.Context, string) (driver.Stmt, error) {
	return nullStmt{}, nil
}
func (nullConn) Close() error              { return nil }
func (nullConn) Begin() (driver.Tx, error) { return nullTx{}, nil }
func (nullConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	return nullTx{}, nil
}

func (nullConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}

func (nullConn) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) { //nolint:unparam // as driver.QueryerContext has it
	return &nullRows{query: query}, nil
}

type nullTx struct{}

func (nullTx) Commit() error   { return nil }
func (nullTx) Rollback() error { return nil }

type nullStmt struct{}

func (nullStmt) Close() error                               { return nil }
func (nullStmt) NumInput() int                              { return -1 }
func (nullStmt) Exec([]driver.Value) (driver.Result, error) { return driver.RowsAffected(1), nil }
func (nullStmt) Query([]driver.Value) (driver.Rows, error)  { return &nullRows{}, nil }
func (nullStmt) ExecContext(context.Context, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}

func (nullStmt) QueryContext(context.Context, []driver.NamedValue) (driver.Rows, error) {
	return &nullRows{}, nil
}

type nullRows struct {
	query string
	n     int
}

func (r *nullRows) Columns() []string {
	if r.isOfCatalog() {
		return make([]string, len(catalogRow))
	}
	return []string{"id", "name"}
}

func (*nullRows) Close() error { return nil }

func (r *nullRows) Next(dest []driver.Value) error {
	if r.n == 10 || r.n == 1 && r.isOfCatalog() {
		return io.EOF
	}
	r.n++
	if r.isOfCatalog() {
		copy(dest, catalogRow)
	} else {
		dest[0], dest[1] = int64(r.n), "name"
	}
	return nil
}

// catalogRow is what PostgreSQL's catalog answers of a table whose key is a bigint.
var catalogRow = []driver.Value{"public\x1fpg_catalog\x1fpublic", "true", "public", "products", "r", "p", "0", "", "0", "20"}

func (r *nullRows) isOfCatalog() bool { return strings.HasPrefix(r.query, "WITH RECURSIVE") }
