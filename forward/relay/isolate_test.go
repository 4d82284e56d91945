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

// TestIsolate: each good entry is accepted once, and each bad one fails, if the sink
// accepts one of the first few.
func TestIsolate(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a case to be had again
		names := make([]string, 2+rnd.IntN(50))
		for i := range names {
			names[i] = []string{"good", "bad"}[rnd.IntN(2)]
		}
		entries := entriesOf(names...)
		got, calls := make(map[uuid.UUID]int), 0
		r, up := Isolate(entries, func(part []journal.Entry) Result {
			calls++
			for _, e := range part {
				if e.Target.ID == "bad" {
					return Result{Err: &Failure{Err: errors.New("bad")}}
				}
			}
			for _, e := range part {
				got[e.ID]++
			}
			return Result{}
		})
		if !up {
			if len(got) > 0 || calls > alone {
				t.Fatalf("seed %d: %d accepted in %d calls, and the sink is down", seed, len(got), calls)
			}
			continue
		}
		for _, e := range entries {
			_, failed := r.Failed[e.ID]
			if left := failed && e.Target.ID == "good" && calls > pays; failed != (e.Target.ID == "bad") && !left {
				t.Fatalf("seed %d: %s has failed: %v", seed, e.Target.ID, failed)
			}
			if got[e.ID] > 1 || got[e.ID] == 0 && !failed {
				t.Fatalf("seed %d: %s was accepted %d times", seed, e.Target.ID, got[e.ID])
			}
		}
		if most := 2*len(entries) + alone; calls > most {
			t.Fatalf("seed %d: %d calls for %d entries", seed, calls, len(entries))
		}
	}
}

// TestIsolateSmall: bad ones at both ends, and three in a row.
func TestIsolateSmall(t *testing.T) {
	for _, names := range []string{"bad a b c bad", "bad bad bad a b c", "a bad", "bad a", "a b bad bad bad c"} {
		entries := entriesOf(strings.Fields(names)...)
		accepted := ""
		r, up := Isolate(entries, func(part []journal.Entry) Result {
			text := ""
			for _, e := range part {
				if text += e.Target.ID; e.Target.ID == "bad" {
					return Result{Err: &Failure{Err: errors.New("bad")}}
				}
			}
			accepted += text
			return Result{}
		})
		if want := strings.Count(names, "bad"); !up || len(r.Failed) != want || len(accepted)+want != len(entries) {
			t.Errorf("%s: up %v, accepted %s, %d failed", names, up, accepted, len(r.Failed))
		}
	}
}

// TestIsolateGivesUp: a sink that is down costs few calls, and one that hangs a single one.
func TestIsolateGivesUp(t *testing.T) {
	for hangs, want := range map[bool]int{false: 5, true: 1} {
		calls := 0
		_, up := Isolate(entriesOf(make([]string, 200)...), func([]journal.Entry) Result {
			calls++
			return Result{Hung: hangs, Err: &Failure{Err: errors.New("away")}}
		})
		if up || calls != want {
			t.Errorf("hangs=%v: up %v after %d calls, want %d", hangs, up, calls, want)
		}
	}
}

// TestIsolateStops: a sink that goes down, or hangs, in the middle is not called for all
// that is left.
func TestIsolateStops(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		t.Run(fmt.Sprintf("hangs=%v", hangs), func(t *testing.T) {
			entries := entriesOf(make([]string, 200)...)
			calls := 0
			r, up := Isolate(entries, func([]journal.Entry) Result {
				if calls++; calls == 1 {
					return Result{}
				}
				return Result{Hung: hangs, Err: &Failure{Err: errors.New("away")}}
			})
			most := 3 * pays
			if hangs {
				most = 2
			}
			if !up || len(r.Failed) != len(entries)-1 || calls > most {
				t.Errorf("up %v, %d failed, %d calls", up, len(r.Failed), calls)
			}
		})
	}
}
