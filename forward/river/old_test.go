package river_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestOldJobs: of a job that an earlier version has enqueued and tried, what its forwarder
// has not accepted is delivered, in any attempt that is left to it.
func TestOldJobs(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere, forward.MaxAttempts(3))
		w.commit(1, 2, 3)
		// Of three attempts, two have failed with the last two events.
		old := `UPDATE river_job SET attempt = 2, max_attempts = 3, state = 'available',
			args = (args - 'seconds' - 'max_attempts' - 'at') || '{"timeout": 900000000000}', metadata = jsonb_build_object('aftercommit_rest', (args -> 'events') - 0)`
		if w.e.Dialect == hooks.SQLite {
			old = `UPDATE river_job SET attempt = 2, max_attempts = 3, state = 'available',
			args = jsonb_set(jsonb_remove(args, '$.seconds', '$.max_attempts', '$.at'), '$.timeout', 900000000000),
			metadata = jsonb_object('aftercommit_rest', jsonb_remove(args -> '$.events', '$[0]'))`
		}
		w.must(w.bare.ExecContext(ctx, old))
		w.behind(2, 0, 0)
		fails := true
		w.sink.answer = func(_ context.Context, _ int, entries []journal.Entry) error {
			if fails && len(entries) == 1 && entries[0].Target.ID == "3" || fails && len(entries) > 1 {
				return errors.New("bad")
			}
			return nil
		}
		w.work()
		w.untilJobs("discarded 3")
		w.told(hooks.NoticeDiscarded, 1, "error")
		w.behind(0, 0, 1)
		fails = false
		w.retry(1)
		w.untilJobs("completed 4")
		if calls := w.sink.calls(); strings.Contains(calls, "1") {
			t.Errorf("the one that was accepted before is in %s", calls)
		}
	})
}

// TestJobsAreNotForEarlierVersions: these compare the place of a job with theirs, and leave it if it
// is another. They would not find the events.
func TestJobsAreNotForEarlierVersions(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere)
		w.commit(1)
		place := "args ->> 'place'"
		if w.e.Dialect == hooks.SQLite {
			place = "args ->> '$.place'"
		}
		var got string
		w.must(w.bare.QueryRowContext(ctx, "SELECT "+place+" FROM river_job").Scan(&got))
		if got != "a program of a later version of aftercommit" {
			t.Errorf("a program of an earlier version takes a job of the place %q", got)
		}
		w.work()
		w.untilJobs("completed 1")
	})
}
