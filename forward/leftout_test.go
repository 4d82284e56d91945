package forward

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// asked is an absent forwarder that notes when it is attached.
type asked struct {
	absent
	last atomic.Int64 // in ns since 1970
}

func (a *asked) Attach(ctx context.Context, db *sql.DB) error {
	a.last.Store(time.Now().UnixNano())
	return a.absent.Attach(ctx, db)
}

// TestAttachAgain: attempts follow each other less and less often until one forwarder can
// be attached, and then quickly again: the others may lack the same.
func TestAttachAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := new(asked), new(asked)
		w := newWorld(t, func(h *Hub) {
			h.Register(first, Auto, ID("first"))
			h.Register(second, Auto, ID("second"))
		})
		d := w.haveQueue(new(moodyQueue))
		if err := d.attach(ctx, w.conn); err != nil {
			t.Fatal(err)
		}
		d.lookAgain(nil)
		attempts := func(since time.Time, d time.Duration) string {
			var after []time.Duration
			for last := second.last.Load(); time.Since(since) < d; time.Sleep(firstPause) {
				synctest.Wait()
				if now := second.last.Load(); now != last {
					after, last = append(after, time.Unix(0, now).Sub(since)), now
				}
			}
			return fmt.Sprint(after)
		}
		const s = time.Second
		if got, want := attempts(time.Now(), 20*s), fmt.Sprint([]time.Duration{s / 4, 3 * s / 4, 7 * s / 4, 15 * s / 4, 31 * s / 4, 63 * s / 4}); got != want {
			t.Errorf("attempts after %s, want %s", got, want)
		}
		first.ready.Store(true)
		attempts(time.Now(), 127*s/4-20*s)
		synctest.Wait()
		now := time.Unix(0, first.last.Load())
		if d.queue.given[0].off.Load() {
			t.Fatal("the first is not attached")
		}
		if got, want := attempts(now, 5*s), fmt.Sprint([]time.Duration{s / 4, 3 * s / 4, 7 * s / 4, 15 * s / 4}); got != want {
			t.Errorf("attempts after one was attached: after %s, want %s", got, want)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}
