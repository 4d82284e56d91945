package changes_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// elsewhere is an empty database.
func (w *world) elsewhere(dsn string) *world {
	w.Helper()
	r := &world{T: w.T, db: dbtest.Open(w.T, "postgres", dsn), dsn: dsn}
	r.store = changes.NewStore(r.db, hooks.Postgres, nil)
	return r
}

// dumpTo restores a dump of the world into another database.
func (w *world) dumpTo(to *world, options ...string) {
	w.Helper()
	bin := dbtest.RequirePostgres(w.T)
	var stderr bytes.Buffer
	dump := exec.CommandContext(ctx, filepath.Join(bin, "pg_dump"), append(options, "--dbname="+w.dsn)...)
	dump.Stderr = &stderr
	text, err := dump.Output()
	if err != nil {
		w.Fatalf("pg_dump: %v\n%s", err, stderr.String())
	}
	restore := exec.CommandContext(ctx, filepath.Join(bin, "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname="+to.dsn)
	restore.Stdin = bytes.NewReader(text)
	if out, failed := restore.CombinedOutput(); failed != nil {
		w.Fatalf("psql: %v\n%s", failed, out)
	}
}

// TestDumped: after a dump and restore the histories go on, in the same cluster and in another, whose XIDs
// begin anew: of a table that was renamed, too, and of one that was made again. That is so after a restore
// of the data alone, into tables that are captured with their triggers disabled, or are captured only then.
func TestDumped(t *testing.T) {
	other := dbtest.Start(t, nil)
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE v (id int PRIMARY KEY, a int)")
		tables := []capture.Table{{Name: "t"}, {Name: "u"}}
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "v"})
		w.exec("INSERT INTO t VALUES (1, -1)", "INSERT INTO v VALUES (1, 1)", "ALTER TABLE v RENAME TO u", "DROP TABLE t", "CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(tables...)
		w.exec("INSERT INTO t VALUES (1, 1)", "SELECT pg_logical_emit_message(false, '', repeat('x', 40000000))", "UPDATE t SET a = 2", "UPDATE u SET a = 2")
		for name, restore := range map[string]func(*world){
			"all":    func(r *world) { w.dumpTo(r) },
			"noacl":  func(r *world) { w.dumpTo(r, "--no-acl", "--no-owner") },
			"schema": func(r *world) { w.dumpTo(r, "--schema-only"); w.dumpTo(r, "--data-only", "--disable-triggers") },
			"data": func(r *world) {
				// Were t captured now, the INSERTs of the restore would be changes.
				r.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE u (id int PRIMARY KEY, a int)")
				r.must(r.installer().Migrate(ctx))
				w.dumpTo(r, "--data-only")
			},
		} {
			for place, dsn := range map[string]string{"here": dbtest.Postgres(w.T), "elsewhere": other.Database(w.T)} {
				r := w.elsewhere(dsn)
				restore(r)
				if name != "data" {
					r.exec("UPDATE t SET a = 3", "UPDATE u SET a = 3")
				}
				r.must(r.installer().Migrate(ctx))
				r.capture(tables...)
				r.exec("UPDATE t SET a = 4", "UPDATE u SET a = 4")
				then, missing := "\nupdate a: 2 → 3;\nupdate a: 3 → 4;", ""
				if name == "data" {
					then, missing = "\nupdate a: 2 → 4;", "\nuncaptured %s: triggers were missing or disabled"
				}
				r.wantStory("insert id: NULL → 1; a: NULL → 1;\nupdate a: 1 → 2;"+then, "t", "1")
				r.wantStory("insert id: NULL → 1; a: NULL → 1;\nupdate a: 1 → 2;"+then, "u", "1")
				r.wantBreaks("began t: its capture began: another table had this name before, with a history of its own\nrestored t: it was restored into another database"+strings.ReplaceAll(missing, "%s", "t"), "t")
				r.wantBreaks("began v: its capture began\nrenamed u: its name was public.v\nrestored u: it was restored into another database"+strings.ReplaceAll(missing, "%s", "u"), "u")
				r.exec("DROP TABLE t", "CREATE TABLE t (id int PRIMARY KEY, a int)", "INSERT INTO t VALUES (1, 1)")
				r.capture(tables...)
				r.exec("UPDATE t SET a = 5")
				r.wantStory("update a: 1 → 5;", "t", "1")
				if w.Failed() {
					w.Fatalf("restored as %s %s", name, place)
				}
			}
		}
	}, dbtest.PQ)
}

// TestClock: a clock that is set back puts nothing into another order.
func TestClock(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1)", "UPDATE t SET a = 2", "UPDATE threadline.audit_changes SET captured_at = captured_at + interval '1 day', tx_started_at = tx_started_at + interval '1 day'",
			"UPDATE threadline.audit_captures SET noted_at = noted_at + interval '1 day'", "UPDATE t SET a = 3", "ALTER TABLE t RENAME TO u")
		w.capture(capture.Table{Name: "u"})
		w.exec("UPDATE u SET a = 4", "DELETE FROM u")
		w.wantStory("insert id: NULL → 1; a: NULL → 1;\nupdate a: 1 → 2;\nupdate a: 2 → 3;\nupdate a: 3 → 4;\ndelete id: 1 → NULL; a: 4 → NULL;", "u", "1")
		if list, err := w.store.Breaks(ctx, "u"); err != nil || len(list) != 2 || !strings.HasSuffix(list[1].Text, "public.t") {
			w.Errorf("%v, %v", list, err)
		}
	})
}
