package dbtest

import (
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Seed returns a seed for the test, the same in each run, unless AFTERCOMMIT_SEED is set: to another one, or to
// "random". It is printed if the test fails.
func Seed(tb testing.TB) uint64 {
	tb.Helper()
	h := fnv.New64a()
	_, _ = h.Write([]byte(tb.Name()))
	seed := h.Sum64()
	switch text := os.Getenv("AFTERCOMMIT_SEED"); text {
	case "":
	case "random":
		seed = rand.Uint64()
	default:
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			tb.Fatalf("AFTERCOMMIT_SEED: %v", err)
		}
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("AFTERCOMMIT_SEED=%d repeats the choices", seed)
		}
	})
	return seed
}
