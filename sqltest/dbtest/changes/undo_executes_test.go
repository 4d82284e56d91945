package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// lying are tables whose owner has hidden a function where it might be executed with the rights of a reader.
var lying = map[string]struct {
	table []string
	first string // a change
	undo  string // what is undone, "" for none
	key   string // of a row that never was
	warns string
}{
	"CHECK with a text": {
		[]string{"CREATE TABLE t (id int PRIMARY KEY, v int, CONSTRAINT c CHECK (v > 0 AND ts_rewrite('a'::tsquery, $$SELECT 'a'::pg_catalog.tsquery, 'b'::pg_catalog.tsquery WHERE mallory.lies(1)$$) IS NOT NULL))"},
		"INSERT INTO t VALUES (1, 1)", "UPDATE t SET v = 2", "", "is not looked up: CHECK \"c\"",
	},
	"domain with a text": {
		[]string{"CREATE DOMAIN d AS int CHECK (VALUE > 0 AND ts_rewrite('a'::tsquery, $$SELECT 'a'::pg_catalog.tsquery, 'b'::pg_catalog.tsquery WHERE mallory.lies(1)$$) IS NOT NULL)", "CREATE TABLE t (id int PRIMARY KEY, v d)"},
		"INSERT INTO t VALUES (1, 1)", "UPDATE t SET v = 2", "", "the domain of \"v\"",
	},
	"key of a domain":            {[]string{"CREATE DOMAIN d AS int CHECK (mallory.lies(VALUE))", "CREATE TABLE t (id d PRIMARY KEY, v int)"}, "INSERT INTO t VALUES (1, 1)", "UPDATE t SET v = 2", "07", "the domain of \"id\""},
	"key of an array of domains": {[]string{"CREATE DOMAIN d AS int CHECK (mallory.lies(VALUE))", "CREATE TABLE t (id d[] PRIMARY KEY, v int)"}, "INSERT INTO t VALUES ('{1}', 1)", "UPDATE t SET v = 2", "{07}", ""},
	"key that has a domain":      {[]string{"CREATE DOMAIN d AS int CHECK (mallory.lies(VALUE))", "CREATE TYPE p AS (a d, b int)", "CREATE TABLE t (id p PRIMARY KEY, v int)"}, "INSERT INTO t VALUES ('(1,2)', 1)", "UPDATE t SET v = 2", "(07,2)", ""},
	"key of a range of domains":  {[]string{"CREATE DOMAIN d AS int CHECK (mallory.lies(VALUE))", "CREATE TYPE r AS RANGE (subtype = d)", "CREATE TABLE t (id r PRIMARY KEY, v int)"}, "INSERT INTO t VALUES ('[1,3)', 1)", "UPDATE t SET v = 2", "[07,9)", ""},
	"without a key":              {[]string{"CREATE DOMAIN d AS int CHECK (mallory.lies(VALUE))", "CREATE TABLE t (id d, v int)"}, "INSERT INTO t VALUES (1, 1)", "UPDATE t SET v = 2", "", "whether the rows of \"public\".\"t\" are there"},
	"operator of a type": {[]string{
		"CREATE FUNCTION mallory.same(ext.citext, ext.citext) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN mallory.lies(1); END'",
		"CREATE OPERATOR mallory.= (FUNCTION = mallory.same, LEFTARG = ext.citext, RIGHTARG = ext.citext)", "CREATE TABLE t (id ext.citext PRIMARY KEY, v int)",
	}, "INSERT INTO t VALUES ('a', 1)", "UPDATE t SET v = 2", "b", ""},
}

// TestReadersRights: what a role has made is not executed with the rights of those who ask what a row was, or how to undo a change.
func TestReadersRights(t *testing.T) {
	for name, c := range lying {
		t.Run(name, func(t *testing.T) {
			onPQ(t, func(w *world) {
				w.db.SetMaxOpenConns(1) // which has the lock, once the function was executed
				w.exec("CREATE SCHEMA mallory", "CREATE SCHEMA ext", "CREATE EXTENSION citext SCHEMA ext", "CREATE FUNCTION mallory.lies(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM pg_catalog.pg_advisory_lock(4711); RETURN true; END'")
				w.exec(c.table...)
				w.capture(capture.Table{Name: "t"})
				w.exec(c.first, c.undo)
				xid, startedAt := w.last()
				honest := func(what string, ask func() error) {
					w.Helper()
					w.exec("SELECT pg_advisory_unlock_all()")
					w.must(ask())
					if w.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711") != "0" {
						w.Errorf("%s has executed the function", what)
					}
				}
				honest("undo", func() error {
					u, err := undo.Transaction(ctx, w.store, xid, startedAt)
					if err == nil && (len(u.Statements) == 0 || !strings.Contains(u.String(), c.warns)) {
						w.Errorf("the undo does not have %q:\n%s", c.warns, u)
					}
					return err
				})
				if c.key == "" {
					return
				}
				honest("RowAsOf", func() error {
					if got := w.asOf("t", w.clock(), c.key); got != changes.ErrNotYet.Error() {
						w.Errorf("row %s: %s", c.key, got)
					}
					return nil
				})
				honest("History", func() error { _, err := w.store.History(ctx, "t", c.key); return err })
				honest("TableAsOf", func() error {
					if rows, errs := w.tableAsOf("t", w.clock()); len(rows) != 1 || len(errs) > 0 {
						w.Errorf("%q, %v", rows, errs)
					}
					return nil
				})
			})
		})
	}
}
