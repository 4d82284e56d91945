package relay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

func entriesOf(names ...string) []journal.Entry {
	entries := make([]journal.Entry, len(names))
	for i, n := range names {
		entries[i] = journal.Entry{Event: hooks.Event{ID: uuid.New(), Target: hooks.Target{ID: n}}}
	}
	return entries
}

// picky is a sink that fails calls which have a bad entry, and hangs in those that have a
// slow one.
type picky struct {
	calls    int
	accepted map[uuid.UUID]int
}

func (p *picky) call(part []journal.Entry) ([]journal.Entry, Result) {
	p.calls++
	for _, e := range part {
		switch e.Target.ID {
		case "bad":
			return part, Result{Err: &Failure{Reason: "error", Err: errors.New("bad")}}
		case "late":
			return part, Result{TimedOut: true, Err: &Failure{Reason: "timeout", Err: errors.New("late")}}
		case "slow":
			return part, Result{Hung: true, Err: &Failure{Reason: "timeout", Err: errors.New("slow")}}
		case "dry":
			return part, Result{Starved: errNoTurn, Err: &Failure{Reason: reasonStarved, Err: errNoTurn}}
		}
	}
	for _, e := range part {
		p.accepted[e.ID]++
	}
	return part, Result{}
}

func (p *picky) trial() Trial {
	p.calls, p.accepted = 0, make(map[uuid.UUID]int)
	return Trial{Call: p.call, Stop: func() *Failure { return nil }}
}

// TestTrial: each good entry is accepted once, and each bad one has failed, if the sink
// accepts one of the first few or is known to be up. If not, nothing is said of any.
func TestTrial(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a case to be had again
		names := make([]string, 1+rnd.IntN(50))
		bad := 1 + rnd.IntN(20)
		for i := range names {
			if names[i] = "good"; rnd.IntN(20) < bad {
				names[i] = "bad"
			}
		}
		entries := entriesOf(names...)
		var p picky
		trial := p.trial()
		trial.Up = rnd.IntN(2) == 0
		f := trial.Run(entries)
		if !trial.Up && !f.Proved {
			if len(f.Untried) != len(entries) || len(f.Failed) > 0 || p.calls > 1+aloneProbes || f.Why.Err == nil {
				t.Fatalf("seed %d: a sink that is down has %+v after %d calls", seed, f, p.calls)
			}
			continue
		}
		for _, e := range entries {
			_, failed := f.Failed[e.ID]
			if isBad := e.Target.ID == "bad"; failed != isBad || (p.accepted[e.ID] == 1) == isBad {
				t.Fatalf("seed %d: %s has failed: %v, accepted %d times", seed, e.Target.ID, failed, p.accepted[e.ID])
			}
		}
		if most := 2*len(entries) + aloneProbes; len(f.Untried) > 0 || len(f.Accepted) != len(p.accepted) || p.calls > most {
			t.Fatalf("seed %d: %d untried, %d calls for %d entries", seed, len(f.Untried), p.calls, len(entries))
		}
	}
}

// TestTrialTurns: one good entry among any number of bad ones is found, wherever it is.
func TestTrialTurns(t *testing.T) {
	for _, n := range []int{7, 300, 1100} {
		for _, good := range []int{0, 1, n / 3, n - 2, n - 1} {
			names := strings.Fields(strings.Repeat("bad ", n))
			names[good] = "good"
			entries := entriesOf(names...)
			found := false
			for turn := 0; turn <= (n+aloneProbes-1)/aloneProbes && !found; turn++ {
				var p picky
				trial := p.trial()
				trial.Turn = turn
				f := trial.Run(entries)
				found = f.Proved
				if found && (len(f.Failed) != n-1 || len(f.Accepted) != 1) {
					t.Errorf("%d among %d: %d failed, %d accepted", good, n, len(f.Failed), len(f.Accepted))
				}
			}
			if !found {
				t.Errorf("%d among %d was not found", good, n)
			}
		}
	}
}

// TestTrialComesBack: what a sink has refused before it accepted anything is tried again, so
// that its return in the middle of an attempt costs no entry the attempt.
func TestTrialComesBack(t *testing.T) {
	for back := range 12 {
		entries := entriesOf("a", "bad", "b", "c", "d", "e", "f")
		var p picky
		trial := p.trial()
		trial.Call = func(part []journal.Entry) ([]journal.Entry, Result) {
			if p.calls < back {
				p.calls++
				return part, Result{Err: &Failure{Reason: "error", Err: errors.New("away")}}
			}
			return p.call(part)
		}
		f := trial.Run(entries)
		switch {
		case !f.Proved && len(f.Untried) == len(entries):
		case len(f.Accepted) == 6 && len(f.Failed) == 1 && f.Failed[entries[1].ID].Err != nil && len(f.Untried) == 0:
		default:
			t.Errorf("back after %d calls: %+v", back, f)
		}
	}
}

// TestTrialHangs: a call that does not return ends the attempt; one by one, only a bad
// entry is left behind each time.
func TestTrialHangs(t *testing.T) {
	entries := entriesOf("a", "slow", "b", "slow", "c")
	var p picky
	if f := p.trial().Run(entries); !f.Several || len(f.Untried) != 5 || p.calls != 1 {
		t.Errorf("together: %+v, %d calls", f, p.calls)
	}
	trial := p.trial()
	trial.OneByOne, trial.Up = true, true
	f := trial.Run(entries)
	if f.Several || len(f.Accepted) != 1 || f.Failed[entries[1].ID].Reason != "timeout" || len(f.Untried) != 3 || p.calls != 2 {
		t.Errorf("one by one: %+v, %d calls", f, p.calls)
	}
}

// TestTrialStarves: a call that got no connection says nothing, and ends the attempt.
func TestTrialStarves(t *testing.T) {
	for _, names := range [][]string{{"dry"}, {"a", "dry", "b"}} {
		entries := entriesOf(names...)
		for _, oneByOne := range []bool{false, true} {
			var p picky
			trial := p.trial()
			trial.Up, trial.OneByOne = true, oneByOne
			f := trial.Run(entries)
			accepted := 0
			if oneByOne {
				accepted = len(entries) / 2
			}
			if !errors.Is(f.Starved, errNoTurn) || f.Several || len(f.Failed) != 0 || len(f.Accepted) != accepted ||
				len(f.Untried) != len(entries)-accepted || f.Why.Reason != reasonStarved || p.calls != 1+accepted {
				t.Errorf("%q, one by one %v: %+v, %d calls", names, oneByOne, f, p.calls)
			}
		}
	}
}

// TestTrialTimesOut: after a call that has returned, but took all its time, the attempt
// goes on one by one, and each bad entry costs one more of these.
func TestTrialTimesOut(t *testing.T) {
	entries := entriesOf("a", "late", "b", "late", "c", "d", "e", "f")
	var p picky
	f := p.trial().Run(entries)
	if !f.Several || len(f.Accepted) != 6 || len(f.Failed) != 2 || len(f.Untried) != 0 || p.calls != 1+8 {
		t.Errorf("%+v, %d calls", f, p.calls)
	}
	f = p.trial().Run(entriesOf("late", "late", "late", "late", "late", "late"))
	if f.Proved || !f.Several || len(f.Untried) != 6 || p.calls != 1+aloneProbes {
		t.Errorf("all of them: %+v, %d calls", f, p.calls)
	}
	stop := p.trial()
	stop.Stop = func() *Failure {
		if p.calls > 0 {
			return &Failure{Reason: "timeout", Err: errors.New("the attempt's time is up")}
		}
		return nil
	}
	if f = stop.Run(entries); f.Several || len(f.Untried) != len(entries) {
		t.Errorf("cut short: %+v", f)
	}
}

// TestTrialStops: what is cut short says nothing of an entry, also if the sink is up.
func TestTrialStops(t *testing.T) {
	for _, after := range []int{0, 1, 2, 3} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			entries := entriesOf("bad", "a", "bad", "b")
			var p picky
			trial := p.trial()
			trial.Up = true
			trial.Stop = func() *Failure {
				if p.calls < after {
					return nil
				}
				return &Failure{Reason: "over"}
			}
			f := trial.Run(entries)
			if p.calls != after || len(f.Untried) != 4 || f.Why.Reason != "over" { // the third has a single entry
				t.Errorf("%+v after %d calls", f, p.calls)
			}
		})
	}
}

// TestTrialFilter: what the filter keeps from the sink is neither accepted nor a failure.
func TestTrialFilter(t *testing.T) {
	entries := entriesOf("a", "b")
	f := Trial{Stop: func() *Failure { return nil }, Call: func(part []journal.Entry) ([]journal.Entry, Result) {
		return part[:1], Result{Filtered: 1, Err: &Failure{Permanent: true, Err: errors.New("never")}}
	}}.Run(entries)
	if len(f.Failed) != 1 || len(f.Untried) != 0 || len(f.Accepted) != 0 || !f.Proved {
		t.Errorf("%+v", f)
	}
}
