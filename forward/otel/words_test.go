package otel

import (
	"fmt"
	"testing"
)

// TestWords: data in the reasons does not become a time series each.
func TestWords(t *testing.T) {
	var w words
	if got := w.of(""); got != other {
		t.Errorf("no reason is %q", got)
	}
	for i := range 2 * maxWords {
		want := fmt.Sprint("reason ", i)
		if i >= maxWords {
			want = other
		}
		if got := w.of(fmt.Sprint("reason ", i)); got != want {
			t.Errorf("the word %d is %q, want %q", i, got, want)
		}
	}
	if got := w.of("reason 0"); got != "reason 0" {
		t.Errorf("a word that was known is %q", got)
	}
}
