package threadline_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// TestOtherDialect: a Store or a journal of one dialect over a database of another says so,
// whatever is called first.
func TestOtherDialect(t *testing.T) {
	ctx := t.Context()
	others := map[hooks.Dialect]hooks.Dialect{hooks.Postgres: hooks.SQLite, hooks.SQLite: hooks.Postgres}
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		says := map[hooks.Dialect]string{
			hooks.Postgres: "this is a PostgreSQL database, and {} was given the dialect of SQLite: give it hooks.Postgres",
			hooks.SQLite:   "this is a SQLite database, and {} was given the dialect of PostgreSQL: give it hooks.SQLite",
		}[e.Dialect]
		s := threadline.NewStore(db, others[e.Dialect], nil)
		j, err := journal.New(others[e.Dialect], nil)
		if err != nil {
			t.Fatal(err)
		}
		calls := map[string]error{"Check": s.Check(ctx), "Migrate": s.Migrate(ctx), "Record": s.Record(ctx, []journal.Entry{entry(0)})}
		_, calls["Timeline"] = s.Timeline(ctx, threadline.Query{})
		_, calls["Get"] = s.Get(ctx, uuid.New())
		for _, err := range s.Each(ctx, threadline.Query{}) {
			calls["Each"] = errors.Join(calls["Each"], err)
		}
		_, calls["journal's List"] = j.List(ctx, db, journal.Query{})
		_, calls["journal's Count"] = j.Count(ctx, db, journal.Query{})
		for call, err := range calls {
			maker := "threadline.NewStore"
			if strings.HasPrefix(call, "journal") {
				maker = "journal.New"
			}
			text := strings.ReplaceAll(says, "{}", maker)
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v", call, err)
			}
		}
	})
}
