package changes_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// counter counts how often each row's changes come. before is called before that, with the first entry of each call.
type counter struct {
	before func(key string)

	mu    sync.Mutex
	times map[string]int
}

func (c *counter) Forward(_ context.Context, entries []journal.Entry) error {
	c.before(entries[0].Target.ID)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range entries {
		if e.Change != nil {
			c.times[e.Target.ID]++
		}
	}
	return nil
}

// TestForwardedOnce: a transaction that commits while others are being delivered, between whose xids its own is, is delivered
// once, after them.
func TestForwardedOnce(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "t"})
		called, release := make(chan struct{}), make(chan struct{})
		between := func() {}
		c := &counter{times: make(map[string]int), before: func(key string) {
			switch key {
			case "0":
				close(called)
				<-release
			case "1": // the relay has read a part of its transaction
				between()
			}
		}}
		hub := forward.New(&forward.Options{Logger: zap.NewNop(), Timeout: dbtest.Patience})
		hub.Register(c, forward.Async, forward.WithChanges(changes.NewSource(nil)))
		name := dbtest.Name(w.e.Driver)
		w.e.Register(name, hub)
		w.must(dbtest.Open(w.T, name, w.dsn).PingContext(ctx))
		until, cancel := context.WithTimeout(ctx, dbtest.Patience)
		defer cancel()
		w.must(hub.Drain(until)) // and so it is registered

		w.exec("INSERT INTO t VALUES (0)")
		<-called
		w.exec("INSERT INTO t SELECT n FROM generate_series(1, 6000) n")
		tx, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		_, err = tx.ExecContext(ctx, "INSERT INTO t VALUES (10001)")
		w.must(err)
		w.exec("INSERT INTO t VALUES (20000)")
		between = func() { w.must(tx.Commit()) }
		close(release)
		w.must(hub.Drain(until))
		w.must(hub.Drain(until)) // what had not been committed when it began
		c.mu.Lock()
		defer c.mu.Unlock()
		var wrong []string
		for key, n := range c.times {
			if n != 1 {
				wrong = append(wrong, fmt.Sprintf("%s %d times", key, n))
			}
		}
		if len(wrong) > 0 || len(c.times) != 6003 {
			w.Errorf("%d rows came, and %s", len(c.times), strings.Join(wrong, ", "))
		}
	}, dbtest.PostgresEngines()[0])
}

// TestForwardedGone: an entry whose change is gone when it is to be completed says so, and the others are complete.
func TestForwardedGone(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1), (2)")
		var entries []*journal.Entry
		for _, e := range w.changed() {
			e.Change = nil
			entries = append(entries, &e)
		}
		w.exec("DELETE FROM threadline.audit_changes WHERE key = '(1)'")
		conn, err := w.db.Conn(ctx)
		w.must(err)
		defer conn.Close()
		w.must(changes.NewSource(nil).Read(ctx, conn, entries))
		if e := entries[0]; e.Change != nil || !strings.Contains(e.Unreadable, "is not in") {
			w.Errorf("the one that is gone is %s, %q", e.Change, e.Unreadable)
		}
		if e := entries[1]; e.Change == nil || e.Unreadable != "" || e.Action != "row.inserted" || e.Target.ID != "2" {
			w.Errorf("the other one is %s, %q", e.Change, e.Unreadable)
		}
	}, dbtest.PostgresEngines()[0])
}
