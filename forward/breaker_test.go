package forward

import (
	"context"
	"database/sql"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// A call counts as left behind from when it is given up until it returns,
// whichever of its two goroutines comes first.
func TestTracked(t *testing.T) {
	tests := map[string]struct {
		steps []func(*tracked)
		left  []int32
	}{
		"returns":                  {[]func(*tracked){(*tracked).finish}, []int32{0}},
		"is given up, and returns": {[]func(*tracked){(*tracked).giveUp, (*tracked).finish}, []int32{1, 0}},
		"returns, and is given up": {[]func(*tracked){(*tracked).finish, (*tracked).giveUp}, []int32{0, 0}},
	}
	for name, test := range tests {
		b := &breaker{}
		call := b.track()
		for i, step := range test.steps {
			step(call)
			if got := b.left.Load(); got != test.left[i] {
				t.Errorf("%s: %d left after step %d, want %d", name, got, i, test.left[i])
			}
		}
	}
}

// TestNoCallWhileThreeHang: neither within Commit nor by the relay or a Queue, also if
// others in between have returned.
func TestNoCallWhileThreeHang(t *testing.T) {
	calls := map[string]func(w *world, s *sink) (reason string){
		"sync": func(w *world, _ *sink) string {
			w.end(hooks.Committed, "a.b")
			return w.told()
		},
		"async": func(w *world, s *sink) string {
			_, r := w.h.callSink(ctx, w.conn, s, []journal.Entry{{}})
			if r.Err == nil {
				return ""
			}
			return r.Err.Reason
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				running, release := make(chan bool, 10), make(chan bool)
				var hangs atomic.Bool
				w := newWorld(t, func(h *Hub) {
					h.Register(forwarderFunc(func() {
						hang := hangs.Load()
						running <- true
						if hang {
							<-release
						}
					}), Sync, Timeout(time.Millisecond))
				})
				s := w.h.sinks[0]
				for range tolerated {
					hangs.Store(true)
					call(w, s)
					<-running
					hangs.Store(false)
					if s.breaker.left.Load() < tolerated {
						call(w, s)
						<-running
					}
				}
				for range 2 {
					if got := call(w, s); !strings.Contains(got, reasonSuspended) || len(running) > 0 {
						t.Fatalf("%q, and %d further calls run while three hang", got, len(running))
					}
				}
				if n := w.logs.FilterMessageSnippet("have not returned; it is not called").Len(); n != 1 {
					t.Errorf("that is logged %d times, want once", n)
				}
				release <- true
				for s.breaker.left.Load() == tolerated {
					runtime.Gosched()
				}
				if call(w, s); len(running) != 1 {
					t.Error("no call is made once one has returned")
				}
				if !w.logged(zapcore.InfoLevel, "have returned; it is called again") {
					t.Error("nothing says so")
				}
				close(release)
			})
		})
	}
}

// TestAttachThatHangs fails its connection in time, and is not called again while the
// first call runs.
func TestAttachThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		a := &attaching{attach: func(*sql.DB) error { <-release; return nil }}
		w := newWorld(t, func(h *Hub) { h.Register(a, Sync, Timeout(time.Millisecond)) })
		for range 2 {
			if err := w.h.attach(ctx, w.conn); err == nil || a.count() != 1 {
				t.Fatalf("error %v after %d calls", err, a.count())
			}
		}
		close(release)
		for w.h.sinks[0].breaker.left.Load() > 0 {
			runtime.Gosched()
		}
		if err := w.h.attach(ctx, w.conn); err != nil || a.count() != 2 {
			t.Errorf("error %v after %d calls, once it has returned", err, a.count())
		}
	})
}

// forwarderFunc is a forwarder that takes everything when the function returns.
type forwarderFunc func()

func (f forwarderFunc) Forward(context.Context, []journal.Entry) error {
	f()
	return nil
}
