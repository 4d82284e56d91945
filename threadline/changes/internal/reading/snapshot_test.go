package reading

import (
	"database/sql"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// TestSnapshotPanics: a panic leaves no transaction open.
func TestSnapshotPanics(t *testing.T) {
	db := sql.OpenDB(sqltest.NewFake())
	defer db.Close()
	defer func() {
		if p, open := recover(), db.Stats().InUse; p != "f's" || open != 0 {
			t.Errorf("%v; %d connections are in use", p, open)
		}
	}()
	r := &Reader{Catalog: catalog.New(db, hooks.Postgres, "", "changes.NewStore")}
	_ = r.InSnapshot(t.Context(), db, func(*Snapshot) error { panic("f's") })
}
