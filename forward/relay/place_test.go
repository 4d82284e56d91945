package relay

import (
	"strings"
	"testing"
)

// TestPlaceErrorNamesTheEnvironment where nothing else differs.
func TestPlaceErrorNamesTheEnvironment(t *testing.T) {
	const environment = "made in the environment"
	for _, c := range []struct {
		was, is string
		want    bool
	}{
		{"7/5 staging", "7/5 live", true},
		{"7/5", "7/5 the live one", true},
		{"", " live", true},
		{"7/5 staging", "8/5 live", false},
		{"7/5", "7/6", false},
		{"transactions up to 5", "a server behind them", false},
	} {
		err := &PlaceError{Forwarder: "a/default", Was: c.was, Is: c.is}
		if got := strings.Contains(err.Error(), environment); got != c.want || !strings.Contains(err.Error(), "Store.Resume") {
			t.Errorf("%q, %q: %v", c.was, c.is, err)
		}
	}
}
