package change

import "testing"

// TestMayMiss: each kind says whether what a row was is known across it.
func TestMayMiss(t *testing.T) {
	for kind, want := range map[BreakKind]bool{
		Began: false, Renamed: false, Reshaped: false, Drifted: false, Truncated: false, Unhashed: false,
		Restored: true, Partitioned: true, Uncaptured: true, Lost: true, Undelivered: true, Purged: true,
	} {
		if got := kind.MayMiss(); got != want {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
	}
}
