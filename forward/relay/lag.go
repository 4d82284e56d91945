package relay

import (
	"context"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// notifyLag notifies observers, at most every ten seconds, that the target is behind.
func (w *worker) notifyLag(ctx context.Context, batch []candidate, trailing string) error {
	const late = 10 * time.Second
	if len(batch) == 0 || batch[0].entry.RecordedAt.IsZero() {
		return nil
	}
	now := w.relay.cfg.Clock.Now()
	lag := now.Sub(batch[0].entry.RecordedAt) - w.target.Grace
	if lag <= late || !w.relay.cfg.Memory.lagDue(w.target.Name, now) {
		return nil
	}
	if was := w.waiting.lag; lag > 2*was || lag < was/2 {
		n, err := w.store().few(ctx, w.conn, w.cursor, trailing)
		if err != nil {
			return err
		}
		w.waiting = waiting{lag, n}
	}
	if w.waiting.entries > 0 {
		w.notify(hooks.Notice{Kind: hooks.NoticeLag, Duration: lag, Count: w.waiting.entries})
	}
	return nil
}

// waiting is how many entries waited when the lag was so long. They are counted again once it
// is twice as long, or half.
type waiting struct {
	lag     time.Duration
	entries int
}

// few counts the entries that c has yet to pass, in a thousand rows at most: to count them all
// would read them all.
func (s *Store) few(ctx context.Context, q querier, c *cursor, trailing string) (n int, err error) {
	const most = 1000
	for _, from := range s.streams() {
		var some int
		err = q.QueryRowContext(ctx, "SELECT coalesce("+s.d.fn("sum")+"(n), 0) FROM (SELECT e.events - "+s.d.passed(c.at)+" AS n FROM "+s.pending(from, c, trailing)+s.d.after(s.d.low(c))+
			" ORDER BY "+from.order+" LIMIT "+itoa(most)+") few").Scan(&some)
		if err != nil {
			return 0, wrap("count what waits", c.name, err)
		}
		n += some
	}
	return n, nil
}
