package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestBulkInNewSession: what is captured by row is kept also in a session in which no statement was captured as a whole before, so that the
// setting which says so was never set.
func TestBulkInNewSession(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE other (id int)",
			"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET a = a + 1; RETURN NULL; END $$",
			"CREATE TRIGGER f AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION f()")
		w.capture(capture.Table{Name: "t", Bulk: true})
		w.exec("INSERT INTO t VALUES (1, 1)", "ALTER TABLE t ENABLE ALWAYS TRIGGER threadline_row_bulk")
		for _, queries := range []string{"INSERT INTO other VALUES (1)", "SET session_replication_role = replica; UPDATE t SET a = 9"} {
			db := dbtest.Open(t, dbtest.PQ.Driver, w.dsn)
			_, err := db.ExecContext(ctx, queries)
			w.must(err)
			w.must(db.Close())
		}
		w.wantStory("insert id: NULL → 1; a: NULL → 1;\nupdate a: 1 → 2;\nupdate a: 2 → 9;", "t", "1")
	})
}
