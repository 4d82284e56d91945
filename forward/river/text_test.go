package river_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestAnyErrorText: whatever the text of a sink's error is, River can store the result of
// the job, and of those that end beside it. What a sink panics with has such a text too.
func TestAnyErrorText(t *testing.T) {
	texts := []string{"a\x00b", "a\xffb", "ł", strings.Repeat("x", 400), strings.Repeat("é", 400)}
	eachOf(t, func(w *world) {
		w.sink.answer = func(_ context.Context, _ int, entries []journal.Entry) error {
			switch n, _ := strconv.Atoi(entries[0].Target.ID); {
			case n >= 3*len(texts):
				return nil
			case n%3 == 0:
				return errors.New(texts[n/3])
			case n%3 == 1:
				panic(texts[n/3])
			default:
				return forward.Permanent("never", errors.New(texts[n/3]))
			}
		}
		w.start(forward.Async, forward.RelayElsewhere, forward.MaxAttempts(1))
		var want []string
		for n := range 3 * len(texts) {
			w.commit(n)
			want = append(want, []string{"discarded 1", "discarded 1", "cancelled 1"}[n%3])
		}
		w.work()
		w.feedUntil(strings.Join(want, ", "))
	}, encoded()...)
}

// TestForwarderNotInASCII: its jobs are inserted and found on every server.
func TestForwarderNotInASCII(t *testing.T) {
	eachOf(t, func(w *world) {
		w.start(forward.Async, forward.RelayInProcess, forward.ID("zamówienia-łódź"))
		w.commit(1)
		w.untilJobs("completed 1")
		w.delivered("1")
		w.told(hooks.NoticeDelivered, 1, "")
	}, encoded()...)
}

// encoded are the engines, and PostgreSQL with an encoding that lacks most characters.
func encoded() []dbtest.Engine {
	engines := dbtest.Engines()
	for _, e := range dbtest.PostgresEngines() {
		engines = append(engines, e.With(e.Name+"-LATIN1", func(tb testing.TB) string {
			tb.Helper()
			return dbtest.Shared(tb).Encoded(tb, "LATIN1")
		}))
	}
	return engines
}
