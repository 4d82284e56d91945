package changes_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// TestSQLiteLongValues: a transaction of few changes with long values is read in part, and refused to be undone.
func TestSQLiteLongValues(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
	w.capture(capture.Table{Name: "t"})
	const size, each = 64_000, 2*64_000 + 3 // as X'…'
	n := changes.MaxTransactionBytes/each + 10
	w.liteInOne(1, fmt.Sprintf("INSERT INTO t WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %d) SELECT n, zeroblob(%d) FROM c", n, size))
	is, err := w.store.Transaction(ctx, 1, time.Time{}, n)
	w.must(err)
	if got := len(is.Changes) * each; !is.More || got < changes.MaxTransactionBytes-each || got > changes.MaxTransactionBytes+each {
		w.Errorf("%d changes of %d, and more: %v", len(is.Changes), n, is.More)
	}
	if _, err = undo.Transaction(ctx, w.store, 1, time.Time{}); !errors.Is(err, undo.ErrTooMany) {
		w.Errorf("%v", err)
	}
}
