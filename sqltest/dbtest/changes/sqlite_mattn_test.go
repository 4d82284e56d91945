//go:build sqlite_mattn

package changes_test

import (
	"database/sql"

	"github.com/mattn/go-sqlite3"
)

func init() { sql.Register("sqlite", &sqlite3.SQLiteDriver{}) }
