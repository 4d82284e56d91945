package threadline_test

import (
	"context"
	_ "embed" // an older script
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

//go:embed testdata/sqlite_1.sql.txt
var sqliteStep1 string

// TestStepOnSQLite: a timeline of step 1 keeps what it has, and gets the positions of what is
// recorded from then on; a program of step 1 writes on.
func TestStepOnSQLite(t *testing.T) {
	db := dbtest.Open(t, dbtest.SQLite.Driver, dbtest.SQLite.DSN(t))
	exec(t, db, sqliteStep1)
	old := func(id string) {
		exec(t, db, `INSERT INTO threadline_record (doc) VALUES ('[{"id":"`+id+`","name":"order.old","outcome":"success","occurred_at":"2026-01-02T03:04:05.000006Z","recorded_at":"2026-01-02T03:04:05.000006Z","seq":7}]')`)
	}
	old("0190a7c0-0000-7000-8000-000000000001")
	s := threadline.NewStore(db, hooks.SQLite, nil)
	for range 2 {
		if err := s.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	old("0190a7c0-0000-7000-8000-000000000002")
	e := entry(3)
	record(t, s, e)
	got := timeline(t, s, threadline.Query{}).Actions
	if len(got) != 3 {
		t.Fatalf("%d actions, want 3", len(got))
	}
	for _, a := range got {
		want := e.Position
		if a.ID != e.ID {
			want.Key, want.Ordinal = [16]byte{}, 7
		}
		if a.Position != want || a.Unreadable != "" {
			t.Errorf("%s is at %s, want %s; %s", a.ID, a.Text(), want.Text(), a.Unreadable)
		}
	}
}
