package near

import (
	"strings"
	"testing"
)

func TestDistance(t *testing.T) {
	for pair, want := range map[[2]string]int{
		{"", ""}: 0, {"a", ""}: 1, {"", "ab"}: 2, {"actor", "actor"}: 0, {"actr", "actor"}: 1, {"atcor", "actor"}: 1,
		{"acter", "actor"}: 1, {"actorr", "actor"}: 1, {"ca", "abc"}: 3, {"kitten", "sitting"}: 3, {"ä", "a"}: 1,
	} {
		if got := distance(pair[0], pair[1]); got != want {
			t.Errorf("%q: %d, want %d", pair, got, want)
		}
	}
	if Of(strings.Repeat("a", 1<<20), []string{"actor"}) != "" {
		t.Error("a very long word is near")
	}
}
