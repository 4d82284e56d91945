package journal

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestUnreadableInJSON is there only if something cannot be read.
func TestUnreadableInJSON(t *testing.T) {
	for unreadable, want := range map[string]bool{"": false, "metadata: no object": true} {
		text, err := json.Marshal(Entry{Unreadable: unreadable})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(text), `"unreadable":"`+unreadable+`"`); got != want {
			t.Errorf("%q: %s", unreadable, text)
		}
	}
}
