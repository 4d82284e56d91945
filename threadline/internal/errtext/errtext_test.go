package errtext

import (
	"errors"
	"testing"
)

func TestOf(t *testing.T) {
	for text, want := range map[string]string{
		"changes: no such table":          "no such table",
		"capture: changes: no such table": "no such table",
		"changes: capture: no such table": "no such table",
		"orders: changes: no such table":  "orders: changes: no such table", // within the text it may say something
		"changes":                         "changes",
		"":                                "",
	} {
		if got := Of(errors.New(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
