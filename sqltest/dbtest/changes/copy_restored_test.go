package changes_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestCopiedAfterFilesRestored: if the files of the app's server are restored to an earlier time, as from a snapshot of its volume, numbers
// of transactions come again, and nothing of the server but its start says so. The gaps that there are from then on come all the same.
func TestCopiedAfterFilesRestored(t *testing.T) {
	dbtest.RequirePostgres(t)
	server := dbtest.Start(t, nil)
	with(t, func(w *world) {
		t := w.T
		here := w.elsewhere(server.Database(t))
		here.must(here.installer().Migrate(ctx))
		here.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		here.capture(capture.Table{Name: "t"})
		here.exec("INSERT INTO t VALUES (1, 1)")
		files := here.text("SHOW data_directory")
		source := changes.NewSource(nil)
		copyAll := func() { t.Helper(); w.must(source.Copy(ctx, here.db, here.changed(), w.store)) }
		copyAll()
		run := func(name string, args ...string) {
			t.Helper()
			if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
				t.Fatalf("%s %v: %v\n%s", name, args, err, out)
			}
		}
		server.Stop(t)
		run("cp", "-a", files, files+".kept")
		server.Restart(t)
		here.lose("UPDATE t SET a = 2")
		here.exec("UPDATE t SET a = 3", "UPDATE t SET a = 4")
		copyAll()

		server.Stop(t)
		w.must(os.RemoveAll(files))
		run("mv", files+".kept", files)
		server.Restart(t)
		here.lose("UPDATE t SET a = 5") // in a transaction of a number that has come before
		here.exec("UPDATE t SET a = 6", "UPDATE t SET a = 7", "UPDATE t SET a = 8")
		copyAll()
		began := here.text("SELECT tx_started_at FROM threadline.audit_gaps")
		if n := w.text("SELECT count(*) FROM threadline.audit_gaps WHERE tx_started_at = '" + began + "'"); n != "1" {
			t.Errorf("%s gaps of the transaction that began at %s are there", n, began)
		}
	}, dbtest.PostgresEngines()[0])
}
