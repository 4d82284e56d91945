package relay

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// entry is some entry's position.
func entry() journal.Position { return journal.Position{Key: uuid.New()} }

// TestEvidence: a proof counts for so many entries, and not for a call much later.
func TestEvidence(t *testing.T) {
	now := time.Unix(0, 0)
	var e evidence
	e.called(now, now)
	e.prove(now)
	counts := 0
	for range 2 * pays {
		e.called(now, now.Add(time.Minute)) // a sink may be slow
		now = now.Add(time.Minute)
		if e.budget > 0 {
			e.charge(entry())
			counts++
		}
	}
	if counts != pays {
		t.Errorf("a proof counts for %d entries, want %d", counts, pays)
	}
	e.prove(now)
	e.called(now.Add(freshness+1), now.Add(freshness+1))
	if e.budget != 0 {
		t.Error("a proof counts for a call much later")
	}
}

// TestAlone: a sink that accepts something elsewhere is up if that was during the call, or
// since the entry failed before.
func TestAlone(t *testing.T) {
	now := time.Unix(0, 0)
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	var e evidence
	a, b := entry(), entry()
	for i, test := range []struct {
		at    journal.Position
		began int
		since int
	}{{a, 10, 10}, {b, 20, 20}, {a, 30, 10}, {a, 40, 30}, {b, 50, 20}} {
		e.called(at(test.began), at(test.began+1))
		if got := e.failedAlone(test.at); !got.Equal(at(test.since)) {
			t.Errorf("failure %d counts since %v, want %v", i+1, got, at(test.since))
		}
	}
	for range 2 * remembered {
		e.failedAlone(entry())
	}
	if len(e.failed) > remembered+1 {
		t.Errorf("%d entries are remembered", len(e.failed))
	}
}

// TestProveEarlier: a proof from long ago counts for one entry, and nothing that was
// charged after it is certain.
func TestProveEarlier(t *testing.T) {
	now := time.Unix(0, 0)
	var e evidence
	before, after := entry(), entry()
	e.called(now, now)
	e.prove(now)
	e.charge(before)
	e.called(now.Add(2*time.Second), now.Add(2*time.Second))
	e.charge(after)
	e.prove(now.Add(time.Second))
	if e.budget != pays {
		t.Errorf("a fresh proof counts for %d", e.budget)
	}
	if got := e.forgive(); !slices.Equal(got, []journal.Position{after}) {
		t.Errorf("forgiven %v, want only what failed after the proof", got)
	}
	e.called(now.Add(time.Minute), now.Add(time.Minute))
	if e.prove(now.Add(time.Second)); e.budget != 1 {
		t.Errorf("an old proof counts for %d", e.budget)
	}
}

// TestForgive: what failed since the last proof is forgiven once.
func TestForgive(t *testing.T) {
	var e evidence
	a, b, c := entry(), entry(), entry()
	e.prove(e.last)
	e.charge(a)
	e.prove(e.last)
	e.charge(b)
	if got := e.forgive(); !slices.Equal(got, []journal.Position{b}) {
		t.Errorf("forgiven %v, want b", got)
	}
	e.prove(e.last)
	e.charge(b)
	e.charge(c)
	if got := e.forgive(); !slices.Equal(got, []journal.Position{c}) {
		t.Errorf("forgiven %v, want c, as b was forgiven before", got)
	}
}

// TestProves: a sink is up if it has taken an entry that it has seen, or refused one
// for good.
func TestProves(t *testing.T) {
	soon, never, blocked := Failure{}, Failure{Permanent: true}, Failure{Blocked: true}
	named := func(failures ...Failure) map[uuid.UUID]Failure {
		m := make(map[uuid.UUID]Failure)
		for _, f := range failures {
			m[uuid.New()] = f
		}
		return m
	}
	tests := map[string]struct {
		r                       Result
		proves, doubtful, keeps bool
	}{
		"all taken":                {Result{}, true, false, true},
		"all filtered":             {Result{Filtered: 3}, false, false, true},
		"failed":                   {Result{Err: &soon}, false, true, false},
		"failed for good":          {Result{Err: &never}, true, false, false},
		"blocked":                  {Result{Err: &blocked}, true, false, false},
		"hung":                     {Result{Err: &soon, Hung: true}, false, true, false},
		"one named":                {Result{Failed: named(soon)}, true, false, false},
		"all named":                {Result{Failed: named(soon, soon, soon)}, false, true, false},
		"all named, one for good":  {Result{Failed: named(soon, soon, never)}, true, false, false},
		"all that were seen named": {Result{Failed: named(soon, soon), Filtered: 1}, false, true, false},
		"one blocked":              {Result{Failed: named(blocked)}, true, false, true},
		"all blocked":              {Result{Failed: named(blocked, blocked, blocked)}, true, false, true},
		"one blocked, one failed":  {Result{Failed: named(blocked, soon)}, true, false, false},
	}
	for name, test := range tests {
		if got := test.r.proves(3); got != test.proves {
			t.Errorf("%s: proves = %v", name, got)
		}
		if got := test.r.doubtful(3); got != test.doubtful {
			t.Errorf("%s: doubtful = %v", name, got)
		}
		if got := test.r.canRenew(); got != test.keeps {
			t.Errorf("%s: keeps = %v", name, got)
		}
	}
}
