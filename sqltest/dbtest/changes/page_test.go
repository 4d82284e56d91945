package changes_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// keys are the keys of changes.
func keys(list []changes.Change) string {
	var all []string
	for _, c := range list {
		all = append(all, strings.Join(c.Key, "/"))
	}
	return strings.Join(all, " ")
}

func (w *world) page(q changes.Query) changes.Page {
	w.Helper()
	page, err := w.store.Page(ctx, q)
	w.must(err)
	return page
}

func (w *world) wantQueryError(q changes.Query, field, says string) {
	w.Helper()
	_, err := w.store.Page(ctx, q)
	var wrong *changes.QueryError
	if !errors.As(err, &wrong) || wrong.Field != field || !strings.Contains(wrong.Reason, says) {
		w.Errorf("%+v: %v, want %s: … %s", q, err, field, says)
	}
}

// TestCursorSurvivesInserts: what is written between two pages moves nothing, and belongs to the page before.
func TestCursorSurvivesInserts(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t SELECT n, 0 FROM " + w.numbers(6))
		q := changes.Query{Limit: 3}
		page := w.page(q)
		if got := keys(page.Changes); got != "6 5 4" || page.Next == "" || page.Follow != "" {
			w.Errorf("%s, next %q, follow %q", got, page.Next, page.Follow)
		}
		w.exec("INSERT INTO t VALUES (7, 0)")
		q.Cursor = page.Next
		page = w.page(q)
		if got := keys(page.Changes); got != "3 2 1" || page.Next != "" {
			w.Errorf("%s, next %q: there is nothing else", got, page.Next)
		}
		other := q
		other.Tables = []string{"t"}
		w.wantQueryError(other, "cursor", "other filters")
		other = q
		other.OldestFirst = true
		w.wantQueryError(other, "cursor", "other filters")
		other.Cursor = "x" + q.Cursor
		w.wantQueryError(other, "cursor", "damaged")
		w.wantQueryError(changes.Query{Limit: changes.MaxLimit + 1}, "limit", "Store.Each")
	})
}

// TestCursorIsRestored: a dump has all that a cursor names.
func TestCursorIsRestored(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t SELECT n, 0 FROM generate_series(1, 6) n")
		q := changes.Query{OldestFirst: true, Limit: 4, Tables: []string{"t"}}
		q.Cursor = w.page(q).Next
		to := w.elsewhere(dbtest.Start(t, nil).Database(t))
		w.dumpTo(to)
		page := to.page(q)
		if got := keys(page.Changes); got != "5 6" || page.Next != "" {
			w.Fatalf("%s, next %q", got, page.Next)
		}
		// The XIDs there are lower, and so is the WAL.
		q.Cursor = page.Follow
		to.exec("INSERT INTO t VALUES (7, 0)")
		if got := keys(to.page(q).Changes); got != "7" {
			w.Errorf("what follows is %q", got)
		}
	}, dbtest.PostgresEngines()[0])
}

// TestPageLooksAtSoMany: a page that finds nothing among those that it looks at has a cursor to go on.
func TestPageLooksAtSoMany(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t SELECT n, 0 FROM "+w.numbers(changes.MaxLooked+5), "DELETE FROM t WHERE id = 3")
		for _, oldest := range []bool{false, true} {
			q := changes.Query{Text: []string{"nowhere"}, OldestFirst: oldest}
			page := w.page(q)
			if len(page.Changes) != 0 || page.Next == "" {
				w.Errorf("a page has %d changes, and its next is %q", len(page.Changes), page.Next)
			}
			q.Cursor = page.Next
			if page = w.page(q); len(page.Changes) != 0 || page.Next != "" || (page.Follow != "") != oldest {
				w.Errorf("the last page has %d changes, next %q, follow %q", len(page.Changes), page.Next, page.Follow)
			}
		}
		if got := w.all(changes.Query{Ops: []changes.Op{changes.Delete}, OldestFirst: true}); keys(got) != "3" {
			w.Errorf("the last change of all: %v", got)
		}
	})
}

// TestPageOfLongValues ends before it takes too much memory, and loses nothing.
func TestPageOfLongValues(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text, b text, c text, d text)", w.either("ALTER TABLE t ALTER a SET STORAGE external, ALTER b SET STORAGE external, ALTER c SET STORAGE external, ALTER d SET STORAGE external", "SELECT 1"))
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t SELECT n, x, x, x, x FROM " + w.numbers(60) + ", " + w.either("repeat('x', 60000) x", "(SELECT printf('%.60000c', 'x') AS x)"))
		for _, q := range []changes.Query{{Limit: 50}, {Limit: 50, OldestFirst: true, Text: []string{"xx"}}} {
			page := w.page(q)
			if n := len(page.Changes); n == 0 || n >= 50 || page.Next == "" {
				w.Errorf("a page has %d changes of 240 kB, next %q", n, page.Next)
			}
			if n := len(w.pages(q)); n != 60 {
				w.Errorf("all pages have %d changes", n)
			}
		}
	})
}

// TestAliases: a table is found by the names of the recorded target.
func TestAliases(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE orders (id int PRIMARY KEY, card text, pin text)", "CREATE TABLE other (id int PRIMARY KEY, card text)")
		orders := capture.Table{Name: "orders", Mask: []string{"card"}, Hash: []string{"pin"}}
		if w.e.Dialect == hooks.SQLite {
			orders.Mask, orders.Hash = []string{"card", "pin"}, nil
		}
		w.capture(orders, capture.Table{Name: "other"})
		w.exec("INSERT INTO orders VALUES (1, 'secret', 'secret')", "INSERT INTO other VALUES (1, 'secret')")
		w.store = changes.NewStore(w.db, w.e.Dialect, &changes.Options{Aliases: map[string][]string{"order": {w.either("public.orders", "main.orders")}}})
		if got := w.all(changes.Query{Tables: []string{"order"}, Key: []string{"1"}}); len(got) != 1 || got[0].Table != "orders" {
			w.Errorf("by its alias: %v", got)
		}
		if got := w.all(changes.Query{Not: []changes.Query{{Tables: []string{"order"}}}}); len(got) != 1 || got[0].Table != "other" {
			w.Errorf("without it: %v", got)
		}
		// Values that are not kept are not found, and where it is sure that there is none, it is an error.
		for _, field := range []string{"card", "pin"} {
			w.wantQueryError(changes.Query{Tables: []string{"order"}, New: []changes.FieldValue{{Field: field, Text: "secret"}}}, "new."+field, "is masked")
		}
		if got := w.all(changes.Query{New: []changes.FieldValue{{Field: "card", Text: "secret"}}}); len(got) != 1 || got[0].Table != "other" {
			w.Errorf("by a value: %v", got)
		}
		for _, c := range w.all(changes.Query{Tables: []string{"order"}}) {
			for _, f := range c.Fields[1:] {
				v := changes.FieldValue{Field: f.Name, Null: f.New.Text == nil}
				if f.New.Text != nil {
					v.Text = *f.New.Text // its hash
				}
				if got := w.all(changes.Query{New: []changes.FieldValue{v}}); len(got) != 0 {
					w.Errorf("by what takes the place of %s: %v", f.Name, got)
				}
			}
		}
		if got := w.all(changes.Query{Text: []string{"SECRET"}}); len(got) != 1 || got[0].Table != "other" {
			w.Errorf("by a text: %v", got)
		}
	})
}

// TestFollowAwaitsEvents: a follower who asks for who waits for the events that say it.
func TestFollowAwaitsEvents(t *testing.T) {
	eachAppOn(t, dbtest.Engines(), func(w *world, open func(o forward.Options, timeline bool) *app) {
		open(forward.Options{}, true).tx([]string{"alice"}, "INSERT INTO t VALUES (1, 1)")
		open(forward.Options{}, false).tx([]string{"bob"}, "INSERT INTO t VALUES (2, 1)") // whose events stay in the journal
		w.exec("INSERT INTO t VALUES (3, 1)")
		q := changes.Query{Unattributed: true, OldestFirst: true}
		page := w.page(q)
		if got := keys(page.Changes); got != "" || page.Next != "" || page.Follow == "" {
			w.Errorf("before they are delivered: %q, next %q, follow %q", got, page.Next, page.Follow)
		}
		everyone := changes.Query{OldestFirst: true}
		if got := keys(w.all(everyone)); got != "1 2 3" {
			w.Errorf("without a filter for who: %q", got)
		}
		w.exec("DELETE FROM " + w.either("aftercommit.journal", "aftercommit_journal")) // purged, so that they count as none
		q.Cursor = page.Follow
		if got := keys(w.page(q).Changes); got != "2 3" {
			w.Errorf("afterwards: %q", got)
		}
	})
}
