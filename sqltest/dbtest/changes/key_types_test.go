package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// TestKeysOfTypes: rows are found as of a time, and undone, by keys whose types are in the search_path of the app, also without a change.
func TestKeysOfTypes(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE SCHEMA shop", "CREATE EXTENSION citext SCHEMA shop", "SET search_path = shop, public", "CREATE TYPE size AS ENUM ('S', 'L')",
			"CREATE DOMAIN code AS citext", "CREATE TYPE pair AS (x int, y size)")
		w.db.SetMaxOpenConns(1) // which has the search_path
		for typ, v := range map[string][2]string{"size": {"S", "L"}, "citext": {"a", "b"}, "code": {"a", "b"}, "pair": {"(1,S)", "(1,L)"}, "size[]": {"{S}", "{L}"}} {
			w.exec("DROP TABLE IF EXISTS t", "CREATE TABLE t (k "+typ+" PRIMARY KEY, v "+typ+")", "INSERT INTO t VALUES ('"+v[0]+"', '"+v[0]+"'), ('"+v[1]+"', NULL)")
			w.capture(changes.Table{Name: "t"})
			before := w.clock()
			w.exec("UPDATE t SET v = '" + v[1] + "' WHERE k::text = '" + v[0] + "'")
			if got, want := w.asOf("t", before, v[1]), `"shop"."t" (`+v[1]+"): k: "+v[1]+"; v: NULL"; got != want {
				w.Errorf("%s: the row that has not changed was %s, want %s", typ, got, want)
			}
			if got, want := w.asOf("t", before, v[0]), `"shop"."t" (`+v[0]+"): k: "+v[0]+"; v: "+v[0]; got != want {
				w.Errorf("%s: the row was %s, want %s", typ, got, want)
			}
			u, err := w.store.UndoRow(ctx, "t", before, v[0])
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
