package river_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestJobsOfAnotherProgram: the program that works jobs is warned once if the forwarder
// is another in the one that has enqueued them. The jobs are worked.
func TestJobsOfAnotherProgram(t *testing.T) {
	each(t, func(w *world) {
		enqueue := func(identity string, ids ...int) {
			w.start(forward.Async, forward.RelayElsewhere, forward.Identity(identity))
			for _, id := range ids {
				w.commit(id)
			}
			w.must(w.db.Close())
		}
		enqueue("same", 1)
		enqueue("other", 2, 3)
		enqueue("same", 4)
		w.work() // of the last one
		w.untilJobs("completed 1, completed 1, completed 1, completed 1")
		if n, _ := w.sink.count(func(n hooks.Notice) bool { return n.Kind == hooks.NoticeConflict }); n != 1 {
			t.Errorf("%d warnings, want 1", n)
		}
	})
}
