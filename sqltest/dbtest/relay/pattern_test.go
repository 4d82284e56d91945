package relay_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// scenario is a relay and a sink in virtual time, which passes only while the relay waits
// and while the sink hangs. The first letter of an event's name is what the sink makes
// of it: good; bad, which fails each call that has it; hanging; late, with which a call
// returns when its time is up; or refused, which is refused for good, by name.
type scenario struct {
	*world
	now     time.Time
	script  []scene
	done    chan struct{}
	down    bool
	hangs   bool // while it is down
	same    bool
	busy    bool // the script goes on while the sink is called
	calls   int
	hung    int
	gone    atomic.Int64
	arrived map[string]time.Time
	waited  map[string]time.Duration
	took    map[string]int
	alone   map[string]int // calls that an entry failed alone, while the sink was up
	notices map[hooks.NoticeKind]int
	lost    map[uuid.UUID]bool // discarded
}

type scene struct {
	at time.Time
	do func()
}

const hangTime = 10 * time.Second

func newScenario(w *world) *scenario {
	return &scenario{
		world: w, now: time.Now(), done: make(chan struct{}),
		arrived: make(map[string]time.Time), waited: make(map[string]time.Duration), took: make(map[string]int), alone: make(map[string]int),
		notices: make(map[hooks.NoticeKind]int), lost: make(map[uuid.UUID]bool),
	}
}

// after adds to the script, which is in the order of its times.
func (p *scenario) after(d time.Duration, do func()) {
	at := p.now
	if n := len(p.script); n > 0 {
		at = p.script[n-1].at
	}
	p.script = append(p.script, scene{at.Add(d), do})
}

// perform plays the script to its end.
func (p *scenario) perform(batch int) {
	p.Helper()
	target := relay.Target{Name: name, MaxAttempts: 3, Timeout: lasting, Deliver: p.deliver, SameDatabase: p.same}
	r := relay.Start(p.store, p.db, relay.Config{Targets: []relay.Target{target}, Batch: batch, Lease: lasting, Notify: p.notice, Clock: p})
	defer func() { p.must(r.Stop(ctx)) }()
	select {
	case <-p.done:
	case <-time.After(dbtest.Patience):
		p.Fatal("the script does not end")
	}
}

// Now implements relay.Clock. Only the relay's one worker calls it.
func (p *scenario) Now() time.Time { return p.now }

// After implements relay.Clock: the time passes at once, up to the next scene.
func (p *scenario) After(d time.Duration) <-chan time.Time {
	if len(p.script) == 0 {
		if p.gone.Add(1) == 1 {
			close(p.done)
		}
		return nil
	}
	p.now = p.now.Add(d)
	p.play()
	now := make(chan time.Time, 1)
	now <- p.now
	return now
}

// play does what is due.
func (p *scenario) play() {
	for len(p.script) > 0 && !p.now.Before(p.script[0].at) {
		do := p.script[0].do
		p.script = p.script[1:]
		do()
	}
}

func (p *scenario) arrive(names ...string) {
	for _, n := range names {
		p.arrived[n] = p.now
	}
	p.commit(names...)
}

func (p *scenario) deliver(_ context.Context, _ *sql.DB, entries []journal.Entry) (r relay.Result) {
	p.calls++
	p.now = p.now.Add(time.Millisecond)
	if p.busy {
		defer p.play()
	}
	fail := func(hung, late bool) relay.Result {
		if hung || late {
			p.hung++
			p.now = p.now.Add(hangTime)
		}
		return relay.Result{Hung: hung, TimedOut: late, Err: failure(errTransient)}
	}
	if p.down {
		return fail(p.hangs, false)
	}
	for _, kind := range []string{"hanging", "late", "bad"} {
		for _, e := range entries {
			if strings.HasPrefix(e.Target.ID, kind) {
				if len(entries) == 1 {
					p.alone[e.Target.ID]++
				}
				return fail(kind == "hanging", kind == "late")
			}
		}
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Target.ID, "refused") {
			if r.Failed == nil {
				r.Failed = make(map[uuid.UUID]relay.Failure)
			}
			r.Failed[e.ID] = *failure(permanent{errors.New("never")})
			continue
		}
		if p.took[e.Target.ID]++; p.took[e.Target.ID] == 1 {
			p.waited[e.Target.ID] = p.now.Sub(p.arrived[e.Target.ID])
		}
	}
	return r
}

func (p *scenario) notice(n hooks.Notice) {
	p.notices[n.Kind]++
	if n.Kind == hooks.NoticeDiscarded {
		p.lost[n.Events[0]] = true
	}
}

// attempts is what is counted against entries.
func (p *scenario) attempts() (rows, attempts int) {
	for _, f := range p.failures(false) {
		rows++
		attempts += f.Attempts
	}
	return rows, attempts
}

// TestPatterns: whatever the pattern of bad events, good ones are delivered once and
// soon, and bad ones are discarded after three attempts that the sink was up for.
func TestPatterns(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		seeds := uint64(16)
		if e.Dialect == hooks.Postgres {
			seeds = 2
		}
		for seed := range seeds {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { playPattern(t, e, seed) })
		}
	})
}

func playPattern(t *testing.T, e dbtest.Engine, seed uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a pattern to be had again
	p := newScenario(newWorld(t, e))
	p.same = seed%3 == 2
	share := []float64{0.1, 0.5, 0.9}[rnd.IntN(3)]
	var names []string
	for i := range 2 + rnd.IntN(60) {
		kind := "good"
		if rnd.Float64() < share {
			kind = []string{"bad", "bad", "bad", "hanging", "late", "refused"}[rnd.IntN(6)]
		}
		names = append(names, fmt.Sprintf("%s %d", kind, i))
	}
	bad := 0
	for _, n := range names {
		if !strings.HasPrefix(n, "good") {
			bad++
		}
	}
	for left := names; len(left) > 0; { // transactions of any size
		n := 1 + rnd.IntN(len(left))
		part := left[:n]
		left = left[n:]
		p.after(time.Duration(rnd.IntN(3))*time.Second, func() { p.arrive(part...) })
	}
	for i := range 20 + 2*bad { // time for the attempts
		p.after(20*time.Second, func() { p.arrive(fmt.Sprint("good later ", i)) })
	}
	p.after(time.Minute, func() {})
	p.perform([]int{3, 500}[rnd.IntN(2)])

	// Each pause is a minute or, if the sink hangs, somewhat more.
	bound := 3 * time.Minute
	for n := range p.arrived {
		switch {
		case !strings.HasPrefix(n, "good"):
		case p.took[n] != 1 && !p.same || p.took[n] == 0: // what a probe tries is rolled back
			t.Errorf("%s was delivered %d times", n, p.took[n])
		case p.waited[n] > bound+time.Duration(bad)*2*hangTime:
			t.Errorf("%s was delivered after %v, with %d bad ones", n, p.waited[n], bad)
		}
	}
	if len(p.lost) != bad {
		t.Errorf("%d were discarded, want all %d bad ones; %+v", len(p.lost), bad, p.failures(false))
	}
	for n, calls := range p.alone {
		if calls < 3 {
			t.Errorf("%s was tried alone %d times, want at least 3", n, calls)
		}
	}
}

// TestDownPatterns: a sink that takes nothing for an hour costs few calls and no
// attempts, whatever waits and whatever it does when it goes down.
func TestDownPatterns(t *testing.T) {
	each(t, func(w *world) {
		for _, hangs := range []bool{false, true} {
			p := newScenario(w)
			p.hangs = hangs
			prefix := fmt.Sprintf("hangs=%v ", hangs)
			p.arrive("good "+prefix+"1", "bad "+prefix+"1", "good "+prefix+"2", "bad "+prefix+"2")
			rows, attempts, calls := 0, 0, 0
			p.after(5*time.Second, func() {
				rows, attempts = p.attempts()
				p.down, calls = true, p.calls
			})
			for i := range 60 {
				p.after(time.Minute, func() { p.arrive(fmt.Sprint("good "+prefix+"later ", i)) })
			}
			p.after(time.Second, func() {
				p.down, calls = false, p.calls-calls
				if r, a := p.attempts(); r != rows || a > attempts {
					t.Errorf("hangs=%v: the outage made %d attempts at %d entries out of %d at %d", hangs, a, r, attempts, rows)
				}
				// Before the first pause one that is due, two that fail together, and a
				// few probes; then four for each pause.
				if most := 12 + 4*66; calls > most {
					t.Errorf("hangs=%v: the outage cost %d calls, want at most %d", hangs, calls, most)
				}
			})
			for i := range 40 {
				p.after(20*time.Second, func() { p.arrive(fmt.Sprint("good "+prefix+"last ", i)) })
			}
			p.perform(500)
			for n := range p.arrived {
				if strings.HasPrefix(n, "good") && p.took[n] != 1 {
					t.Errorf("%s was delivered %d times", n, p.took[n])
				}
			}
			if len(p.lost) != 2 {
				t.Errorf("hangs=%v: %d were discarded, want the 2 bad ones", hangs, len(p.lost))
			}
		}
	})
}

// TestFewHang: entries behind a bad one with which a call takes all its time cost one
// timeout for each pause.
func TestFewHang(t *testing.T) {
	for _, kind := range []string{"hanging", "late"} {
		t.Run(kind, func(t *testing.T) {
			each(t, func(w *world) {
				p := newScenario(w)
				p.arrive("bad", kind+" 1", kind+" 2", kind+" 3", kind+" 4", kind+" 5", kind+" 6")
				p.after(10*time.Minute, func() {})
				p.perform(500)
				const most = 18 // of pauses in ten minutes
				if p.hung > most {
					t.Errorf("%d calls hung, want at most %d", p.hung, most)
				}
			})
		})
	}
}

// TestFewTimeOut: five among 500 with which a call takes all its time, whether it returns
// then or not, cost one such call for the 500 and one for each, and what is tried again in between.
func TestFewTimeOut(t *testing.T) {
	each(t, func(w *world) {
		for _, kind := range []string{"late", "hanging"} {
			p := newScenario(newWorld(w.T, w.e)) // its time begins now
			var names []string
			for i := range 500 {
				name := fmt.Sprintf("good %s %d", kind, i)
				if i%100 == 77 {
					name = fmt.Sprintf("%s %d", kind, i)
				}
				names = append(names, name)
			}
			p.arrive(names...)
			p.after(10*time.Second, func() {})
			p.perform(500)
			for n, d := range p.waited {
				if most := 8 * hangTime; d > most {
					t.Errorf("%s was delivered after %v, want at most %v", n, d, most)
				}
			}
			if len(p.took) != 495 || p.hung < 6 {
				t.Errorf("%s: %d were delivered and %d calls took all their time, want 495 and at least 6", kind, len(p.took), p.hung)
			}
		}
	})
}

// TestStorm: events with which a call takes all its time, and which come again and again,
// do not keep good ones waiting that come meanwhile.
func TestStorm(t *testing.T) {
	each(t, func(w *world) {
		p := newScenario(w)
		p.busy = true
		const minutes = 10
		for i := range minutes * 60 {
			p.after(time.Second, func() {
				names := []string{fmt.Sprint("good ", i), fmt.Sprint("good too ", i)}
				if i%25 == 0 {
					names[1] = fmt.Sprint("late ", i)
				}
				p.arrive(names...)
			})
		}
		p.after(5*time.Minute, func() {})
		p.perform(500)
		var longest time.Duration
		for n := range p.arrived {
			if d := p.waited[n]; strings.HasPrefix(n, "good") {
				longest = max(longest, d)
				if p.took[n] != 1 {
					t.Errorf("%s was delivered %d times", n, p.took[n])
				}
			}
		}
		if t.Logf("a good one waited %v at most", longest); longest > 12*hangTime {
			t.Errorf("a good one waited %v", longest)
		}
	})
}
