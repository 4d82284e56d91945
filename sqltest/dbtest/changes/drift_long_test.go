package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestDriftLong: a change of which the texts have more bytes than a row may have leaves a gap, and the app's statement succeeds.
func TestDriftLong(t *testing.T) {
	if !long() {
		t.Skip("set AFTERCOMMIT_LONG=1 to run it")
	}
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b bytea)", "ALTER TABLE t ALTER b SET STORAGE EXTERNAL")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1, convert_to(repeat('x', 260000000), 'UTF8'))", "ALTER TABLE t ADD c int", "UPDATE t SET a = 2")
		if got := w.text("SELECT concat(op, ' ', reason) FROM threadline.audit_gaps"); got != "UPDATE the text of the row is too long" {
			t.Errorf("the gap is %q", got)
		}
	}, dbtest.PQ)
}
