package relay

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestEvidence: a proof counts for so many entries, and not for a call much later.
func TestEvidence(t *testing.T) {
	now := time.Unix(0, 0)
	var e evidence
	e.called(now, now)
	e.prove()
	counts := 0
	for range 2 * pays {
		e.called(now, now.Add(time.Minute)) // a sink may be slow
		now = now.Add(time.Minute)
		if e.left > 0 {
			e.charge(uuid.New())
			counts++
		}
	}
	if counts != pays {
		t.Errorf("a proof counts for %d entries, want %d", counts, pays)
	}
	e.prove()
	e.called(now.Add(freshness+1), now.Add(freshness+1))
	if e.left != 0 {
		t.Error("a proof counts for a call much later")
	}
}

// TestForgive: what failed since the last proof is forgiven once.
func TestForgive(t *testing.T) {
	var e evidence
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	e.prove()
	e.charge(a)
	e.prove()
	e.charge(b)
	if got := e.forgive(); !slices.Equal(got, []uuid.UUID{b}) {
		t.Errorf("forgiven %v, want b", got)
	}
	e.prove()
	e.charge(b)
	e.charge(c)
	if got := e.forgive(); !slices.Equal(got, []uuid.UUID{c}) {
		t.Errorf("forgiven %v, want c, as b was forgiven before", got)
	}
}

// TestProves: a sink is up if it has taken an entry that it has seen, or refused one
// for good.
func TestProves(t *testing.T) {
	soon, never := Failure{}, Failure{Permanent: true}
	named := func(failures ...Failure) map[uuid.UUID]Failure {
		m := make(map[uuid.UUID]Failure)
		for _, f := range failures {
			m[uuid.New()] = f
		}
		return m
	}
	tests := map[string]struct {
		r                Result
		proves, doubtful bool
	}{
		"all taken":                {Result{}, true, false},
		"all filtered":             {Result{Filtered: 3}, false, false},
		"failed":                   {Result{Err: &soon}, false, true},
		"failed for good":          {Result{Err: &never}, true, false},
		"hung":                     {Result{Err: &soon, Hung: true}, false, true},
		"one named":                {Result{Failed: named(soon)}, true, false},
		"all named":                {Result{Failed: named(soon, soon, soon)}, false, true},
		"all named, one for good":  {Result{Failed: named(soon, soon, never)}, true, false},
		"all that were seen named": {Result{Failed: named(soon, soon), Filtered: 1}, false, true},
	}
	for name, test := range tests {
		if got := test.r.proves(3); got != test.proves {
			t.Errorf("%s: proves = %v", name, got)
		}
		if got := test.r.doubtful(3); got != test.doubtful {
			t.Errorf("%s: doubtful = %v", name, got)
		}
	}
}
