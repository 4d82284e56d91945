package changes_test

import (
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// hide begins a transaction that hides from the triggers that they have to say where and by whom it is made.
func (w *world) hide(queries ...string) {
	w.Helper()
	setting := w.text(`SELECT (regexp_match(prosrc, '''(threadline\.tx_[0-9a-z]+)'''))[1] FROM pg_proc WHERE proname LIKE 'capture\_%'`)
	w.inOne(append([]string{"SELECT set_config('" + setting + "', pg_current_xact_id()::text, true)"}, queries...)...)
}

// TestHiddenInOrder: a session that hides itself does not get its changes out of their order, nor does a transaction of which the first change
// is gone.
func TestHiddenInOrder(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, v text)")
		w.capture(capture.Table{Name: "t"})
		want := func(what, story string, at time.Time, v string) {
			w.Helper()
			w.wantStory(story, "t", "1")
			w.wantRows(what, at, [][2]string{{"1", v}}, "1")
		}
		w.exec("INSERT INTO t VALUES (1, 'a')")
		w.hide("UPDATE t SET v = 'hidden'")
		if w.text("SELECT count(*) FROM threadline.audit_changes WHERE system IS NULL") != "1" {
			t.Fatal("nothing is hidden")
		}
		hidden := w.clock()
		w.exec("UPDATE t SET v = 'b'", "UPDATE t SET v = 'c'")
		now, all := w.clock(), "insert id: NULL → 1; v: NULL → a;\nupdate v: a → hidden;\nupdate v: hidden → b;\nupdate v: b → c;"
		want("then", all, hidden, "hidden")
		want("now", all, now, "c")
		// Restored into a cluster whose WAL is behind: there it goes on.
		w.exec("UPDATE threadline.audit_changes SET system = 7 WHERE system IS NOT NULL", "UPDATE threadline.audit_changes SET lsn = lsn + 1000000000::numeric", "UPDATE threadline.audit_captures SET place = '7/1/1'")
		w.exec("UPDATE t SET v = 'restored'")
		w.hide("UPDATE t SET v = 'hidden again'")
		w.exec("UPDATE t SET v = 'd'")
		all += "\nupdate v: c → restored;\nupdate v: restored → hidden again;\nupdate v: hidden again → d;"
		want("then, restored", all, hidden, "hidden")
		want("now, restored", all, w.clock(), "d")
	})
}
