package cli

import (
	"strings"
	"testing"
)

// TestKeyOfNoRow: a key that no row can have is a mistake on the command line, whatever is asked.
func TestKeyOfNoRow(t *testing.T) {
	newWorld(t)
	for _, args := range [][]string{{"history", "orders", "abc"}, {"as-of", "orders", "abc", "--at", "now"}, {"undo", "row", "orders", "abc", "--to", "1h"}, {"search", "target:orders:abc"}} {
		r := run(t, args...)
		if r.code != exitUsage || !strings.Contains(r.err, `its column "id" is of type integer, and "abc" is no value of that`) {
			t.Errorf("%v: exit code %d, %s", args, r.code, r.err)
		}
	}
	if r := run(t, "history", "orders", "042"); r.code != exitOK || !strings.Contains(r.out, "refunded") {
		t.Errorf("exit code %d\n%s\n%s", r.code, r.out, r.err)
	}
}
