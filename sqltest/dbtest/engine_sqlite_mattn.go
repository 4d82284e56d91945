//go:build sqlite_mattn

package dbtest

import (
	"net/url"
	"strings"
)

// SQLiteDriver is the module whose driver is called sqlite. The tests import it, so that other modules need not require it.
const SQLiteDriver = "github.com/mattn/go-sqlite3"

// sqliteParameters: each pragma has a parameter.
func sqliteParameters(pragmas []string) url.Values {
	v := url.Values{}
	for _, p := range pragmas {
		name, value, _ := strings.Cut(strings.TrimSuffix(p, ")"), "(")
		v.Set("_"+name, value)
	}
	return v
}
