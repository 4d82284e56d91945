//go:build sqlite_mattn

package dbtest

import (
	"database/sql"
	"net/url"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// SQLiteDriver is the module whose driver is called sqlite.
const SQLiteDriver = "github.com/mattn/go-sqlite3"

func init() { sql.Register("sqlite", &sqlite3.SQLiteDriver{}) }

// sqliteParameters: each pragma has a parameter.
func sqliteParameters(pragmas []string) url.Values {
	v := url.Values{}
	for _, p := range pragmas {
		name, value, _ := strings.Cut(strings.TrimSuffix(p, ")"), "(")
		v.Set("_"+name, value)
	}
	return v
}
