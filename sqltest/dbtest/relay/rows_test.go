package relay_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestTombstones: the relay passes them, does not count them, and deletes them only when what
// they keep from being written cannot arrive any more.
func TestTombstones(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		r := w.start(relay.Config{})
		tombstone := func(ago string) {
			w.exec("INSERT INTO aftercommit.journal (key, role, events, format, recorded_at) VALUES ('" + key().String() + "', 'app', 0, 0, now() - interval '" + ago + "')")
		}
		w.commit("a")
		tombstone("1 hour")
		tombstone("30 hours")
		if s := w.state(); s.Behind > 1 {
			t.Errorf("%+v", s)
		}
		w.commit("b")
		w.drain(r)
		w.want("a b")
		if n, err := w.store.Size(ctx, w.db); err != nil || n != 2 {
			t.Errorf("Size = %d, %v", n, err)
		}
		if p := w.purge(0); p.Events != 2 || p.Kept != 0 {
			t.Errorf("Purge = %+v", p)
		}
		var left int
		w.must(w.db.QueryRowContext(ctx, "SELECT count(*) FROM aftercommit.journal").Scan(&left))
		if left != 1 {
			t.Errorf("%d rows are left, want the fresh tombstone", left)
		}
	}, dbtest.PostgresEngines()...)
}

// TestLargeDocuments: a call gets fewer entries than a batch has, if their documents are large.
func TestLargeDocuments(t *testing.T) {
	each(t, func(w *world) {
		const events, rows = 100, 16 // a row has 800 kB
		document := func() string {
			one := make([]string, events)
			for i := range one {
				one[i] = fmt.Sprintf(`{"id":%q,"occurred_at":"2026-01-02T03:04:05Z","action":"order.placed","outcome":"success","target":{"type":"order","id":"x"},"metadata":{"text":%q}}`,
					uuid.NewString(), strings.Repeat("x", 8000))
			}
			return "[" + strings.Join(one, ",") + "]"
		}
		for range rows {
			w.commit("x")
			for _, e := range w.entries() { // the last one, whatever its name
				if !strings.Contains(w.document(e.Key), "text") {
					w.set(e.Key, fmt.Sprintf("events = %d, document = %s", events, quoted(document())))
				}
			}
		}
		most, got := 0, 0
		target := w.target()
		target.Deliver = func(_ context.Context, _ *sql.DB, entries []journal.Entry) relay.Result {
			most, got = max(most, len(entries)), got+len(entries)
			return relay.Result{}
		}
		r := w.start(relay.Config{Targets: []relay.Target{target}, Batch: 10_000})
		w.drain(r)
		w.must(r.Stop(ctx))
		if got != rows*events || most > 8*events {
			t.Errorf("%d came, at most %d in a call", got, most)
		}
		got, most = 0, 0
		w.replay(relay.Selection{From: time.Now().Add(-time.Hour)})
		r = w.start(relay.Config{Targets: []relay.Target{target}, Batch: 10_000})
		w.until("it is replayed", func() bool { return w.state().Retrying == 0 })
		w.must(r.Stop(ctx))
		if got != rows*events || most > 8*events {
			t.Errorf("%d came again, at most %d in a call", got, most)
		}
	})
}
