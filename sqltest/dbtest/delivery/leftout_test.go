package delivery_test

import (
	"context"
	"database/sql"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// lacking is a sink that refuses to be attached until ready.
type lacking struct {
	*sink
	ready atomic.Bool
}

func (l *lacking) Attach(context.Context, *sql.DB) error {
	if l.ready.Load() {
		return nil
	}
	return forward.Permanent("schema_mismatch", errAway)
}

// TestLeftOutComesBack: a forwarder that is left out gets all once it can be attached,
// without a restart, and the other ones go on meanwhile.
func TestLeftOutComesBack(t *testing.T) {
	each(t, func(w *world) {
		l := &lacking{sink: &sink{}}
		a := w.start(forward.Options{}, func(h *forward.Hub) {
			h.Register(l, forward.Auto)
			h.Register(w.sink, forward.Auto)
		})
		a.place(1)
		w.until("the other one gets it", func() bool { return w.sink.orders() == "1" })
		if got := a.warnings(); strings.Count(got, "left out") != 1 || l.orders() != "" {
			t.Errorf("warnings: %s; the sink has %q", got, l.orders())
		}
		l.ready.Store(true)
		a.place(2)
		w.until("both have all", func() bool { return l.orders() == "1 2" && w.sink.orders() == "1 2" })
		a.place(3)
		w.until("both have what follows", func() bool { return l.orders() == "1 2 3" && w.sink.orders() == "1 2 3" })
		if n := a.logs.FilterMessageSnippet("left out is attached").Len(); n != 1 {
			t.Errorf("%d lines say that it is attached", n)
		}
		w.must(a.db.Close())
	})
}

// TestLeftOutSync: so does one that is called within Commit.
func TestLeftOutSync(t *testing.T) {
	each(t, func(w *world) {
		l := &lacking{sink: w.sink}
		a := w.start(forward.Options{Relay: forward.RelayOff}, func(h *forward.Hub) { h.Register(l, forward.Sync) })
		a.place(1)
		w.want("")
		l.ready.Store(true)
		w.until("it is attached", func() bool { return a.logs.FilterMessageSnippet("left out is attached").Len() == 1 })
		a.place(2)
		w.want("2")
		w.must(a.db.Close())
	})
}

// TestLeftOutOfRelay: and one of a process that only relays.
func TestLeftOutOfRelay(t *testing.T) {
	each(t, func(w *world) {
		l := &lacking{sink: w.sink}
		a := w.start(forward.Options{Relay: forward.RelayElsewhere}, func(h *forward.Hub) { h.Register(&lacking{sink: &sink{}}, forward.Auto) })
		a.place(1)
		w.must(a.db.Close())
		hub := forward.New(&forward.Options{Logger: zap.NewNop()})
		hub.Register(l, forward.Auto)
		c, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- hub.Relay(c, w.bare, w.e.Dialect) }()
		w.until("others know that it has the forwarder", func() bool {
			var known bool
			w.must(w.bare.QueryRowContext(ctx, `SELECT count(*) > 0 FROM aftercommit.workers WHERE forwarders LIKE '%"left_out":["delivery_test.lacking/default"]%'`).Scan(&known))
			return known
		})
		l.ready.Store(true)
		w.until("it is delivered", func() bool { return w.sink.orders() == "1" })
		cancel()
		w.must(<-done)
	})
}

// TestTimelineMadeLater: the timeline's tables may be made, and rights be granted,
// while the app runs.
func TestTimelineMadeLater(t *testing.T) {
	each(t, func(w *world) {
		dsn, role := w.asWriter()
		w.must(w.bare.ExecContext(ctx, `GRANT ALL ON ALL TABLES IN SCHEMA aftercommit TO "`+role+`"`))
		a, err := w.try(dsn, forward.Options{}, func(h *forward.Hub) {
			h.Register(threadline.NewForwarder(&threadline.ForwarderOptions{NoMigrate: true}), forward.Auto)
		})
		w.must(err)
		a.place(1)
		if got := a.warnings(); strings.Count(got, "left out") != 1 {
			t.Errorf("warnings: %s", got)
		}
		w.must(w.bare.ExecContext(ctx, threadline.Schema(hooks.Postgres, nil)))
		a.place(2)
		w.must(w.bare.ExecContext(ctx, `GRANT USAGE ON SCHEMA threadline TO "`+role+`"; GRANT EXECUTE ON FUNCTION threadline.record(json) TO "`+role+`"`))
		w.until("the timeline has both", func() bool {
			var n int
			w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM threadline.audit_actions WHERE name = 'order.placed'").Scan(&n))
			return n == 2
		})
		w.must(a.db.Close())
	})
}
