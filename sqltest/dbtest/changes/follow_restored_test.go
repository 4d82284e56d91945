package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestFollowRestored: a role that does not see when others have begun goes on in a restored database, whatever
// numbers transactions had in the original, and misses nothing.
func TestFollowRestored(t *testing.T) {
	for name, numbered := range map[string]string{
		"lower":   "100 + n",
		"higher":  "1000000000 + n",
		"the gap": "here + 1 + n % 20",
		"all":     "CASE n % 3 WHEN 0 THEN 100 + n WHEN 1 THEN here + n % 20 ELSE 1000000000 - n END",
	} {
		t.Run(name, func(t *testing.T) {
			with(t, func(w *world) {
				w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE old (id int PRIMARY KEY, a int)")
				w.capture(capture.Table{Name: "t"}, capture.Table{Name: "old"})
				w.exec("INSERT INTO old SELECT i, 0 FROM generate_series(101, 350) i", "INSERT INTO t SELECT i, 0 FROM generate_series(1, 3) i")
				original := w.text("SELECT max(captured_at) FROM threadline.audit_changes")
				w.exec("INSERT INTO t VALUES (4, 0)", "INSERT INTO t VALUES (5, 0)")
				// As if what was first had come from another cluster.
				w.exec("UPDATE threadline.audit_changes c SET system = 1, xid = o.xid::text::xid8 FROM (SELECT o.*, " + numbered + " AS xid FROM (SELECT ctid, row_number() OVER (ORDER BY lsn) AS n, txid_current() AS here" +
					" FROM threadline.audit_changes WHERE captured_at <= '" + original + "') o) o WHERE o.ctid = c.ctid")
				for range 30 {
					w.exec("SELECT txid_current()")
				}
				f, q := w.follower(), changes.Query{OldestFirst: true, Limit: changes.MaxLimit}
				var got []changes.Change
				read := func(want int) {
					w.Helper()
					page, err := f.Page(ctx, q)
					w.must(err)
					if q.Cursor = page.Follow; page.Next != "" || page.Follow == "" {
						w.Errorf("next %q, follow %q", page.Next, page.Follow)
					}
					if got = append(got, page.Changes...); len(got) != want {
						w.Errorf("%d changes were followed, want %d", len(got), want)
					}
				}
				late, err := w.db.BeginTx(ctx, nil)
				w.must(err)
				defer late.Rollback()
				_, err = late.ExecContext(ctx, "INSERT INTO t VALUES (6, 0)")
				w.must(err)
				w.exec("INSERT INTO t VALUES (7, 0)")
				read(254) // up to the last that had begun before
				w.must(late.Commit())
				later, err := w.db.BeginTx(ctx, nil)
				w.must(err)
				defer later.Rollback()
				_, err = later.ExecContext(ctx, "INSERT INTO t VALUES (8, 0)")
				w.must(err)
				w.exec("INSERT INTO t VALUES (9, 0)")
				read(256)
				w.must(later.Commit())
				read(259)
				w.wantSame("followed", got, w.all(changes.Query{OldestFirst: true}))
			}, dbtest.PostgresEngines()[0])
		})
	}
}

// follower is a store of a role that may read all changes and does not see when the transactions of other roles have
// begun.
func (w *world) follower() *changes.Store {
	w.Helper()
	role := dbtest.Name("follower")
	w.exec(`CREATE ROLE "`+role+`"`, `GRANT USAGE ON SCHEMA threadline TO "`+role+`"`, `GRANT SELECT ON threadline.audit_changes, threadline.audit_shapes TO "`+role+`"`)
	w.Cleanup(func() { w.exec(`DROP OWNED BY "`+role+`"`, `DROP ROLE "`+role+`"`) })
	db := dbtest.Open(w.T, "postgres", w.dsn)
	db.SetMaxOpenConns(1)
	_, err := db.ExecContext(ctx, `SET ROLE "`+role+`"`)
	w.must(err)
	return changes.NewStore(db, hooks.Postgres, nil)
}
