package changes_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// byKey asks each question that takes a key, and returns the errors.
func (w *world) byKey(at time.Time, table string, key ...string) map[string]error {
	errs := make(map[string]error)
	_, errs["History"] = w.store.History(ctx, table, key...)
	_, errs["RowAsOf"] = w.store.RowAsOf(ctx, table, at, key...)
	_, errs["undo.RowAsOf"] = undo.RowAsOf(ctx, w.store, table, at, key...)
	_, errs["Page"] = w.store.Page(ctx, changes.Query{Tables: []string{table}, Key: key})
	return errs
}

// TestKeyOfNoRow: a value that no row's key can have is an error that says which, whatever is asked.
func TestKeyOfNoRow(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TYPE size AS ENUM ('S', 'L')", "CREATE DOMAIN code AS int", "CREATE TYPE pair AS (x int, y int)")
		cases := []struct {
			typ   string
			wrong []string
		}{
			{"integer", []string{"abc", "", "99999999999", "1.5", "1 2", "0x"}},
			{"smallint", []string{"40000"}},
			{"numeric(10,2)", []string{"1 000", "", "1,5"}},
			{"uuid", []string{"a0eebc99", ""}},
			{"timestamp with time zone", []string{"2026-13-01", "then", ""}},
			{"date", []string{"2026-02-30"}},
			{"boolean", []string{"maybe", ""}},
			{"public.size", []string{"M", "s", ""}},
			{"public.code", []string{"abc"}},
			{"integer[]", []string{"1", "{a}"}},
			{"public.pair", []string{"(1)", "(a,1)"}},
			{"text", []string{"\xff", "a\x00"}},
		}
		var tables []capture.Table
		for i, c := range cases {
			name := fmt.Sprintf("t%d", i)
			w.exec("CREATE TABLE " + name + " (k " + c.typ + " PRIMARY KEY)")
			tables = append(tables, capture.Table{Name: name})
		}
		w.capture(tables...)
		at := w.clock()
		for i, c := range cases {
			for _, wrong := range c.wrong {
				if w.e.Name != dbtest.PQ.Name && wrong != c.wrong[0] {
					continue
				}
				for question, err := range w.byKey(at, tables[i].Name, wrong) {
					says := fmt.Sprintf("no row of \"public\".\"t%d\" can have this key: its column \"k\" is of type %s, and %q is no value of that", i, strings.TrimPrefix(c.typ, "public."), wrong)
					if c.typ == "text" {
						says = fmt.Sprintf("no row can have this key: [%q] is no text in the session's client_encoding", wrong)
					}
					switch {
					case c.typ == "text" && question == "Page": // refuses it in any query
						if err == nil {
							w.Errorf("%s of %q has no error", question, wrong)
						}
					case !errors.Is(err, changes.ErrKey) || !strings.Contains(strings.ReplaceAll(err.Error(), "type public.", "type "), says):
						w.Errorf("%s: %s of %q: %v", c.typ, question, wrong, err)
					}
				}
			}
		}
	})
}

// TestKeyOfNoRowAmongSeveral: of a key of several columns, the error is about the one whose value is wrong.
func TestKeyOfNoRowAmongSeveral(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE lines (shop text, number int, PRIMARY KEY (shop, number))")
		w.capture(capture.Table{Name: "lines"})
		w.exec("INSERT INTO lines VALUES ('a', 1)")
		for question, err := range w.byKey(w.clock(), "lines", "a", "b") {
			if !errors.Is(err, changes.ErrKey) || !strings.Contains(err.Error(), `column "number" is of type integer, and "b"`) {
				w.Errorf("%s: %v", question, err)
			}
		}
		// Of a role's own type no value is tried, since that may execute what the role has made.
		if _, err := w.store.History(ctx, "lines", "b", "7"); err != nil {
			w.Errorf("a key of no row: %v", err)
		}
		_, err := w.store.Page(ctx, changes.Query{Tables: []string{"lines"}, Not: []changes.Query{{Key: []string{"a", "b"}, Tables: []string{"lines"}}}})
		if err != nil {
			w.Errorf("leaving out a key of no row: %v", err)
		}
	})
}

// TestPageOfKeyWritten: a page of a row finds it however the key's values are written, in each of the tables that are named.
func TestPageOfKeyWritten(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE a (k uuid PRIMARY KEY, v int)", "CREATE TABLE b (k text PRIMARY KEY, v int)", "CREATE TABLE c (k int PRIMARY KEY, v int)", "CREATE TABLE d (k numeric PRIMARY KEY)", "CREATE TABLE e (k timestamptz PRIMARY KEY)")
		w.capture(capture.Table{Name: "a"}, capture.Table{Name: "b"}, capture.Table{Name: "c"}, capture.Table{Name: "d"}, capture.Table{Name: "e"})
		const lower, upper = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"
		w.exec("INSERT INTO a VALUES ('"+lower+"', 1)", "INSERT INTO b VALUES ('"+upper+"', 1), ('"+lower+"', 2)", "INSERT INTO c VALUES (7, 1)", "UPDATE c SET k = 8", "INSERT INTO d VALUES (1.5)", "UPDATE d SET k = 1.50", "INSERT INTO e VALUES ('2026-01-01 10:00+00')")
		want := func(n int, q changes.Query) {
			w.Helper()
			if page := w.page(q); len(page.Changes) != n || page.Next != "" {
				w.Errorf("%+v finds %v, want %d changes", q, page.Changes, n)
			}
		}
		want(1, changes.Query{Tables: []string{"a"}, Key: []string{upper}})
		want(1, changes.Query{Tables: []string{"b"}, Key: []string{upper}})
		want(2, changes.Query{Tables: []string{"a", "b", "c"}, Key: []string{upper}})
		want(2, changes.Query{Tables: []string{"c"}, Key: []string{"007"}})
		want(1, changes.Query{Tables: []string{"c"}, Key: []string{" 8 "}})
		want(2, changes.Query{Tables: []string{"d"}, Key: []string{"1.5"}})
		want(1, changes.Query{Tables: []string{"d"}, Key: []string{"1.500"}})
		want(1, changes.Query{Tables: []string{"e"}, Key: []string{"2026-01-01T12:00:00+02:00"}})
		want(0, changes.Query{Tables: []string{"c"}, Key: []string{"9"}})
		want(2, changes.Query{Tables: []string{"a", "b"}, Key: []string{upper}, Not: []changes.Query{{Tables: []string{"b"}, Key: []string{lower}}}})
		want(1, changes.Query{Tables: []string{"a", "b"}, Key: []string{upper}, Not: []changes.Query{{Tables: []string{"a"}, Key: []string{upper}}}})
		want(2, changes.Query{Tables: []string{"c"}, Key: []string{"007"}, OldestFirst: true})
		first := w.page(changes.Query{Tables: []string{"c"}, Key: []string{"007"}}).Changes[0]
		want(1, changes.Query{Tables: []string{"c"}, Key: []string{"007"}, XID: first.XID, TxStartedAt: first.TxStartedAt})

		w.exec("DROP TABLE a")
		want(1, changes.Query{Tables: []string{"a"}, Key: []string{upper}})
		w.wantQueryError(changes.Query{Tables: []string{"a"}, Key: []string{"x"}}, "key", `column "k" is of type uuid`)
		w.wantQueryError(changes.Query{Tables: []string{"a", "c"}, Key: []string{"x"}}, "key", "can have this key")
	})
}

// TestPageOfKeyWithoutRights: a role that may not look at the table asks for a key as PostgreSQL prints it.
func TestPageOfKeyWithoutRights(t *testing.T) {
	onPQ(t, func(w *world) {
		role := dbtest.Name("reader")
		w.exec("CREATE TABLE c (k int PRIMARY KEY)", "CREATE SCHEMA hidden", "CREATE TABLE hidden.d (k int PRIMARY KEY)", `CREATE ROLE "`+role+`" LOGIN`)
		w.Cleanup(func() { w.exec(`DROP OWNED BY "`+role+`"`, `DROP ROLE "`+role+`"`) })
		w.capture(capture.Table{Name: "c"}, capture.Table{Name: "hidden.d"})
		w.exec("INSERT INTO c VALUES (7)", "INSERT INTO hidden.d VALUES (7)", `GRANT USAGE ON SCHEMA threadline TO "`+role+`"`, `GRANT SELECT ON threadline.audit_changes, threadline.audit_shapes TO "`+role+`"`)
		store := changes.NewStore(dbtest.Open(t, w.e.Driver, w.dsn+" user="+role), hooks.Postgres, nil)
		for key, want := range map[string]int{"7": 1, "8": 0} {
			for _, table := range []string{"c", "d"} {
				page, err := store.Page(ctx, changes.Query{Tables: []string{table}, Key: []string{key}})
				if err != nil || len(page.Changes) != want {
					t.Errorf("%s, key %s: %v, %v", table, key, page.Changes, err)
				}
			}
		}
	})
}

// TestKeyWrittenInCopy: in another database, too, a row is found however its key is written, and a key of no row is an error.
func TestKeyWrittenInCopy(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (k int, at timestamptz(3), u uuid, PRIMARY KEY (k, at, u))")
		w.capture(capture.Table{Name: "t"})
		c := w.copyTo(dbtest.Postgres(t), func(*forward.Hub) {})
		c.exec("INSERT INTO t VALUES (7, '2026-01-01 10:00+00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')")
		c.drain()
		key := []string{"007", "2026-01-01T12:00+02", "A0EEBC999C0B4EF8BB6D6BB9BD380A11"}
		there := c.there
		there.wantStory("insert k: NULL → 7; at: NULL → 2026-01-01 10:00:00+00; u: NULL → a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11;", "t", key...)
		if page := there.page(changes.Query{Tables: []string{"t"}, Key: key}); len(page.Changes) != 1 {
			t.Errorf("the page has %v", page.Changes)
		}
		for i := range key {
			wrong := slices.Clone(key)
			wrong[i] = "x"
			for question, err := range there.byKey(there.clock(), "t", wrong...) {
				if !errors.Is(err, changes.ErrKey) {
					t.Errorf("%s of %v: %v", question, wrong, err)
				}
			}
		}
	})
}

// TestTrailOfIDOfNoRow: the ID of an action's target need not be a value of the table's key.
func TestTrailOfIDOfNoRow(t *testing.T) {
	withTrail(t, func(w *trailed) {
		w.exec("CREATE TABLE orders (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "orders"})
		w.means("alice", hooks.Event{Action: "order.sent", Target: hooks.Target{Type: "orders", ID: "A-17"}}, "INSERT INTO orders VALUES (1)")
		if list := w.each(trail.Query{Tables: []string{"orders"}, Key: []string{"A-17"}}); len(list) != 1 || list[0].Action == nil {
			t.Errorf("the trail of A-17 is %v", list)
		}
		_, err := w.reader.Page(ctx, trail.Query{Tables: []string{"orders"}, Key: []string{"A-18"}})
		if w.e.Dialect == hooks.Postgres && !errors.Is(err, changes.ErrKey) {
			t.Errorf("the trail of A-18, which nothing has: %v", err)
		}
	})
}
