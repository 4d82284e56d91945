package changes

import (
	"database/sql"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// TestSnapshotPanics: a panic leaves no transaction open.
func TestSnapshotPanics(t *testing.T) {
	db := sql.OpenDB(sqltest.NewFake())
	defer db.Close()
	defer func() {
		if r, open := recover(), db.Stats().InUse; r != "f's" || open != 0 {
			t.Errorf("%v; %d connections are in use", r, open)
		}
	}()
	_ = NewStore(db, hooks.Postgres, nil).inSnapshot(t.Context(), db, func(*snapshot) error { panic("f's") })
}
