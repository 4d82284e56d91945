package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// notAllowed are changes, and what was done since to what their rows may be.
var notAllowed = map[string]struct {
	table   []string
	change  string
	since   []string
	want    string // in the undo, "" if it is clean and can be executed
	failing bool   // whether its statements would fail is not looked up, and they do
}{
	"label renamed":                   {[]string{"CREATE TYPE e AS ENUM ('a', 'b')", "CREATE TABLE t (id int PRIMARY KEY, v e)", "INSERT INTO t VALUES (1, 'a')"}, "UPDATE t SET v = 'b'", []string{"ALTER TYPE e RENAME VALUE 'a' TO 'c'"}, "Refused: \"public\".\"t\" (1): v: their types no longer take", false},
	"label of what it is now renamed": {[]string{"CREATE TYPE e AS ENUM ('a', 'b')", "CREATE TABLE t (id int PRIMARY KEY, v e)", "INSERT INTO t VALUES (1, 'a')"}, "UPDATE t SET v = 'b'", []string{"ALTER TYPE e RENAME VALUE 'b' TO 'c'"}, "v: their types no longer take", false},
	"label of a key renamed":          {[]string{"CREATE TYPE e AS ENUM ('a', 'b')", "CREATE TABLE t (id e PRIMARY KEY, v int)", "INSERT INTO t VALUES ('a', 1)"}, "UPDATE t SET v = 2", []string{"ALTER TYPE e RENAME VALUE 'a' TO 'c'"}, "id: their types no longer take", false},
	"label of an array renamed":       {[]string{"CREATE TYPE e AS ENUM ('a', 'b')", "CREATE TABLE t (id int PRIMARY KEY, v e[])", "INSERT INTO t VALUES (1, '{a,b}')"}, "DELETE FROM t", []string{"ALTER TYPE e RENAME VALUE 'a' TO 'c'"}, "v: their types no longer take", false},
	"label added":                     {[]string{"CREATE TYPE e AS ENUM ('a', 'b')", "CREATE TABLE t (id int PRIMARY KEY, v e)", "INSERT INTO t VALUES (1, 'a')"}, "UPDATE t SET v = 'b'", []string{"ALTER TYPE e ADD VALUE 'c'"}, "", false},
	"attribute added":                 {[]string{"CREATE TYPE p AS (x int, y int)", "CREATE TABLE t (id int PRIMARY KEY, v p)", "INSERT INTO t VALUES (1, '(1,2)')"}, "UPDATE t SET v = '(3,4)'", []string{"ALTER TYPE p ADD ATTRIBUTE z int"}, "v: their types no longer take", false},
	"domain tightened":                {[]string{"CREATE DOMAIN d AS int", "CREATE TABLE t (id int PRIMARY KEY, v d)", "INSERT INTO t VALUES (1, -1)"}, "UPDATE t SET v = 1", []string{"ALTER DOMAIN d ADD CHECK (VALUE > 0)"}, "v: their types no longer take", false},
	"domain that calls a function":    {[]string{"CREATE FUNCTION f(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN $1 > 0; END $$", "CREATE DOMAIN d AS int", "CREATE TABLE t (id int PRIMARY KEY, v d)", "INSERT INTO t VALUES (1, -1)"}, "UPDATE t SET v = 1", []string{"ALTER DOMAIN d ADD CHECK (f(VALUE))"}, "whether the domain of \"v\"", true},
	"NOT NULL":                        {[]string{"CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, NULL)"}, "UPDATE t SET v = 1", []string{"ALTER TABLE t ALTER v SET NOT NULL"}, "Conflict: \"public\".\"t\" (1): v: not allowed: NOT NULL", false},
	"new column NOT NULL":             {[]string{"CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)"}, "DELETE FROM t", []string{"ALTER TABLE t ADD v int NOT NULL"}, "v: not allowed: NOT NULL", false},
	"new column with a default":       {[]string{"CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)"}, "DELETE FROM t", []string{"ALTER TABLE t ADD v int NOT NULL DEFAULT 1, ADD i int GENERATED ALWAYS AS IDENTITY, ADD g int NOT NULL GENERATED ALWAYS AS (id) STORED"}, "", false},
	"CHECK that holds for it":         {[]string{"CREATE TABLE t (id int PRIMARY KEY, v int, w int)", "INSERT INTO t VALUES (1, 1, 2)"}, "UPDATE t SET v = 5, w = 6", []string{"ALTER TABLE t ADD CONSTRAINT \"my check\" CHECK (v < w)"}, "", false},
	"CHECK of a value":                {[]string{"CREATE TABLE t (id int PRIMARY KEY, n text, w int)", "INSERT INTO t VALUES (1, 'x', 2)"}, "UPDATE t SET n = 'y'", []string{"ALTER TABLE t ADD CONSTRAINT \"my check\" CHECK (length(n) > 0 AND n <> 'x')"}, "n: not allowed: CHECK \"my check\"", false},
	"CHECK with what it is now":       {[]string{"CREATE TABLE t (id int PRIMARY KEY, v int, w int, CONSTRAINT c CHECK (v < w))", "INSERT INTO t VALUES (1, 5, 9)"}, "UPDATE t SET v = 1", []string{"UPDATE t SET w = 3"}, "not allowed: CHECK \"c\"", false},
	"CHECK that holds":                {[]string{"CREATE TABLE t (id int PRIMARY KEY, v int, w int, CHECK (v < w), CHECK (v > 0))", "INSERT INTO t VALUES (1, 5, 9)"}, "DELETE FROM t", nil, "", false},
	"CHECK that calls a function":     {[]string{"CREATE FUNCTION f(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN $1 > 0; END $$", "CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, -1)"}, "UPDATE t SET v = 1", []string{"ALTER TABLE t ADD CONSTRAINT c CHECK (f(v))"}, "Warning: whether this is in the way of a row of \"public\".\"t\" is not looked up: CHECK \"c\"", true},
	"partition gone":                  {[]string{"CREATE TABLE t (id int, r text, PRIMARY KEY (id, r)) PARTITION BY LIST (r)", "CREATE TABLE a PARTITION OF t FOR VALUES IN ('a')", "CREATE TABLE b PARTITION OF t FOR VALUES IN ('b')", "INSERT INTO t VALUES (1, 'a')"}, "DELETE FROM t", []string{"DROP TABLE a"}, "r: not allowed: no partition is for the row", false},
	"partition gone to move to":       {[]string{"CREATE TABLE t (id int, r text, PRIMARY KEY (id, r)) PARTITION BY LIST (r)", "CREATE TABLE a PARTITION OF t FOR VALUES IN ('a')", "CREATE TABLE b PARTITION OF t FOR VALUES IN ('b')", "INSERT INTO t VALUES (1, 'a')"}, "UPDATE t SET r = 'b'", []string{"DROP TABLE a"}, "r: not allowed: no partition is for the row", false},
	"partitions that take all":        {[]string{"CREATE TABLE t (id int, r text, PRIMARY KEY (id, r)) PARTITION BY LIST (r)", "CREATE TABLE a PARTITION OF t FOR VALUES IN ('a') PARTITION BY HASH (id)", "CREATE TABLE a0 PARTITION OF a FOR VALUES WITH (MODULUS 2, REMAINDER 0)", "CREATE TABLE a1 PARTITION OF a FOR VALUES WITH (MODULUS 2, REMAINDER 1)", "CREATE TABLE b PARTITION OF t DEFAULT", "INSERT INTO t VALUES (1, 'a'), (2, 'a'), (1, 'x')"}, "DELETE FROM t", nil, "", false},
	"no partition at all":             {[]string{"CREATE TABLE t (id int, r text, PRIMARY KEY (id, r)) PARTITION BY LIST (r)", "CREATE TABLE a PARTITION OF t FOR VALUES IN ('a')", "INSERT INTO t VALUES (1, 'a')"}, "DELETE FROM t", []string{"DROP TABLE a"}, "r: not allowed: no partition is for the row", false},
}

// TestUndoNotAllowed: an undo says what the table no longer allows, as far as that executes nobody's functions.
func TestUndoNotAllowed(t *testing.T) {
	for name, c := range notAllowed {
		t.Run(name, func(t *testing.T) {
			onPQ(t, func(w *world) {
				w.exec(c.table...)
				w.capture(capture.Table{Name: "t"})
				w.exec(c.change)
				xid, startedAt := w.last()
				w.exec(c.since...)
				u, err := undo.Transaction(ctx, w.store, xid, startedAt)
				w.must(err)
				if c.want == "" {
					w.clean(u)
				} else if !strings.Contains(u.String(), c.want) {
					w.Errorf("the undo does not have %q:\n%s", c.want, u)
				}
				switch err := w.run(u); {
				case len(u.Refusals) > 0:
				case (err != nil) != (len(u.Conflicts) > 0 || c.failing):
					w.Errorf("the undo ends with %v:\n%s", err, u)
				}
			})
		})
	}
}

// TestSQLiteUndoNotAllowed: so does one on SQLite, of NOT NULL.
func TestSQLiteUndoNotAllowed(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, NULL)")
		w.capture(capture.Table{Name: "t"})
		w.exec("UPDATE t SET v = 1", "CREATE TABLE other (id INTEGER PRIMARY KEY, v NOT NULL)", "INSERT INTO other SELECT * FROM t", "DROP TABLE t", "ALTER TABLE other RENAME TO t")
		w.capture(capture.Table{Name: "t"})
		history, err := w.store.History(ctx, "t", "1")
		w.must(err)
		u, err := undo.Change(ctx, w.store, history[0])
		w.must(err)
		if want := `Conflict: "main"."t" (1): v: not allowed: NOT NULL`; !strings.Contains(u.String(), want) {
			w.Errorf("the undo does not have %q:\n%s", want, u)
		}
	}, dbtest.SQLite)
}
