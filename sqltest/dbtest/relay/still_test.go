package relay_test

import (
	"testing"
	"time"
)

// undisturbed is for tests whose subject are leases that are renewed in time, which they
// are not where the machine stands still. It runs a trial, which returns what is wrong,
// and repeats one that failed while neither the process nor its database answered for
// longer than allowed.
func undisturbed(t *testing.T, allowed time.Duration, prepare func() (w *world, trial func() string)) {
	t.Helper()
	const most = 20
	for range most {
		w, trial := prepare()
		stop, longest := make(chan struct{}), make(chan time.Duration)
		go w.watch(stop, longest)
		wrong := trial()
		close(stop)
		still := <-longest
		switch {
		case wrong == "":
			return
		case still <= allowed:
			t.Error(wrong)
			return
		}
		t.Logf("again, since nothing moved for %v: %s", still, wrong)
	}
	t.Skip("the machine stands still too often")
}

// watch measures the longest time in which the database answered nothing.
func (w *world) watch(stop <-chan struct{}, longest chan<- time.Duration) {
	var most time.Duration
	for last := time.Now(); ; {
		select {
		case <-stop:
			longest <- max(most, time.Since(last))
			return
		case <-time.After(time.Millisecond):
		}
		_ = w.db.PingContext(ctx) // for the time it takes
		now := time.Now()
		most, last = max(most, now.Sub(last)), now
	}
}
