//go:build sqlite_ncruces

package changes_test

import (
	"database/sql"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/ext/rtree"
)

func init() {
	sqlite3.AutoExtension(rtree.Register) // the other drivers have it
	sql.Register("sqlite", &driver.SQLite{})
}
