package river_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestRetryAfterCancel: an operator cancels a job during its last attempt, and has it tried
// again.
func TestRetryAfterCancel(t *testing.T) {
	each(t, func(w *world) {
		w.sink.answer = func(_ context.Context, call int, _ []journal.Entry) error {
			if call > 1 {
				return nil
			}
			return errors.Join(errAway, w.cancel(1))
		}
		w.start(forward.Async, forward.RelayInProcess, forward.MaxAttempts(1))
		w.commit(1)
		w.untilJobs("cancelled 1")
		w.retry(1)
		w.untilJobs("completed 2")
		w.delivered("1, 1")
		w.told(hooks.NoticeDiscarded, 0, "")
	})
}

// cancel has a job cancelled once its attempt ends. It writes what River's JobCancel writes,
// without its notification: that may reach the workers as late as the next attempt, and end
// it too.
func (w *world) cancel(job int64) error {
	set := "jsonb_set(metadata, '{cancel_attempted_at}', to_jsonb(now()))"
	if w.e.Dialect == hooks.SQLite {
		set = "jsonb_set(metadata, '$.cancel_attempted_at', datetime('now'))"
	}
	_, err := w.bare.ExecContext(ctx, w.e.Rebind("UPDATE river_job SET metadata = "+set+" WHERE id = ?"), job)
	return err
}

// TestRetryAfterDeaths: a process has died in an attempt. River, or a worker, gives the job
// up if it has no other attempt; what an operator has tried again is tried.
func TestRetryAfterDeaths(t *testing.T) {
	for _, tt := range []struct {
		name                             string
		of, died, rescued, maxAttempts   int // maxAttempts is River's
		bad                              bool
		state, retried, first, delivered string
		notices                          int
		reason                           string
	}{
		{"in the first of two", 2, 1, 0, 3, false, "completed 2", "", "1 2", "", 0, ""},
		{"in the last", 2, 2, 0, 3, false, "discarded 3", "completed 4", "", "1 2", 2, "died"},
		{"in both", 2, 2, 1, 3, false, "discarded 3", "completed 4", "", "1 2", 2, "died"},
		{"in one that was retried", 2, 3, 0, 3, false, "discarded 3", "completed 4", "", "1 2", 0, ""},
		{"in two that were retried", 2, 4, 1, 4, false, "discarded 4", "completed 5", "", "1 2", 0, ""},
		{"while it was discarded", 2, 3, 1, 3, false, "discarded 3", "completed 4", "", "1 2", 0, ""},
		{"in the first, and the last fails", 2, 1, 0, 3, true, "discarded 2", "completed 3", "1 2, 1, 2", "2", 1, "error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(w *world) {
				if tt.bad {
					w.failing(fails, 2)
				}
				w.start(forward.Async, forward.RelayElsewhere, forward.MaxAttempts(tt.of))
				w.commit(1, 2)
				w.diedIn(tt.died, tt.rescued, tt.maxAttempts)
				w.work()
				w.untilJobs(tt.state)
				w.delivered(tt.first)
				w.told(hooks.NoticeDiscarded, tt.notices, tt.reason)
				if tt.retried == "" {
					return
				}
				w.sink.mu.Lock()
				w.sink.answer, w.sink.got = nil, nil
				w.sink.mu.Unlock()
				w.retry(1)
				w.untilJobs(tt.retried)
				w.delivered(tt.delivered)
			})
		})
	}
}

// diedIn makes the only job one whose process has died in an attempt, long ago, after so
// many rescues.
func (w *world) diedIn(attempt, rescues, maxAttempts int) {
	w.Helper()
	metadata := "'{}'"
	if rescues > 0 {
		metadata = fmt.Sprintf(`'{"river:rescue_count": %d}'`, rescues)
	}
	if w.e.Dialect == hooks.SQLite {
		metadata = "jsonb(" + metadata + ")"
	}
	w.must(w.bare.ExecContext(ctx, fmt.Sprintf("UPDATE river_job SET state = 'running', attempt = %d, max_attempts = %d, attempted_at = %s, metadata = %s",
		attempt, maxAttempts, w.past("20 minutes"), metadata)))
}
