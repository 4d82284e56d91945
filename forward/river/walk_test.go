package river_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/walk"
)

// TestQualified: what is sent beside River's own statements, where River is the queue,
// has no name that another role could take the place of.
func TestQualified(t *testing.T) {
	eachOf(t, func(w *world) {
		var mu sync.Mutex
		sent := map[string]bool{}
		p := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
		p.Next(dbtest.CutBefore, func(query string) bool {
			mu.Lock()
			defer mu.Unlock()
			sent[query] = true
			return false
		})
		w.dsn = dbtest.Via(w.dsn, p.Addr())
		w.start(forward.Async, forward.RelayInProcess)
		w.commit(1)
		w.untilJobs("completed 1")
		w.must(w.db.Close())
		operator := dbtest.Open(w, w.e.Driver, w.dsn)
		for _, replay := range []bool{true, false} {
			if _, err := river.Resume(ctx, operator, w.e.Dialect, "", forwarder, "", replay); err == nil || !strings.Contains(err.Error(), "nothing to decide") {
				t.Errorf("Resume: %v", err)
			}
		}
		if _, err := river.Retry(ctx, operator, w.e.Dialect, "", "misspelt"); err == nil || !strings.Contains(err.Error(), forwarder) {
			t.Errorf("Retry: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		ours := 0
		for query := range sent {
			if strings.HasPrefix(query, "-- name: ") || strings.HasPrefix(query, "INSERT INTO orders") {
				continue // River's own, and the app's
			}
			ours++
			if found, err := walk.Unqualified(query); err != nil || len(found) > 0 {
				t.Errorf("%v %v in %s", found, err, query)
			}
		}
		if ours < 10 {
			t.Errorf("%d statements of ours", ours)
		}
	}, dbtest.PostgresEngines()...)
}
