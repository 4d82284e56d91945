package changes_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// TestOtherDialect: what is made for one dialect and asked in a database of another says so, whatever is called first.
func TestOtherDialect(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		other, says := hooks.SQLite, "this is a PostgreSQL database, and {} was given the dialect of SQLite: give it hooks.Postgres: "
		if e.Dialect == hooks.SQLite {
			other, says = hooks.Postgres, "this is a SQLite database, and {} was given the dialect of PostgreSQL: give it hooks.SQLite: "
		}
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		want := func(call, maker string, err error) {
			t.Helper()
			pkg, _, _ := strings.Cut(call, ".")
			if text := strings.ReplaceAll(says, "{}", maker); err == nil || !strings.Contains(err.Error(), text) || !strings.HasPrefix(err.Error(), pkg+": ") {
				t.Errorf("%s: %v", call, err)
			}
		}
		store := changes.NewStore(db, other, nil)
		read := func(call string, err error) {
			t.Helper()
			want(call, "changes.NewStore", err)
		}
		change := changes.Change{XID: 1, Key: []string{"1"}, Op: changes.Insert}
		_, err := store.History(ctx, "t", "1")
		read("changes.History", err)
		_, err = store.Page(ctx, changes.Query{})
		read("changes.Page", err)
		for _, err := range store.Each(ctx, changes.Query{}) {
			read("changes.Each", err)
		}
		_, err = store.RowAsOf(ctx, "t", change.CapturedAt, "1")
		read("changes.RowAsOf", err)
		_, err = store.RowAfter(ctx, change)
		read("changes.RowAfter", err)
		for _, err := range store.TableAsOf(ctx, "t", change.CapturedAt) {
			read("changes.TableAsOf", err)
		}
		_, err = store.Transaction(ctx, 1, change.CapturedAt, 1)
		read("changes.Transaction", err)
		_, err = store.Breaks(ctx, "t")
		read("changes.Breaks", err)
		_, err = store.Captured(ctx)
		read("changes.Captured", err)
		if other == hooks.Postgres {
			_, err = store.Reached(ctx, []string{"t"})
			read("changes.Reached", err)
			read("changes.Copyable", store.Copyable(ctx))
		}
		_, err = undo.Transaction(ctx, store, 1, change.CapturedAt)
		read("undo.Transaction", err)
		_, err = undo.Change(ctx, store, change)
		read("undo.Change", err)
		_, err = undo.RowAsOf(ctx, store, "t", change.CapturedAt, "1")
		read("undo.RowAsOf", err)
		_, err = undo.RowAfter(ctx, store, change)
		read("undo.RowAfter", err)

		made := func(call string, err error) {
			t.Helper()
			want(call, "capture.NewInstaller", err)
		}
		installer := capture.NewInstaller(db, other, nil)
		_, err = installer.Plan(ctx, capture.Table{Name: "t"})
		made("capture.Plan", err)
		made("capture.Apply", installer.Apply(ctx, &capture.Plan{Steps: []capture.Step{{Table: "t", SQL: []string{"SELECT 1"}}}}))
		made("capture.Remove", installer.Remove(ctx, "t"))
		made("capture.Migrate", installer.Migrate(ctx))
		if other == hooks.Postgres {
			_, _, err = capture.Of(capture.Table{Name: "t"}).Keep(ctx, db)
			made("capture.Keep", err)
		}
		trailOfOtherDialect(t, db, e, other, want)
	})
}

// trailOfOtherDialect: one of the two stores of a trail was made for another dialect.
func trailOfOtherDialect(t *testing.T, db *sql.DB, e dbtest.Engine, other hooks.Dialect, want func(call, maker string, err error)) {
	t.Helper()
	right := changes.NewStore(db, e.Dialect, nil)
	if err := capture.NewInstaller(db, e.Dialect, nil).Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	wrong := threadline.NewStore(db, other, nil)
	for store, maker := range map[*changes.Store]string{changes.NewStore(db, other, nil): "changes.NewStore", right: "threadline.NewStore"} {
		timeline := wrong
		if store != right {
			timeline = threadline.NewStore(db, e.Dialect, nil)
			if err := timeline.Migrate(ctx); err != nil {
				t.Fatal(err)
			}
		}
		_, err := trail.NewReader(timeline, store).Page(ctx, trail.Query{})
		want(strings.TrimSuffix(maker, ".NewStore")+".trail", maker, err)
	}
}
