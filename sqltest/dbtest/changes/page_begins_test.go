package changes_test

import (
	"context"
	"database/sql/driver"
	"strings"
	"testing"

	"github.com/ngrok/sqlmw"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// beforeQuery does something, once, before a query that contains a text.
type beforeQuery struct {
	sqlmw.NullInterceptor
	text string
	do   *func()
}

func (b beforeQuery) ConnQueryContext(c context.Context, conn driver.QueryerContext, query string, args []driver.NamedValue) (context.Context, driver.Rows, error) {
	if do := *b.do; do != nil && strings.Contains(query, b.text) {
		*b.do = nil
		do()
	}
	rows, err := conn.QueryContext(c, query, args)
	return c, rows, err
}

// TestFollowBeginsWithCapture: a table that is captured while a page begins is in that page or in the next one.
func TestFollowBeginsWithCapture(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE u (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 0)")
		begin := func() {
			w.capture(capture.Table{Name: "u"})
			w.exec("INSERT INTO u VALUES (2, 0)")
		}
		name := dbtest.Wrap(w.T, w.e.Driver, func(d driver.Driver) driver.Driver {
			return sqlmw.Driver(d, beforeQuery{text: w.either("pg_locks", "max(l.seq)"), do: &begin})
		})
		q, other := changes.Query{OldestFirst: true}, *w
		other.store = changes.NewStore(dbtest.Open(w.T, name, w.dsn), w.e.Dialect, nil)
		page := other.page(q)
		if begin != nil {
			w.Fatal("the page looked for no lock")
		}
		q.Cursor = page.Follow
		if got := keys(page.Changes) + " " + keys(w.page(q).Changes); strings.TrimSpace(got) != "1 2" {
			w.Errorf("both pages have %q", got)
		}
	})
}

// TestFieldsThatAreNotKept: a field of which nothing is kept is no empty page.
func TestFieldsThatAreNotKept(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, status int, card text, ssn text)")
		w.capture(capture.Table{Name: "t", Mask: []string{"card"}, Exclude: []string{"ssn"}})
		w.exec("INSERT INTO t VALUES (1, 0, 'c', 's')")
		tables := []string{"t"}
		of := func(name string) []changes.FieldValue { return []changes.FieldValue{{Field: name, Text: "0"}} }
		w.wantQueryError(changes.Query{Tables: tables, Fields: []string{"ssn"}}, "field", `"ssn" is excluded in `+w.either("public", "main")+`.t, so that nothing of it is kept`)
		w.wantQueryError(changes.Query{Tables: tables, New: of("ssn")}, "new.ssn", "excluded")
		w.wantQueryError(changes.Query{Tables: tables, Old: of("card")}, "old.card", "masked in "+w.either("public", "main")+".t")
		w.wantQueryError(changes.Query{Tables: tables, Fields: []string{"Status"}}, "field", `there is no field "Status" in the captured tables that are named: did you mean "status"?`)
		w.wantQueryError(changes.Query{Tables: tables, Not: []changes.Query{{New: of("ssn")}}}, "-new.ssn", "excluded")
		w.wantQueryError(changes.Query{Tables: tables, Not: []changes.Query{{Fields: []string{"statsu"}}}}, "-field", "there is no field")
		w.exec("ALTER TABLE t ADD added int", "UPDATE t SET added = 5")
		added := changes.Query{Tables: tables, Fields: []string{"added"}}
		if w.e.Dialect == hooks.SQLite { // which keeps it when it is captured again
			w.wantQueryError(added, "field", "there is no field")
			w.capture(capture.Table{Name: "t", Mask: []string{"card"}, Exclude: []string{"ssn"}})
			w.exec("UPDATE t SET added = 6")
		}
		for _, q := range []changes.Query{
			added,
			{Tables: tables, Fields: []string{"card"}, Ops: []changes.Op{changes.Insert}},
			{Tables: tables, New: of("status"), Ops: []changes.Op{changes.Insert}},
			{Fields: []string{"ssn"}},
		} {
			want := "1"
			if len(q.Tables) == 0 { // some table may have it
				want = ""
			}
			if got := keys(w.page(q).Changes); got != want {
				w.Errorf("%+v finds %q", q, got)
			}
		}
	})
}
