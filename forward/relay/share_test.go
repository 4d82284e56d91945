package relay

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestSharing(t *testing.T) {
	const all = "*" // an earlier version, which may have any
	process := func(text string) registered {
		names, env, _ := strings.Cut(text, "@")
		r := registered{Forwarders: make(map[string]Identity), Complete: names != all, Environment: &env}
		if names == all {
			r.Environment = nil
		}
		for _, n := range strings.Fields(names) {
			r.Forwarders[n] = Identity{}
		}
		return r
	}
	for _, test := range []struct {
		own    string
		others []string
		share  int
		alone  string // what no other process has
	}{
		{own: "a b c d", share: 4, alone: "a b c d"},
		{own: "a b c d", others: []string{"a b c d"}, share: 2},
		{own: "a b c d", others: []string{"a b c d", "a b c d"}, share: 2},
		{own: "a b c d", others: []string{"e"}, share: 4, alone: "a b c d"},
		{own: "e", others: []string{"a b c d"}, share: 1, alone: "e"},
		{own: "a b c d", others: []string{"e", "a b c d"}, share: 2},
		{own: "a b c d", others: []string{"d e"}, share: 4, alone: "a b c"},
		{own: "d e", others: []string{"a b c d"}, share: 2, alone: "e"},
		{own: "a b c", others: []string{"a b c", "c", "c"}, share: 2},
		{own: "c", others: []string{"a b c", "a b c", "c"}, share: 1},
		{own: "a b c d", others: []string{all}, share: 2},
		{own: "a b c d", others: []string{all, "e"}, share: 2},
		{own: "a b c d@production", others: []string{"a b c d@staging"}, share: 4, alone: "a b c d"},
		{own: "a b c d@production", others: []string{"a b c d@staging", "a b c d@production"}, share: 2},
		{own: "a b c d@production", others: []string{all}, share: 2},
		{own: "a b c d", others: []string{"a b c d@staging"}, share: 4, alone: "a b c d"},
	} {
		own := process(test.own)
		var others []registered
		for _, text := range test.others {
			others = append(others, process(text))
		}
		s := own.sharedWith(others)
		if got := s.share(); got != test.share {
			t.Errorf("%q beside %q: share %d, want %d", test.own, test.others, got, test.share)
		}
		for name := range own.Forwarders {
			if alone := strings.Contains(test.alone, name); s.onlyHere(name) != alone {
				t.Errorf("%q beside %q: alone with %s: %v, want %v", test.own, test.others, name, !alone, alone)
			}
		}
	}
}

// TestShareIsExact: n processes share n forwarders, one each.
func TestShareIsExact(t *testing.T) {
	for n := 1; n <= 200; n++ {
		own := registered{Forwarders: make(map[string]Identity)}
		for i := range n {
			own.Forwarders[fmt.Sprint(i)] = Identity{}
		}
		if got := own.equally(n - 1).share(); got != 1 {
			t.Errorf("the share of one among %d is %d, want 1", n, got)
		}
	}
}

// TestWhatIsNotShared: before the first heartbeat a process is not alone; then one takes
// what no other has above its share, and never gives that up for it.
func TestWhatIsNotShared(t *testing.T) {
	r := &Relay{share: 1, held: 1}
	if r.mayTake("a") || r.hasOthers("a") {
		t.Error("it takes more, or sees others, before the first heartbeat")
	}
	r.sharing, r.held = sharing{"a": 0, "b": 1}, 2
	if !r.mayTake("a") || r.mayTake("b") {
		t.Error("above its share it may take a alone")
	}
	if r.hasOthers("a") || !r.hasOthers("b") {
		t.Error("b alone has others")
	}
	if r.releaseExcess("a") || !r.releaseExcess("b") || r.releaseExcess("b") {
		t.Error("it gives up b alone, once")
	}
}

// TestExtra: for a lease that was taken above the share no other is given up, until it
// counts like them.
func TestExtra(t *testing.T) {
	r := &Relay{share: 2, sharing: sharing{"a": 1, "b": 1, "c": 1}}
	for _, extra := range []bool{false, false, true} {
		r.addLease(extra)
	}
	if r.mayTake("d") || r.releaseExcess("a") {
		t.Error("it takes another, or gives one up")
	}
	r.clearExtra()
	if !r.releaseExcess("a") || r.releaseExcess("b") {
		t.Error("it does not give up one")
	}
	r.renewer = newRenewer(r)
	for _, test := range []struct {
		pinned  time.Time
		offered bool
		extra   int
	}{
		{},
		{pinned: time.Now(), extra: 1},
		{pinned: time.Now(), offered: true},
	} {
		for name, ends := range map[string]func(*worker){"lost": (*worker).drop, "unpinned": (*worker).unpin} {
			w := &worker{relay: r, lease: &lease{}, pinned: test.pinned, offered: test.offered}
			r.held, r.extra = 2, 0
			r.addLease(w.extra())
			if r.held != 3 || r.extra != test.extra {
				t.Errorf("%d held, %d extra; want 3 and %d", r.held, r.extra, test.extra)
			}
			ends(w)
			if held := map[string]int{"lost": 2, "unpinned": 3}[name]; r.held != held || r.extra != 0 || w.extra() || !w.pinned.IsZero() {
				t.Errorf("%s: %d held, %d extra; want %d and 0", name, r.held, r.extra, held)
			}
		}
	}
}
