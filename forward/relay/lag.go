package relay

import (
	"context"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// tellLag notifies observers, at most every ten seconds, that the target is behind.
func (w *worker) tellLag(ctx context.Context, entries []journal.Entry, trailing string) error {
	const late = 10 * time.Second
	if len(entries) == 0 || entries[0].RecordedAt.IsZero() {
		return nil
	}
	now := w.relay.cfg.Clock.Now()
	lag := now.Sub(entries[0].RecordedAt) - w.target.Grace
	if lag <= late || !w.relay.cfg.Memory.lagDue(w.target.Name, now) {
		return nil
	}
	// To count them would read them all.
	low, high, err := w.relay.store.waiting(ctx, w.conn, w.cursor, trailing)
	if err == nil && high > 0 {
		w.notify(hooks.Notice{Kind: hooks.NoticeLag, Duration: lag, Count: int(high - low + 1)})
	}
	return err
}
