package relay

import (
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestNextWithoutALease: a worker that is to wait for one moment does not turn for another that
// has passed.
func TestNextWithoutALease(t *testing.T) {
	const ttl = 11 * time.Second
	s, err := New(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	ahead := now.Add(time.Hour)
	for name, test := range map[string]struct {
		prepare func(w *worker)
		want    time.Duration
	}{
		"a doubt that is over, above the share":                     {func(w *worker) { w.freeSince = now }, ttl},
		"a doubt that is over, while it leaves the lease to others": {func(w *worker) { w.absent = now.Add(time.Minute) }, time.Minute},
		"free for long, while it leaves the lease to others": {func(w *worker) {
			w.absent, w.freeSince, w.doubted = now.Add(time.Minute), now.Add(-time.Hour), nil
		}, time.Minute},
		"a doubt": {func(w *worker) { w.doubted.since = now }, 2*ttl + time.Minute},
	} {
		r := newRelay(s, nil, Config{Targets: []Target{{Name: "a", Timeout: time.Minute}}, Lease: ttl})
		w := r.workers[0]
		w.doubted = &doubted{fence: 1, until: ahead, since: now.Add(-time.Hour)}
		if !w.doubt(&leaseStatus{tooFarAhead: true, fence: 1, until: ahead}) {
			t.Errorf("%s: it is not over after an hour", name)
		}
		test.prepare(w)
		if d, timed := w.untilNext(now); d != test.want || !timed {
			t.Errorf("%s: it waits for %v, %t, want %v", name, d, timed, test.want)
		}
	}
}

// TestDoubtOutlivesACall: where no renewer renews a lease, it lives for a call without a change.
func TestDoubtOutlivesACall(t *testing.T) {
	s, err := New(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	const ttl, call = 11 * time.Second, time.Minute
	w := newRelay(s, nil, Config{Targets: []Target{{Name: "a", Timeout: call}}, Lease: ttl}).workers[0]
	st := &leaseStatus{tooFarAhead: true, fence: 1, until: time.Now().Add(time.Hour)}
	for ago, want := range map[time.Duration]bool{2*ttl + call/2: false, 2*ttl + call + time.Second: true} {
		w.doubted = &doubted{fence: 1, until: st.until, since: time.Now().Add(-ago)}
		if got := w.doubt(st); got != want {
			t.Errorf("not renewed for %v: over is %t", ago, got)
		}
	}
}
