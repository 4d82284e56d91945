package dbtest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Seed returns a random seed, or that of AFTERCOMMIT_SEED. It is printed if the test fails.
func Seed(tb testing.TB) uint64 {
	tb.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("AFTERCOMMIT_SEED"); text != "" {
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
