package libraries_test

import (
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestGooseLockTable has goose lock by a row of a table, which is as little
// business of the audit trail as the version table.
func TestGooseLockTable(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		locker, err := lock.NewPostgresTableLocker()
		w.ok(err)
		p := openGoose(w, w.open(), gooseFiles, goose.WithLocker(locker))
		_, err = p.Up(t.Context())
		w.ok(err)
		w.want("schema.changed #orders", "orders.inserted 2", "schema.changed #orders", "orders.updated 2")
	}, dbtest.PostgresEngines()...)
}
