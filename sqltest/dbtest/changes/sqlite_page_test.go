package changes_test

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ngrok/sqlmw"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestSQLiteFollowsCommits: a follower misses nothing and gets nothing twice, whatever the clock does, after a VACUUM, and in a
// database that was restored from a dump.
func TestSQLiteFollowsCommits(t *testing.T) {
	for _, of := range []string{"", "t"} {
		t.Run("of "+cmp.Or(of, "all tables"), func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE)", "CREATE TABLE other (id INTEGER PRIMARY KEY)")
			w.capture(capture.Table{Name: "t"}, capture.Table{Name: "other"})
			q := changes.Query{OldestFirst: true, Limit: 2}
			insert := func(id int, at string) {
				w.exec(fmt.Sprintf("INSERT INTO t VALUES (%d, %d)", id, id))
				w.capturedAt(at)
			}
			if of != "" {
				q.Tables = []string{of}
				write := insert
				insert = func(id int, at string) {
					w.exec("INSERT INTO other SELECT coalesce(max(id), 0) + 1 FROM other")
					write(id, at)
					w.exec("INSERT OR IGNORE INTO t VALUES (1, 1)") // whose held row is no change
				}
			}
			read := func(want string) {
				w.Helper()
				page := w.page(q)
				if got := keys(page.Changes); got != want {
					w.Errorf("a page has %q, want %q", got, want)
				}
				q.Cursor = cmp.Or(page.Next, page.Follow)
			}
			for id := 1; id <= 3; id++ {
				insert(id, "")
			}
			read("1 2")
			insert(4, "2000-01-01T00:00:00.000000Z") // set back, before what was read
			insert(5, "2100-01-01T00:00:00.000000Z")
			insert(6, w.text(`SELECT captured_at FROM threadline_audit_changes WHERE key = '("i3")' ORDER BY seq DESC`)) // set back, behind what was read
			read("3 4")
			w.exec("VACUUM")
			read("5 6")
			read("")
			insert(7, "1990-01-01T00:00:00.000000Z")
			w = w.restored()
			read("7")
			read("")
			insert(8, "")
			insert(9, "1980-01-01T00:00:00.000000Z")
			insert(10, "1970-01-01T00:00:00.000000Z")
			read("8 9")
			read("10")
			if page := w.page(q); len(page.Changes) > 0 || page.Next != "" || page.Follow == "" {
				w.Errorf("at the end a page has %q, next %q, follow %q", keys(page.Changes), page.Next, page.Follow)
			}
			// Newest first is by the clock.
			q.Cursor, q.OldestFirst, q.Limit = "", false, 3
			if got := keys(w.pages(q)); got != "5 8 6 3 2 1 4 7 9 10" {
				w.Errorf("newest first: %s", got)
			}
			q.OldestFirst = true
			if got := keys(w.pages(q)); got != "10 9 7 4 1 2 3 6 8 5" {
				w.Errorf("oldest first: %s", got)
			}
		})
	}
}

// capturedAt sets when the last change was captured, unless at is "".
func (w *world) capturedAt(at string) {
	w.Helper()
	if at != "" {
		w.exec("UPDATE threadline_audit_changes SET captured_at = '" + at + "' WHERE seq = (SELECT max(seq) FROM threadline_audit_changes WHERE held IS NULL)")
	}
}

// restored is a copy of a world on SQLite, made as a dump does: table by table, without the counters of AUTOINCREMENT.
func (w *world) restored() *world {
	w.Helper()
	path := filepath.Join(w.TempDir(), "restored.db")
	to := &world{T: w.T, e: w.e, dsn: "file:" + path, db: dbtest.Open(w.T, w.e.Driver, "file:"+path)}
	to.db.SetMaxOpenConns(1)
	to.store = changes.NewStore(to.db, w.e.Dialect, nil)
	file, _, _ := strings.Cut(strings.TrimPrefix(w.dsn, "file:"), "?")
	to.exec("ATTACH '" + file + "' AS old")
	list := func(query string) (texts []string) {
		w.Helper()
		rows, err := to.db.QueryContext(ctx, query)
		w.must(err)
		for rows.Next() {
			var text string
			w.must(rows.Scan(&text))
			texts = append(texts, text)
		}
		w.must(rows.Err())
		w.must(rows.Close())
		return texts
	}
	to.exec(list("SELECT sql FROM old.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")...)
	to.exec(list(`SELECT printf('INSERT INTO main."%w" SELECT * FROM old."%w"', name, name) FROM old.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'`)...)
	to.exec(list("SELECT sql FROM old.sqlite_master WHERE type <> 'table' AND sql IS NOT NULL")...)
	to.exec("DETACH old")
	return to
}

// TestSQLiteQueryEnds: a query of the past has nothing to follow, once something was captured after its end.
func TestSQLiteQueryEnds(t *testing.T) {
	w := lite(t)
	to := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	q := changes.Query{OldestFirst: true, To: to}
	before := w.page(q).Follow
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	w.capture(capture.Table{Name: "t"})
	if q.Cursor = before; w.page(q).Follow == "" || before == "" {
		w.Error("before anything was captured, nothing follows")
	}
	w.exec("INSERT INTO t VALUES (1)")
	page := w.page(q)
	if keys(page.Changes) != "1" || page.Follow == "" {
		w.Errorf("before its end: %q, follow %q", keys(page.Changes), page.Follow)
	}
	w.exec("INSERT INTO t VALUES (2)")
	w.capturedAt(to.Format("2006-01-02T15:04:05.000000Z"))
	for _, q.Cursor = range []string{"", page.Follow} {
		if page := w.page(q); page.Follow != "" || page.Next != "" {
			w.Errorf("after its end: %q, next %q, follow %q", keys(page.Changes), page.Next, page.Follow)
		}
	}
}

// explained keeps the plans of queries.
type explained struct {
	sqlmw.NullInterceptor
	plans *[]plan
}

type plan struct{ query, text string }

func (e explained) ConnQueryContext(c context.Context, conn driver.QueryerContext, query string, args []driver.NamedValue) (context.Context, driver.Rows, error) {
	rows, err := conn.QueryContext(c, "EXPLAIN QUERY PLAN "+query, args)
	if err != nil {
		return c, nil, err
	}
	var lines []string
	depth := map[int64]int{}
	for row := make([]driver.Value, 4); rows.Next(row) == nil; {
		id, parent := row[0].(int64), row[1].(int64)
		depth[id] = depth[parent] + 1
		lines = append(lines, strings.Repeat("  ", depth[id])+row[3].(string))
	}
	*e.plans = append(*e.plans, plan{query, strings.Join(lines, "\n")})
	if err = rows.Close(); err != nil {
		return c, nil, err
	}
	rows, err = conn.QueryContext(c, query, args)
	return c, rows, err
}

// TestSQLitePagesArePlanned shows how the second page of each kind of query is read among 100,000 changes of two tables: none
// scans them, and none sorts more of them than it looks at, but the page of a row.
func TestSQLitePagesArePlanned(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a int)", "CREATE TABLE u (id INTEGER PRIMARY KEY, a int)")
	w.capture(capture.Table{Name: "t"}, capture.Table{Name: "u"})
	w.exec("INSERT INTO t VALUES (1, 0)", "INSERT INTO u VALUES (1, 0)")
	// 500 rows of each table, 20 changes a transaction, a transaction a second.
	w.exec(`INSERT INTO threadline_audit_changes (tx_id, captured_at, table_id, shape_id, op, key)
		SELECT 1000000 + n / 20, strftime('%Y-%m-%dT%H:%M:%f000Z', '2026-01-01', (n / 20) || ' seconds'), c.table_id, c.shape_id, 'I', '("i' || (n % 1000) || '")'
		FROM `+w.numbers(100_000)+`, threadline_audit_changes c WHERE c.seq = 1 + n % 2 AND c.held IS NULL`,
		"INSERT INTO threadline_audit_values (change, field, new) SELECT seq, 2, seq % 1000 FROM threadline_audit_changes WHERE seq > 2")
	var plans []plan
	name := dbtest.Wrap(t, "sqlite", func(d driver.Driver) driver.Driver { return sqlmw.Driver(d, explained{plans: &plans}) })
	store := changes.NewStore(dbtest.Open(t, name, w.dsn), hooks.SQLite, nil)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const captured = "SEARCH x USING INDEX threadline_audit_changes_captured (table_id=? AND captured_at"
	for _, p := range []struct {
		name string
		q    changes.Query
		want string
	}{
		{"all", changes.Query{}, captured + "<?)"},
		{"oldest first", changes.Query{OldestFirst: true}, captured + ">? AND captured_at<?)"},
		{"a table", changes.Query{Tables: []string{"t"}}, captured + "<?)"},
		{"times", changes.Query{From: start.Add(time.Hour / 4), To: start.Add(time.Hour / 2)}, captured + ">? AND captured_at<?)"},
		{"times, oldest first", changes.Query{From: start.Add(time.Hour / 4), To: start.Add(time.Hour / 2), OldestFirst: true}, captured + ">? AND captured_at<?)"},
		{"a transaction", changes.Query{XID: 1000100, TxStartedAt: start.Add(100 * time.Second)}, "SEARCH c USING INDEX threadline_audit_changes_tx (tx_id=? AND seq<?)"},
		{"a row", changes.Query{Tables: []string{"t"}, Key: []string{"8"}}, "SEARCH x USING INDEX threadline_audit_changes_row (table_id=? AND key=?)"},
		{"a rare value", changes.Query{New: []changes.FieldValue{{Field: "a", Text: "7"}}}, captured + "<?)"},
		{"no actor, oldest first", changes.Query{Unattributed: true, OldestFirst: true}, captured + ">? AND captured_at<?)"},
		{"what follows", changes.Query{OldestFirst: true, Tables: []string{"t"}, From: start.Add(4999 * time.Second)}, "SEARCH c USING INTEGER PRIMARY KEY (rowid>?)"},
	} {
		p.q.Limit = 10
		if p.name == "what follows" {
			p.q.Limit = changes.MaxLimit
		}
		page, err := store.Page(ctx, p.q)
		w.must(err)
		if p.name == "what follows" {
			w.exec("INSERT INTO t VALUES (2, 0)", "UPDATE t SET a = 1", "UPDATE u SET a = 1")
		}
		if p.q.Cursor = cmp.Or(page.Next, page.Follow); p.q.Cursor == "" {
			w.Errorf("%s: one page only", p.name)
			continue
		}
		plans = nil
		_, err = store.Page(ctx, p.q)
		w.must(err)
		if p.q.Key != nil {
			_, err = store.History(ctx, "t", p.q.Key...)
			w.must(err)
		}
		var main string
		for _, one := range plans {
			if strings.Contains(one.query, "c.former_key") {
				main += one.text + "\n"
			}
			inner := 0
			for line := range strings.Lines(one.text) {
				step := strings.TrimLeft(line, " ")
				switch depth := len(line) - len(step); {
				case strings.Contains(step, "SUBQUERY"):
					inner = depth
				case depth <= inner:
					inner = 0
				}
				scans := strings.HasPrefix(step, "SCAN") && !strings.Contains(step, "VIRTUAL TABLE") && strings.Contains(one.query, "audit_changes") && !strings.Contains(one.query, "sqlite_master")
				if scans && step != "SCAN h\n" && step != "SCAN k\n" || inner > 0 && strings.Contains(step, "TEMP B-TREE") && p.q.Key == nil { // h are shapes, k the changes of the row
					w.Errorf("%s: %s in\n%s\n%s", p.name, step, one.query, one.text)
				}
			}
		}
		if !strings.Contains(main, p.want) {
			w.Errorf("%s is not read by %s, but by\n%s", p.name, p.want, main)
		} else {
			w.Logf("%s:\n%s", p.name, main)
		}
	}
}
