package hooks

import "fmt"

// Mode says what happens to the app when its audit trail cannot be written.
type Mode int32

// The modes.
const (
	// Strict: a transaction whose events cannot be written does not commit.
	Strict Mode = iota
	// BestEffort: it commits, and the loss is counted and reported.
	BestEffort
	// Off: the base driver, as if aftercommit were not there.
	Off
)

// String returns "strict", "best-effort" or "off".
func (m Mode) String() string {
	switch m {
	case BestEffort:
		return "best-effort"
	case Off:
		return "off"
	default:
		return "strict"
	}
}

// ParseMode is the inverse of [Mode.String].
func ParseMode(s string) (Mode, error) {
	switch s {
	case "strict":
		return Strict, nil
	case "best-effort":
		return BestEffort, nil
	case "off":
		return Off, nil
	}
	return Strict, fmt.Errorf("hooks: mode %q: use strict, best-effort or off", s)
}
