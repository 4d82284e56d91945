package relay

import (
	"context"
	"sync"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Lags spaces out the notices of forwarders that are behind. The zero value is ready.
type Lags struct {
	mu   sync.Mutex
	told map[string]time.Time
}

// due reports whether there may be another one, and notes it.
func (l *Lags) due(forwarder string, now time.Time) bool {
	const every = 10 * time.Second
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.told[forwarder]; ok && now.Sub(last) < every {
		return false
	}
	if l.told == nil {
		l.told = make(map[string]time.Time)
	}
	l.told[forwarder] = now
	return true
}

// tellLag notifies observers, at most every ten seconds, that the target is behind.
func (w *worker) tellLag(ctx context.Context, entries []journal.Entry, trailing string) error {
	const late = 10 * time.Second
	if len(entries) == 0 || entries[0].RecordedAt.IsZero() {
		return nil
	}
	now := w.relay.cfg.Clock.Now()
	lag := now.Sub(entries[0].RecordedAt) - w.target.Grace
	if lag <= late || !w.relay.cfg.Lags.due(w.target.Name, now) {
		return nil
	}
	// To count them would read them all.
	low, high, err := w.relay.store.waiting(ctx, w.conn, w.cursor, trailing)
	if err == nil && high > 0 {
		w.notify(hooks.Notice{Kind: hooks.NoticeLag, Duration: lag, Count: int(high - low + 1)})
	}
	return err
}
