package relay_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestAcceptedElsewhere: a bad entry that is the only one left to try is discarded if the
// sink accepts others between its attempts, in calls that the relay does not make. While
// it accepts none, no attempt counts.
func TestAcceptedElsewhere(t *testing.T) {
	ways := map[string]func(w *world, cfg relay.Config){
		"Start": func(w *world, cfg relay.Config) { w.start(cfg) },
		"CatchUp": func(w *world, cfg relay.Config) {
			cfg.Clock, cfg.Notify, cfg.Memory = w.clock, w.sink.observe, &relay.Memory{}
			db, stop := w.one(), make(chan struct{})
			var done sync.WaitGroup
			done.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-w.clock.After(0):
					}
					if _, err := relay.CatchUp(ctx, w.store, db, cfg, relay.Share{}); err != nil {
						w.Error(err)
						return
					}
				}
			})
			w.Cleanup(func() { close(stop); done.Wait() })
		},
	}
	for way, start := range ways {
		t.Run(way, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) { testElsewhere(newWorld(t, e), start) })
		})
	}
}

func testElsewhere(w *world, start func(w *world, cfg relay.Config)) {
	var mu sync.Mutex
	var accepted time.Time
	accept := func() {
		mu.Lock()
		defer mu.Unlock()
		accepted = w.clock.Now()
	}
	target := w.target()
	target.MaxAttempts = 2
	target.Accepted = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return accepted
	}
	w.sink.whole = errTransient
	accept() // before the entry fails: the sink may have gone down since
	w.commit("bad")
	w.clock.pass(time.Minute)
	start(w, relay.Config{Targets: []relay.Target{target}})
	calls := func() (n int) {
		w.sink.set(func(s *sink) { n = s.calls })
		return n
	}
	again := func() {
		n := calls()
		w.until("it is tried again", func() bool { w.clock.pass(time.Minute); return calls() > n })
		w.ticks(2)
	}
	for range 3 {
		again()
		if n := len(w.failures(false)) + len(w.failures(true)); n > 0 {
			w.Fatalf("an attempt counts after %d calls, although the sink has accepted nothing", calls())
		}
	}
	// The first attempt is taken back once, when the entry fails without another proof.
	for i, want := range []string{"[error 1]", "[error 1 error 1]", "[error 1 error 1 error 2]"} {
		w.clock.pass(time.Second)
		accept()
		w.clock.pass(time.Second)
		again()
		if got := fmt.Sprint(w.sink.told(hooks.NoticeFailed)); got != want {
			w.Fatalf("after %d acceptances attempts %s count, want %s", i+1, got, want)
		}
		if i == 0 {
			again() // it has accepted nothing since
		}
	}
	if n := len(w.failures(true)); n != 1 {
		w.Errorf("%d entries are discarded, want 1", n)
	}
}
