package journal_test

import (
	"errors"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// What empties all tables for a test empties schema_versions too. On PostgreSQL the
// next Connect notes the version again; on SQLite its error has what to run.
func TestEmptiedTables(t *testing.T) {
	for _, e := range dbtest.Engines() {
		t.Run(e.Name, func(t *testing.T) {
			s := newSession(t, dbtest.Open(t, e.Driver, e.DSN(t)))
			if err := newJournal(t, e.Dialect, nil).Connect(ctx, s.conn); err != nil {
				t.Fatal(err)
			}
			if e.Dialect == hooks.Postgres {
				s.exec("TRUNCATE aftercommit.schema_versions, aftercommit.journal, aftercommit.cursors")
			} else {
				s.exec("DELETE FROM aftercommit_schema_versions")
				var setup *journal.SetupError
				if err := newJournal(t, e.Dialect, nil).Connect(ctx, s.conn); !errors.As(err, &setup) || setup.SQL == "" {
					t.Fatalf("Connect: %v", err)
				}
				s.exec(setup.SQL)
			}
			for range 2 {
				if err := newJournal(t, e.Dialect, &journal.Options{}).Connect(ctx, s.conn); err != nil {
					t.Errorf("Connect: %v", err)
				}
			}
			if err := newJournal(t, e.Dialect, &journal.Options{NoMigrate: true}).Connect(ctx, s.conn); err != nil {
				t.Errorf("Connect without migrating: %v", err)
			}
		})
	}
}
