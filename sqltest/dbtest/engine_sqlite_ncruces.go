//go:build sqlite_ncruces

package dbtest

import (
	"database/sql"
	"net/url"

	"github.com/ncruces/go-sqlite3/driver"
)

// SQLiteDriver is the module whose driver is called sqlite.
const SQLiteDriver = "github.com/ncruces/go-sqlite3"

func init() { sql.Register("sqlite", &driver.SQLite{}) }

func sqliteParameters(pragmas []string) url.Values { return url.Values{"_pragma": pragmas} }
