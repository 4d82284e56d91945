// Package goid identifies the calling goroutine.
//
// The runtime has no function for that. Two ways were tried:
//
//   - The first line of runtime.Stack, "goroutine 42 [running]:". IDs are never
//     reused, a child has another one than its parent, and the function is
//     public. It costs microseconds, since the runtime writes the whole stack,
//     so callers ask only when they need the answer.
//   - Profiler labels. Setting them is public, reading them is not: it takes a
//     linkname that the linker has to tolerate. They cost nanoseconds, but child
//     goroutines inherit them. A worker that a pool starts within one request
//     and that later works for another one would still have the first one's:
//     not a missing answer but a wrong one.
//
// So this package reads the ID. The line's form is not a promise of Go, though
// it has been the same since Go 1.0. An unexpected form, or the same ID for two
// goroutines, means that no goroutine is identified; never that one is mistaken
// for another.
package goid

import (
	"bytes"
	"runtime"
	"strconv"
	"sync"
)

// Current returns the ID of the calling goroutine, which no other goroutine of
// this process has or will have, and whether it can be known.
func Current() (id uint64, ok bool) {
	if !differ() {
		return 0, false
	}
	return read()
}

// differ reports whether two goroutines have two IDs.
var differ = sync.OnceValue(func() bool { return differBy(read) })

func differBy(read func() (uint64, bool)) bool {
	other := make(chan uint64)
	go func() {
		id, _ := read()
		other <- id
	}()
	id, ok := read()
	theirs := <-other
	return ok && theirs != 0 && id != theirs
}

func read() (uint64, bool) {
	var line [len("goroutine 18446744073709551615 [")]byte
	return parse(line[:runtime.Stack(line[:], false)])
}

// parse returns the ID in the first line of a stack trace.
func parse(line []byte) (uint64, bool) {
	rest, found := bytes.CutPrefix(line, []byte("goroutine "))
	digits, _, ended := bytes.Cut(rest, []byte(" "))
	if !found || !ended {
		return 0, false
	}
	id, err := strconv.ParseUint(string(digits), 10, 64)
	return id, err == nil && id != 0
}
