package forward

import (
	"context"
	"database/sql"
)

// unjournaled is a database that has no journal, such as MySQL: little is asked of it.
type unjournaled struct{}

func (unjournaled) beside() bool                                     { return false }
func (unjournaled) local() bool                                      { return false }
func (unjournaled) isStandby(context.Context, *sql.DB) (bool, error) { return false, nil }
func (unjournaled) isForeign(error) bool                             { return false }
func (unjournaled) risks(context.Context, *sql.DB) []string          { return nil }

func (unjournaled) databaseName(ctx context.Context, conn *sql.DB) (name string, err error) {
	err = conn.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&name)
	return name, err
}
