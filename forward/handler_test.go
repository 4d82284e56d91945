package forward

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap/zapcore"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// attaching is a forwarder that looks at its sink first.
type attaching struct {
	taker
	attach func(db *sql.DB) error

	mu    sync.Mutex
	times int
}

func (f *attaching) Attach(_ context.Context, db *sql.DB) error {
	f.mu.Lock()
	f.times++
	f.mu.Unlock()
	return f.attach(db)
}

func (f *attaching) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.times
}

func TestAttachOncePerDatabase(t *testing.T) {
	var seen *sql.DB
	f := &attaching{attach: func(db *sql.DB) error { seen = db; return nil }}
	w := newWorld(t, func(h *Hub) { h.Register(f, Sync) })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := w.h.Connect(ctx, w.conn); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if f.times != 1 || seen != w.conn {
		t.Errorf("attached %d times, with %p; want once with %p", f.times, seen, w.conn)
	}
	if err := w.open(hooks.SQLite).Connect(ctx, w.conn); err != nil || f.times != 2 {
		t.Errorf("another database: %v, attached %d times, want 2", err, f.times)
	}
}

func TestAttachThatFailsForGood(t *testing.T) {
	f := &attaching{attach: func(*sql.DB) error { return Permanent("schema_mismatch", errSink) }}
	next := &taker{}
	w := newWorld(t, func(h *Hub) {
		h.Register(f, Sync)
		h.Register(next, Sync)
	})
	for range 2 {
		if err := w.h.Connect(ctx, w.conn); err != nil {
			t.Fatal(err)
		}
	}
	w.end(hooks.Committed, "a.b")
	f.wantGot(t, "")
	next.wantGot(t, "a.b")
	if n := w.logs.FilterMessageSnippet("left out").Len(); n != 1 || f.times != 1 {
		t.Errorf("%d warnings, attached %d times; want 1 and 1", n, f.times)
	}
}

// A sink that is down for now fails the connection, as the app's own database
// would; who was attached is not asked again.
func TestAttachThatFailsForNow(t *testing.T) {
	down := true
	first := &attaching{attach: func(*sql.DB) error { return nil }}
	second := &attaching{attach: func(*sql.DB) error {
		if down {
			return errSink
		}
		return nil
	}}
	w := newWorld(t, func(h *Hub) {
		h.Register(first, Sync, ID("first"))
		h.Register(second, Sync, ID("second"))
	})
	if err := w.h.Connect(ctx, w.conn); !errors.Is(err, errSink) || !strings.Contains(err.Error(), "attach forward.attaching/second") {
		t.Errorf("err = %v", err)
	}
	down = false
	if err := w.h.Connect(ctx, w.conn); err != nil {
		t.Errorf("err = %v", err)
	}
	if first.times != 1 || second.times != 2 {
		t.Errorf("attached %d and %d times, want 1 and 2", first.times, second.times)
	}
}

func TestConnectWaitsNoLongerThanItsContext(t *testing.T) {
	w := newWorld(t, nil)
	w.h.setup <- struct{}{}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := w.h.Connect(canceled, w.conn); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}

func TestStartIsToldOnce(t *testing.T) {
	w := newWorld(t, func(h *Hub) { h.Register(&taker{}, Auto) })
	for range 3 {
		if err := w.h.Connect(ctx, w.conn); err != nil {
			t.Fatal(err)
		}
	}
	lines := w.logs.FilterMessageSnippet("started").All()
	if len(lines) != 1 || lines[0].Level != zapcore.WarnLevel || !strings.Contains(lines[0].Message, "without a journal") {
		t.Fatalf("lines %v", lines)
	}
	fields := lines[0].ContextMap()
	if fields["mode"] != "strict" || fields["journal"] != false || fields["driver"] != "db-audited" {
		t.Errorf("fields %v", fields)
	}
	if got := fields["forwarders"].([]any); len(got) != 1 || got[0] != "forward.taker/default (sync)" {
		t.Errorf("forwarders %v", got)
	}
}
