package changes_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestKeysOfTypes: rows are found as of a time, and undone, by keys whose types are in the search_path of the app, also without a change.
func TestKeysOfTypes(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE SCHEMA shop", "CREATE EXTENSION citext SCHEMA shop", "SET search_path = shop, public", "CREATE TYPE size AS ENUM ('S', 'L')",
			"CREATE DOMAIN code AS citext", "CREATE TYPE pair AS (x int, y size)")
		w.db.SetMaxOpenConns(1) // which has the search_path
		for typ, v := range map[string][2]string{"size": {"S", "L"}, "citext": {"a", "b"}, "code": {"a", "b"}, "pair": {"(1,S)", "(1,L)"}, "size[]": {"{S}", "{L}"}} {
			w.exec("DROP TABLE IF EXISTS t", "CREATE TABLE t (k "+typ+" PRIMARY KEY, v "+typ+")", "INSERT INTO t VALUES ('"+v[0]+"', '"+v[0]+"'), ('"+v[1]+"', NULL)")
			w.capture(capture.Table{Name: "t"})
			before := w.clock()
			w.exec("UPDATE t SET v = '" + v[1] + "' WHERE k::text = '" + v[0] + "'")
			if got, want := w.asOf("t", before, v[1]), `"shop"."t" (`+v[1]+"): k: "+v[1]+"; v: NULL"; got != want {
				w.Errorf("%s: the row that has not changed was %s, want %s", typ, got, want)
			}
			if got, want := w.asOf("t", before, v[0]), `"shop"."t" (`+v[0]+"): k: "+v[0]+"; v: "+v[0]; got != want {
				w.Errorf("%s: the row was %s, want %s", typ, got, want)
			}
			u, err := undo.RowAsOf(ctx, w.store, "t", before, v[0])
			w.must(err)
			w.clean(u)
			w.exec("SET search_path = ''")
			w.must(w.run(u))
			w.exec("SET search_path = shop, public")
			if got := w.text("SELECT v FROM t WHERE k::text = '" + v[0] + "'"); got != v[0] {
				w.Errorf("%s: after the undo the value is %s", typ, got)
			}
		}
	})
}

// equal are types of which values that are printed in different ways are equal.
var equal = map[string]bool{"numeric": true, "citext": true, "text COLLATE nocase": true}

// TestKeysWritten: a key is found however its values are written, and no row is taken for one that has not changed.
func TestKeysWritten(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE EXTENSION citext", `CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`, "CREATE DOMAIN price AS numeric(10, 2)")
		for _, c := range []struct{ typ, is, written string }{
			{"uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}"},
			{"timestamptz", "2026-01-01 10:00:00+00", "2026-01-01T12:00:00+02:00"},
			{"date", "2026-01-01", "2026-1-1"},
			{"bytea", `\x00ff`, `\x00FF`},
			{"bigint", "42", " 042"},
			{"char(5)", "a    ", "a"},
			{"numeric(10,2)", "1.50", "1.5"},
			{"price", "1.50", "1.5"},
			{"numeric", "1.50", "1.5"},
			{"citext", "Ab", "aB"},
			{"text COLLATE nocase", "Ab", "aB"},
			{"varchar(3)", "abc", "abc"},
			{"inet", "10.0.0.1", "10.0.0.1/32"},
		} {
			w.exec("DROP TABLE IF EXISTS t", "CREATE TABLE t (k "+c.typ+" PRIMARY KEY, v int)", "INSERT INTO t VALUES ('"+c.is+"', 1)")
			w.capture(capture.Table{Name: "t"})
			before := w.clock()
			w.exec("UPDATE t SET v = 2")
			if got := w.asOf("t", before, c.written); !strings.HasSuffix(got, ": k: "+c.is+"; v: 1") {
				w.Errorf("%s: the row %s was %s", c.typ, c.written, got)
			}
			w.wantStory("update v: 1 → 2;", "t", c.written)
			u, err := undo.RowAsOf(ctx, w.store, "t", before, c.written)
			w.must(err)
			w.clean(u)
			if w.exec("DELETE FROM t"); !equal[c.typ] { // of a row that is gone, only its text is known
				w.wantStory("update v: 1 → 2;\ndelete k: "+c.is+" → NULL; v: 2 → NULL;", "t", c.written)
			}
		}
		// These are no other way to write the key of a row.
		for typ, written := range map[string]string{"varchar(3)": "abcd", "numeric(10,2)": "1.504", "price": "1.504", "char(3)": "abcd", "timestamp(0)": "2026-01-01 10:00:00.4", "bigint": "1.5", "uuid": "x"} {
			is := map[string]string{"varchar(3)": "abc", "numeric(10,2)": "1.50", "price": "1.50", "char(3)": "abc", "timestamp(0)": "2026-01-01 10:00:00", "bigint": "1", "uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}[typ]
			w.exec("DROP TABLE IF EXISTS t", "CREATE TABLE t (k "+typ+" PRIMARY KEY, v int)", "INSERT INTO t VALUES ('"+is+"', 1)")
			w.capture(capture.Table{Name: "t"})
			w.exec("UPDATE t SET v = 2")
			if history, err := w.store.History(ctx, "t", written); len(history) > 0 || err != nil && !errors.Is(err, changes.ErrKey) {
				w.Errorf("%s: the history of the row %s is %v, %v", typ, written, history, err)
			}
			if row, err := w.store.RowAsOf(ctx, "t", w.clock(), written); err == nil {
				w.Errorf("%s: the row %s was %s", typ, written, row)
			}
		}
	})
}
