//go:build sqlite_ncruces

package dbtest

import "net/url"

// SQLiteDriver is the module whose driver is called sqlite. The tests import it, so that other modules need not require it.
const SQLiteDriver = "github.com/ncruces/go-sqlite3"

func sqliteParameters(pragmas []string) url.Values { return url.Values{"_pragma": pragmas} }
