package relay_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestWhySuspended: an operator sees where a sink accepts nothing, since when and why,
// until it accepts something.
func TestWhySuspended(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		w.sink.whole = fmt.Errorf("no route to \"ł\"")
		w.commit("a")
		since := w.clock.Now().UTC()
		w.start(relay.Config{Lease: offering, Program: "app", Process: "host/1"})
		w.until("the reason is there", func() bool { return len(w.state().Suspended) == 1 })
		want := relay.Suspension{Program: "app", Process: "host/1", Since: since, Reason: "error", Error: "no route to \"ł\""}
		if got := w.state().Suspended[0]; !got.Since.Equal(since) {
			t.Errorf("since %v, want %v", got.Since, since)
		} else if got.Since = want.Since; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		w.sink.set(func(s *sink) { s.whole = nil })
		w.clock.pass(time.Hour)
		w.until("it is gone", func() bool { return w.state().Suspended == nil })
		w.want("a")
	}, dbtest.PostgresEngines()...)
}

// TestLagCountsWhatWaits: not only what is tried, and at most every ten seconds.
func TestLagCountsWhatWaits(t *testing.T) {
	each(t, func(w *world) {
		lags := func() (n []int) {
			w.sink.set(func(s *sink) {
				for _, notice := range s.notices {
					if notice.Kind == hooks.NoticeLag {
						n = append(n, notice.Count)
					}
				}
			})
			return n
		}
		var names []string
		for i := range 12 {
			names = append(names, fmt.Sprint(i))
		}
		w.commit(names...)
		w.clock.pass(time.Minute)
		w.sink.whole = errTransient
		w.start(relay.Config{Batch: 5})
		w.until("it is behind", func() bool { return len(lags()) > 0 })
		if n := lags(); n[0] != 12 {
			w.Errorf("%d wait, want 12", n[0])
		}
		w.ticks(5)
		if n := lags(); len(n) != 1 {
			w.Errorf("lags %v within ten seconds, want one", n)
		}
	})
}

// TestLagOfCalls: calls of CatchUp that follow each other report one lag in ten seconds.
func TestLagOfCalls(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "b", "c")
		w.clock.pass(time.Hour)
		cfg := relay.Config{Targets: []relay.Target{w.target()}, Batch: 1, Clock: w.clock, Notify: w.sink.observe, Memory: &relay.Memory{}}
		for range 3 {
			_, err := relay.CatchUp(ctx, w.store, w.one(), cfg, relay.Share{Steps: 1})
			w.must(err)
		}
		w.want("a b c")
		if n := len(w.sink.told(hooks.NoticeLag)); n == 0 {
			w.Error("no lag is reported")
		}
		lags := 0
		w.sink.set(func(s *sink) {
			for _, n := range s.notices {
				if n.Kind == hooks.NoticeLag {
					lags++
				}
			}
		})
		if lags != 1 {
			w.Errorf("%d lags, want 1", lags)
		}
	})
}
