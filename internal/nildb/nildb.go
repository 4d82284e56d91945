// Package nildb stands in for a *sql.DB that a caller has forgotten, so that each exported
// function which is given one returns an error instead of a panic inside database/sql.
package nildb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
)

// Err is the error of each call of the stand-in.
var Err = errors.New("db is nil: pass the *sql.DB that sql.Open has returned")

// Replace returns db or, if it is nil, one on which each call fails with [Err].
func Replace(db *sql.DB) *sql.DB {
	if db == nil {
		return standIn()
	}
	return db
}

var standIn = sync.OnceValue(func() *sql.DB { return sql.OpenDB(missing{}) })

// missing is the connector of the stand-in.
type missing struct{}

// Connect implements driver.Connector.
func (missing) Connect(context.Context) (driver.Conn, error) { return nil, Err }

// Driver implements driver.Connector.
func (m missing) Driver() driver.Driver { return m }

// Open implements driver.Driver.
func (missing) Open(string) (driver.Conn, error) { return nil, Err }
