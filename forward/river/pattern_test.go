package river_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// failing makes the sink fail each call that has one of these orders.
func (w *world) failing(how func(context.Context) error, bad ...int) {
	w.sink.answer = func(ctx context.Context, _ int, entries []journal.Entry) error {
		for _, e := range entries {
			for _, id := range bad {
				if e.Target.ID == fmt.Sprint(id) {
					return how(ctx)
				}
			}
		}
		return nil
	}
}

func fails(context.Context) error { return errAway }

// timesOut returns, but only when its time is over.
func timesOut(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestPatterns: whatever the pattern of a transaction's bad events, the good ones get
// through, and attempts of the bad ones count once others show that the sink is up.
func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events int
		bad    []int
		how    func(context.Context) error
	}{
		{"one", 1, []int{1}, fails},
		{"at both ends", 5, []int{1, 5}, fails},
		{"three in a row", 6, []int{1, 2, 3}, fails},
		{"all but one", 12, []int{1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12}, fails}, // and none of the first five that are tried
		{"times out at both ends", 5, []int{1, 5}, timesOut},
		{"in three calls", 1100, []int{1, 501, 502, 503, 1100}, fails},
		{"two whole calls, and one more", 1003, upTo(1001), fails},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(w *world) {
				w.failing(tt.how, tt.bad...)
				w.start(forward.Async, forward.RelayInProcess, forward.MaxAttempts(2), forward.Timeout(time.Second))
				w.commit(upTo(tt.events)...)
				good := tt.events - len(tt.bad)
				if good > 0 {
					w.until("the good ones are delivered", func() bool {
						n, _ := w.sink.count(func(n hooks.Notice) bool { return n.Kind == hooks.NoticeDelivered })
						return n == good
					}, w.jobs)
				}
				w.told(hooks.NoticeDiscarded, 0, "")
				w.feedUntil("discarded 2")
				discarded := func() int {
					n, _ := w.sink.count(func(n hooks.Notice) bool { return n.Kind == hooks.NoticeDiscarded })
					return n
				}
				next := 1 << 21 // of the feed: other jobs may need more of it
				w.until("those of the other jobs are discarded", func() bool {
					if discarded() >= len(tt.bad) {
						return true
					}
					next++
					w.commit(next)
					return false
				}, w.jobs)
				if n := discarded(); n != len(tt.bad) {
					w.Errorf("%d are discarded, want %d", n, len(tt.bad))
				}
				for _, call := range strings.Split(w.sink.calls(), ", ") {
					if n := len(strings.Fields(call)); n > 500 {
						t.Errorf("a call had %d events", n)
					}
				}
				w.once(good, tt.bad)
			})
		})
	}
}

func upTo(n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i + 1
	}
	return ids
}

// feedUntil commits good events until the first job is as wanted.
func (w *world) feedUntil(want string) {
	w.Helper()
	next := 1 << 20
	w.until("the first job is "+want, func() bool {
		next++
		w.commit(next)
		return strings.HasPrefix(w.jobs()+",", want+",")
	}, func() string { first, _, _ := strings.Cut(w.jobs(), ","); return first })
}

// once checks that good events up to the feed's were accepted once each.
func (w *world) once(good int, bad []int) {
	w.Helper()
	accepted := make(map[string]int)
	for _, call := range strings.Split(w.sink.calls(), ", ") {
		ids := strings.Fields(call)
		if !slices.ContainsFunc(ids, func(id string) bool {
			return slices.ContainsFunc(bad, func(b int) bool { return fmt.Sprint(b) == id })
		}) {
			for _, id := range ids {
				if len(id) < 6 { // not of the feed
					accepted[id]++
				}
			}
		}
	}
	for id, n := range accepted {
		if n != 1 {
			w.Errorf("%s was accepted %d times", id, n)
		}
	}
	if len(accepted) != good {
		w.Errorf("%d were accepted, want %d", len(accepted), good)
	}
}

// TestSinkDown: a sink that accepts nothing for longer than all attempts would last costs
// none of them.
func TestSinkDown(t *testing.T) {
	each(t, func(w *world) {
		down := true
		w.sink.answer = func(context.Context, int, []journal.Entry) error {
			if down {
				return errAway
			}
			return nil
		}
		w.start(forward.Async, forward.RelayInProcess, forward.MaxAttempts(1))
		w.commit(1, 2)
		w.commit(3)
		w.until("each is tried twice", func() bool {
			n := strings.Count(w.sink.calls()+",", "3,")
			return n > 1 && strings.Count(w.sink.calls(), "1 2") > 1
		}, w.sink.calls)
		w.told(hooks.NoticeDiscarded, 0, "")
		w.told(hooks.NoticeSuspended, 1, "error")
		w.sink.mu.Lock()
		w.sink.answer = nil
		w.sink.mu.Unlock()
		w.untilJobs("completed 1, completed 1")
		w.told(hooks.NoticeDelivered, 3, "")
		w.told(hooks.NoticeResumed, 1, "")
		w.told(hooks.NoticeDiscarded, 0, "")
	})
}

// TestLoneBadEvent: a sink that refuses a single event, and is called with no other, is
// suspended once at most. It is suspended again when it refuses another one.
func TestLoneBadEvent(t *testing.T) {
	each(t, func(w *world) {
		w.failing(fails, 1, 3)
		w.start(forward.Async, forward.RelayInProcess)
		w.commit(1)
		told := func(kind hooks.NoticeKind) int {
			n, _ := w.sink.count(func(n hooks.Notice) bool { return n.Kind == kind })
			return n
		}
		w.until("it is suspended", func() bool { return told(hooks.NoticeSuspended) > 0 }, w.sink.calls)
		w.commit(2)
		w.until("an attempt counts", func() bool { return told(hooks.NoticeFailed) > 0 }, w.sink.calls)
		calls := strings.Count(w.sink.calls(), "1")
		w.until("it is tried again", func() bool { return strings.Count(w.sink.calls(), "1") >= calls+2 }, w.sink.calls)
		w.told(hooks.NoticeSuspended, 1, "error")
		w.told(hooks.NoticeResumed, 1, "")
		w.commit(3)
		w.until("it is suspended again", func() bool { return told(hooks.NoticeSuspended) > 1 }, w.sink.calls)
	})
}

// TestHangs: of a job whose call does not return, the good events get through, each in a
// call by itself.
func TestHangs(t *testing.T) {
	each(t, func(w *world) {
		release := make(chan struct{})
		w.failing(func(context.Context) error { <-release; return nil }, 2)
		w.start(forward.Async, forward.RelayInProcess, forward.Timeout(100*time.Millisecond))
		w.commit(1, 2, 3)
		w.until("the good ones are delivered", func() bool {
			n, _ := w.sink.count(func(n hooks.Notice) bool { return n.Kind == hooks.NoticeDelivered })
			return n == 2
		}, w.sink.calls)
		close(release)
		w.until("so is the other", func() bool { return strings.HasPrefix(w.jobs(), "completed") }, w.jobs)
		if got := w.sink.calls(); !strings.HasPrefix(got, "1 2 3, 1, 2, 3") {
			t.Errorf("the sink was called with [%s]", got)
		}
		w.told(hooks.NoticeDiscarded, 0, "")
	})
}

// TestStopInACall: a call that ends because the process is stopped does not suspend the sink.
func TestStopInACall(t *testing.T) {
	each(t, func(w *world) {
		_ = w.stopInACall(context.Context.Err) // which says that it did not wait
		w.work()
		w.untilJobs("completed 1")
		w.delivered("1, 1")
		w.told(hooks.NoticeSuspended, 0, "")
	})
}

// TestStopBetweenCalls: what an attempt has found out when the process is stopped is not
// lost, and a call has its events in the order of the journal.
func TestStopBetweenCalls(t *testing.T) {
	each(t, func(w *world) {
		begun := make(chan struct{})
		w.sink.answer = func(ctx context.Context, call int, entries []journal.Entry) error {
			if call == 4 {
				close(begun)
				<-ctx.Done()
				return nil // accepted all the same
			}
			if first := entries[0].Target.ID; first == "1" || first == "5" {
				return errAway
			}
			return nil
		}
		w.start(forward.Async, forward.RelayInProcess)
		w.commit(1, 2, 3, 4, 5)
		<-begun
		over, cancel := context.WithCancel(ctx)
		cancel()
		_ = w.hub.Close(over) // which says that it did not wait
		if got := w.jobs(); got != "available 0" {
			t.Errorf("jobs: %s", got)
		}
		w.work()
		w.until("the rest is delivered", func() bool { return strings.Contains(w.sink.calls(), ", 1, 5, 4, 1 2 5, 1, 2 5") }, w.sink.calls)
		if got := w.sink.calls(); !strings.HasPrefix(got, "1 2 3 4 5, 1, 5, 3, 1 2 4 5, ") {
			t.Errorf("the sink was called with [%s]", got)
		}
	})
}
