package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestCopiedAfterEarlier: if the app's database is restored to an earlier time, with the same number of shapes and notes as those that were
// copied, the new ones come all the same, and so do gaps whose transactions have lower numbers than those before.
func TestCopiedAfterEarlier(t *testing.T) {
	with(t, func(w *world) {
		there, source, table := w.elsewhere(w.e.DSN(t)), changes.NewSource(nil), capture.Table{Name: "t"}
		w.must(there.installer().Migrate(ctx))
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(table)
		w.exec("INSERT INTO t VALUES (1, 1)")
		shape := w.text("SELECT id FROM threadline.audit_shapes")
		w.exec("ALTER TABLE t ADD b int")
		w.capture(table)
		w.exec("UPDATE t SET b = 1")
		w.must(source.Copy(ctx, w.db, w.changed(), there.store))
		there.wantStory("insert id: NULL → 1; a: NULL → 1;\nupdate b: NULL → 1;", "t", "1")

		// What came since is not there any more, and other things are. In the meantime there were many transactions.
		w.exec("DELETE FROM threadline.audit_shapes WHERE id <> "+shape, "DELETE FROM threadline.audit_captures WHERE shape_id <> "+shape, "DELETE FROM threadline.audit_changes WHERE op = 'U'",
			"ALTER TABLE t DROP b, ADD c int")
		there.exec("UPDATE threadline.audit_copies SET seen = '1000000000:1000000000:'")
		w.capture(table)
		w.exec("UPDATE t SET c = 5")
		w.lose("UPDATE t SET c = 6")
		w.must(source.Copy(ctx, w.db, w.changed(), there.store))
		if story := there.story("t", "1"); !strings.HasSuffix(story, "update c: NULL → 5;") {
			t.Errorf("the history is\n%s", story)
		}
		if is, want := there.textOf("audit_gaps"), w.textOf("audit_gaps"); is != want {
			t.Errorf("gaps: %s\nwant %s", is, want)
		}
	}, dbtest.PostgresEngines()[0])
}
