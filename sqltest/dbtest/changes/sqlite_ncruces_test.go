//go:build sqlite_ncruces

package changes_test

import (
	"database/sql"

	"github.com/ncruces/go-sqlite3/driver"
)

func init() { sql.Register("sqlite", &driver.SQLite{}) }
