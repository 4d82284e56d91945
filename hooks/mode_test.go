package hooks_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

func TestModesAndTheirNames(t *testing.T) {
	for want, mode := range map[string]hooks.Mode{"strict": hooks.Strict, "best-effort": hooks.BestEffort, "off": hooks.Off} {
		if got := mode.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got, err := hooks.ParseMode(want); err != nil || got != mode {
			t.Errorf("%s is parsed as %s, %v", want, got, err)
		}
	}
	for _, s := range []string{"", "Off", "none", "strict "} {
		if m, err := hooks.ParseMode(s); err == nil || m != hooks.Strict {
			t.Errorf("%q is parsed as %s, %v; want an error, and strict for who ignores it", s, m, err)
		}
	}
}

func TestAnOutcomeThatNobodySetIsNoCommit(t *testing.T) {
	var o hooks.Outcome
	if o != hooks.Unknown || o.String() != "unknown" || hooks.Committed.String() != "committed" || hooks.RolledBack.String() != "rolled back" {
		t.Errorf("%s, %s, %s", o, hooks.Committed, hooks.RolledBack)
	}
}
