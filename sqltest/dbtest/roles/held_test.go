package roles_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// timelines are the two ways in which a relay writes the timeline: in its own transaction,
// and over a separate connection, as it does for another database.
var timelines = map[string]func(w *world) *threadline.Forwarder{
	"in the relay's transaction": func(*world) *threadline.Forwarder { return threadline.NewForwarder(nil) },
	"in a Store": func(w *world) *threadline.Forwarder {
		return threadline.NewForwarder(&threadline.ForwarderOptions{Store: threadline.NewStore(w.owner, hooks.Postgres, nil)})
	},
}

// TestTimelineIDsHeld: a role that writes timeline entries in a transaction that stays
// open, and events of the same IDs, keeps no other event from the timeline.
func TestTimelineIDsHeld(t *testing.T) {
	for _, e := range dbtest.PostgresEngines() {
		for name, timeline := range timelines {
			for _, n := range []int{1, 2000} {
				t.Run(fmt.Sprint(e.Name, " ", name, " ", n), func(t *testing.T) {
					w := newWorld(t, e)
					w.timelineHeld(timeline(w), n)
				})
			}
		}
	}
}

func (w *world) timelineHeld(timeline *threadline.Forwarder, n int) {
	w.Helper()
	h := w.apps()
	w.relayTo(timeline)
	w.until("the relay works", func() bool {
		return w.count("SELECT pg_catalog.count(*) FROM aftercommit.cursors WHERE holder IS NOT NULL") == 1
	})
	h.write("before")
	w.until("it is in the timeline", func() bool { return w.delivered() })
	ids := fmt.Sprintf("(SELECT '00000000-0000-0000-0001-' || pg_catalog.lpad(i::text, 12, '0') AS id FROM pg_catalog.generate_series(1, %d) i) x", n)
	held := h.try(attempt{run: []string{"BEGIN", `SELECT threadline.record((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('id', id, 'name', 'thing.forged', 'outcome', 'success', 'occurred_at', pg_catalog.now(), 'recorded_at', pg_catalog.now())) FROM ` + ids + `))`}})
	w.must(h.app.ExecContext(ctx, `SELECT aftercommit.write(pg_catalog.gen_random_uuid(), pg_catalog.count(*)::int4, 1::int2, pg_catalog.json_agg(pg_catalog.json_build_object('id', id, 'action', 'thing.forged', 'outcome', 'success', 'occurred_at', pg_catalog.now()))::text, NULL, true, 100) FROM `+ids+` GROUP BY pg_catalog.right(id, 1)`))
	begun := time.Now()
	h.write("held")
	w.until("it is in the timeline", func() bool { return w.delivered() })
	w.Logf("%d held IDs: %v", n, time.Since(begun).Round(time.Millisecond))
	// Each has failed by itself, and comes again.
	w.until("those that are held have failed", func() bool {
		return w.count("SELECT pg_catalog.count(*) FROM aftercommit.retries WHERE forwarder = 'threadline.Forwarder/default' AND reason = 'held' AND state = 'retrying'") == n
	})
	w.must(held.ExecContext(ctx, "ROLLBACK"))
	w.must(w.owner.ExecContext(ctx, "UPDATE aftercommit.retries SET next_at = pg_catalog.now()"))
	w.until("they are in the timeline", func() bool {
		return w.count("SELECT pg_catalog.count(*) FROM threadline.audit_actions WHERE name = 'thing.forged'") == n
	})
	w.must(held.Close())
}

// TestTimelineWithoutTheApp: with RelayElsewhere an app needs no right on the timeline's
// functions.
func TestTimelineWithoutTheApp(t *testing.T) {
	for _, e := range dbtest.PostgresEngines() {
		t.Run(e.Name, func(t *testing.T) { newWorld(t, e).timelineWithoutTheApp() })
	}
}

func (w *world) timelineWithoutTheApp() {
	w.Helper()
	h := w.apps()
	w.must(w.owner.ExecContext(ctx, `REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA threadline FROM "`+h.victimRole+`"`))
	w.relayTo(threadline.NewForwarder(nil))
	audit := forward.New(&forward.Options{Logger: zap.NewNop(), Relay: forward.RelayElsewhere})
	audit.Register(threadline.NewForwarder(nil), forward.Auto)
	name := dbtest.Name(w.e.Driver)
	driver.Register(name, w.e.Driver, audit, driver.WriteTimeout(dbtest.Patience))
	app := dbtest.Open(w.T, name, w.as(h.victimRole))
	w.must(hooks.Record(ctx, app, hooks.Event{Action: "thing.happened"}))
	w.until("it is in the timeline", func() bool { return w.count("SELECT pg_catalog.count(*) FROM threadline.audit_actions") == 1 })
	if _, err := app.ExecContext(ctx, "SELECT threadline.record('[]')"); hooks.SQLState(err) != denied {
		w.Errorf("the app writes to the timeline: %v", err)
	}
}

// delivered reports whether all that the victim has written is in the timeline.
func (w *world) delivered() bool {
	w.Helper()
	return w.count("SELECT pg_catalog.count(*) FROM aftercommit.audit_events e WHERE e.action = 'thing.happened' AND NOT EXISTS (SELECT FROM threadline.audit_actions a WHERE a.id = e.id)") == 0
}

// relayTo runs a relay of the owner for f.
func (w *world) relayTo(f forward.Forwarder) {
	w.Helper()
	hub := forward.New(&forward.Options{Logger: zap.NewNop()})
	hub.Register(f, forward.Auto)
	c, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- hub.Relay(c, dbtest.Open(w.T, w.e.Driver, w.as(w.ownerRole)), hooks.Postgres) }()
	w.Cleanup(func() {
		cancel()
		w.must(<-done)
	})
}
