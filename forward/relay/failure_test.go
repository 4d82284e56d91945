package relay

import (
	"errors"
	"strings"
	"testing"
)

// TestRefuses: what the database would say to the same result again is followed by a
// pause. What another connection, or another moment, may not have is not.
func TestRefuses(t *testing.T) {
	for code, want := range map[state]bool{
		"22P05": true, "22021": true, "23514": true, "25006": true, "42501": true, "42P01": true, "53100": true, "54000": true,
		"08006": false, "40001": false, "40P01": false, "55P03": false, "57014": false, "57P01": false, "": false,
	} {
		if got := (postgres{}).refuses(code); got != want {
			t.Errorf("%s: %t, want %t", code, got, want)
		}
	}
	for err, want := range map[error]bool{
		errors.New("constraint failed"): true, errors.New("database is locked"): false, errLost: false, errRanOut: false,
	} {
		if got := (sqlite{}).refuses(err); got != want {
			t.Errorf("%v: %t, want %t", err, got, want)
		}
	}
}

// TestErrorText: an error of any length is stored in a thousand bytes.
func TestErrorText(t *testing.T) {
	short := strings.Repeat("x", 1000)
	for text, want := range map[string]string{"": "", short: short, short + short: short + "…"} {
		if got := errorText(errors.New(text)); got != want {
			t.Errorf("%d bytes are stored as %d, want %d", len(text), len(got), len(want))
		}
	}
	if got := errorText(nil); got != "" {
		t.Errorf("no error is stored as %q", got)
	}
}
