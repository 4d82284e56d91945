package relay

import (
	"context"
	"database/sql"
	"testing"
)

// TestTurns: how many connections calls of one sink may keep, and how many those of all sinks,
// is less than what the pool has.
func TestTurns(t *testing.T) {
	for _, tt := range []struct {
		name                    string
		conns, spare, own, both int
	}{
		{"a pool of four", 4, 1, 2, 3},
		{"a pool of two", 2, 1, 1, 1},
		{"a pool of one", 1, 1, 1, 1},
		{"none is spared", 3, 0, 2, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pool := sql.OpenDB(&watchers{})
			defer func() { _ = pool.Close() }()
			pool.SetMaxOpenConns(tt.conns)
			all := NewLender(pool, tt.spare)
			a, b := all.Part(), all.Part()
			over, cancel := context.WithCancel(t.Context())
			cancel()
			for range 2 { // what was given back is there again
				own, both := 0, 0
				for ; own < 10 && a.free() && a.acquire(t.Context(), nil); own++ {
				}
				for both = own; both < 10 && b.free() && b.acquire(t.Context(), nil); both++ {
				}
				if own != tt.own || both != tt.both {
					t.Errorf("one has %d connections, both have %d, want %d and %d", own, both, tt.own, tt.both)
				}
				if a.acquire(over, nil) || b.acquire(over, nil) {
					t.Error("it has got one more")
				}
				for i := range both {
					if i < own {
						a.release()
					} else {
						b.release()
					}
				}
			}
		})
	}
	t.Run("a pool without a limit", func(t *testing.T) {
		l := NewLender(sql.OpenDB(&watchers{}), 1).Part()
		for range 100 {
			if !l.acquire(t.Context(), nil) {
				t.Fatal("it has a limit")
			}
		}
	})
}

// free reports whether enter would not wait.
func (l *Lender) free() bool {
	return l == nil || len(l.turns) < cap(l.turns) && l.whole.free()
}
