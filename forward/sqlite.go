package forward

import (
	"context"
	"database/sql"

	"github.com/go-aftercommit/aftercommit/hooks"
)

type sqlite struct{}

func (sqlite) beside() bool                                     { return false }
func (sqlite) local() bool                                      { return true }
func (sqlite) isStandby(context.Context, *sql.DB) (bool, error) { return false, nil }
func (sqlite) isForeign(err error) bool                         { return hooks.SQLState(err) != "" }

// databaseName: a database in memory has no file.
func (sqlite) databaseName(ctx context.Context, conn *sql.DB) (name string, err error) {
	err = conn.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&name)
	if name == "" {
		name = "in memory"
	}
	return name, err
}

func (sqlite) risks(ctx context.Context, conn *sql.DB) []string {
	var level int
	if err := conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&level); err == nil && level == 0 {
		return []string{"synchronous=OFF"}
	}
	return nil
}
