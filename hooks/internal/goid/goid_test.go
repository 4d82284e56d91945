package goid

import (
	"bytes"
	"fmt"
	"iter"
	"sync"
	"testing"
)

func TestParse(t *testing.T) {
	for line, want := range map[string]uint64{
		"goroutine 1 [running]:\nmain.main()":             1,
		"goroutine 42 [running, locked to thread]:":       42,
		"goroutine 18446744073709551615 [":                1<<64 - 1,
		"goroutine 7 gp=0xc000002380 m=0 mp=0x1 [running": 7,
		"":                                 0,
		"goroutine ":                       0,
		"goroutine  [running]:":            0,
		"goroutine 42":                     0, // there may be more digits
		"goroutine 42[running]:":           0,
		"goroutine 0 [running]:":           0,
		"goroutine -1 [running]:":          0,
		"goroutine +1 [running]:":          0,
		"goroutine 4_2 [running]:":         0,
		"goroutine 0x2a [running]:":        0,
		"goroutine 18446744073709551616 [": 0,
		"goroutine main [running]:":        0,
		"Goroutine 42 [running]:":          0,
		" goroutine 42 [running]:":         0,
	} {
		id, ok := parse([]byte(line))
		if ok != (want != 0) || ok && id != want {
			t.Errorf("%q: %d %v, want %d", line, id, ok, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("goroutine 42 [running]:"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if id, ok := parse(line); ok && !bytes.HasPrefix(line, fmt.Appendf(nil, "goroutine %d ", id)) && !bytes.HasPrefix(line, []byte("goroutine 0")) {
			t.Errorf("%q: %d", line, id)
		}
	})
}

// TestCurrent holds many goroutines alive at once: each has one ID all along,
// and no two have the same.
func TestCurrent(t *testing.T) {
	var mu sync.Mutex
	seen := map[uint64]bool{}
	var alive, done sync.WaitGroup
	alive.Add(200)
	for range 200 {
		done.Go(func() {
			id, ok := Current()
			alive.Done()
			alive.Wait()
			again, _ := Current()
			mu.Lock()
			defer mu.Unlock()
			if !ok || id != again || seen[id] {
				t.Errorf("goroutine %d %v, then %d, seen before: %v", id, ok, again, seen[id])
			}
			seen[id] = true
		})
	}
	done.Wait()
}

// TestCurrentOfADeepStack: the ID is at the beginning of the trace, whatever
// follows.
func TestCurrentOfADeepStack(t *testing.T) {
	want, _ := Current()
	under(10_000, func() {
		if id, ok := Current(); !ok || id != want {
			t.Errorf("goroutine %d %v, want %d", id, ok, want)
		}
	})
}

// A coroutine is a goroutine, too.
func TestCurrentOfACoroutine(t *testing.T) {
	mine, _ := Current()
	next, stop := iter.Pull(func(yield func(uint64) bool) {
		id, _ := Current()
		yield(id)
	})
	defer stop()
	if id, _ := next(); id == mine || id == 0 {
		t.Errorf("the coroutine is goroutine %d, mine %d", id, mine)
	}
}

// TestUnreliableIDs: a runtime that says the same of all goroutines, or nothing,
// must not be believed.
func TestUnreliableIDs(t *testing.T) {
	for name, read := range map[string]func() (uint64, bool){
		"all the same": func() (uint64, bool) { return 1, true },
		"unknown":      func() (uint64, bool) { return 0, false },
	} {
		if differBy(read) {
			t.Errorf("%s: believed", name)
		}
	}
	if !differ() {
		t.Error("goroutines of this Go version cannot be told apart")
	}
}

// BenchmarkCurrent shows what the depth of the stack costs.
func BenchmarkCurrent(b *testing.B) {
	for _, frames := range []int{10, 40} {
		b.Run(fmt.Sprintf("%d frames", frames), func(b *testing.B) {
			b.ReportAllocs()
			under(frames, func() {
				for b.Loop() {
					Current()
				}
			})
		})
	}
}

// under calls f below n more frames.
func under(n int, f func()) {
	if n == 0 {
		f()
		return
	}
	under(n-1, f)
}
