//go:build !sqlite_mattn && !sqlite_ncruces

package dbtest

import (
	"net/url"

	_ "modernc.org/sqlite" // "sqlite"
)

// SQLiteDriver is the module whose driver is called sqlite. Another one is chosen by a build tag, sqlite_mattn or sqlite_ncruces.
const SQLiteDriver = "modernc.org/sqlite"

func sqliteParameters(pragmas []string) url.Values { return url.Values{"_pragma": pragmas} }
