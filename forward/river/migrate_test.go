package river_test

import (
	"testing"

	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// removeTables removes River's tables, as the README has it.
func (w *world) removeTables() {
	w.Helper()
	down := &rivermigrate.MigrateOpts{TargetVersion: -1}
	if w.e.Dialect == hooks.SQLite {
		m, err := rivermigrate.New(riversqlite.New(w.bare), nil)
		w.must(err)
		w.must(m.Migrate(ctx, rivermigrate.DirectionDown, down))
		return
	}
	m, err := rivermigrate.New(riverdatabasesql.New(w.bare), nil)
	w.must(err)
	w.must(m.Migrate(ctx, rivermigrate.DirectionDown, down))
}

func TestRemovingRiversTables(t *testing.T) {
	each(t, func(w *world) {
		w.removeTables()
		made := "SELECT count(*) FROM pg_catalog.pg_class WHERE relname LIKE 'river%'"
		if w.e.Dialect == hooks.SQLite {
			made = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'river%'"
		}
		var n int
		w.must(w.bare.QueryRowContext(ctx, made).Scan(&n))
		if n != 0 {
			t.Errorf("%d tables and indexes are left", n)
		}
	})
}
