// Package backoff spaces attempts that follow each other until one succeeds.
package backoff

import "time"

// After returns the pause after n attempts in a row that have failed: none after no failure,
// first after one, then twice the pause before, up to most.
//
// It has no jitter: what waits is one attempt a process, a lease or a job, on one connection. The
// attempts at entries that failed together are counted, and have the relay's longer backoff,
// which scatters them.
func After(n int, first, most time.Duration) time.Duration {
	if n <= 0 {
		return 0
	}
	for ; n > 1 && first < most; n-- {
		first *= 2
	}
	return min(first, most)
}
