package changes_test

import (
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestPurgedOthers: of a transaction of which a change was deleted by hand, and another was not copied, the keeper has as many changes as
// there are, but not that one, so it stays.
func TestPurgedOthers(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		store, err := relay.New(hooks.Postgres, nil)
		w.must(err)
		c := w.copyTo(w.e.DSN(w.T), func(*forward.Hub) {}, forward.Filter(func(e journal.Entry) bool { return e.Target.ID != "3" }))
		p := &purger{c, store, relay.PurgeOptions{Before: time.Now().Add(time.Hour), By: "ops", Changes: changes.KeptIn(c.there.store, nil)}}
		p.drain()
		w.exec("INSERT INTO t SELECT n, n FROM generate_series(1, 3) n", "INSERT INTO t SELECT n, n FROM generate_series(11, 13) n")
		p.drain()
		w.exec("DELETE FROM threadline.audit_changes WHERE key IN ('(1)', '(11)')") // such as to erase what a person asks to
		p.purge(relay.Purged{Changes: 2, ChangesKept: 2})
		if got := w.kept(); got != "(2) (3)" {
			w.Errorf("there are %s", got)
		}
	}, dbtest.PostgresEngines()[0])
}
