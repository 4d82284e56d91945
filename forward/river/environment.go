package river

import (
	"context"
	"fmt"
	"strings"
)

// mayResume returns an error if programs of another environment than place work the
// forwarder's jobs in this database, or were the last to do so. Their own jobs would be
// those that Resume decides about.
func (t *tables) mayResume(ctx context.Context, forwarder, place string) error {
	found, err := t.heartbeats(ctx, QueueName(forwarder))
	if err != nil {
		return fmt.Errorf("look for processes that work its jobs: %w", err)
	}
	other, runs, ok := found.rival(place)
	if !ok {
		return nil
	}
	worked := "were last worked"
	if runs {
		worked = "are worked"
	}
	_, env, _ := strings.Cut(other.Place, " ")
	_, own, _ := strings.Cut(place, " ")
	return fmt.Errorf("its jobs %s here in the environment %q (process %s), and Resume has %q, so nothing was changed: give Resume the environment of the programs; "+
		"if theirs is to change, or this is a copy, stop the programs of %[2]q (one that died counts as running for up to a minute), start one of %[4]q that works the jobs, and call Resume then",
		worked, env, other.Process, own)
}

// rival returns the heartbeat of a process in another environment of the same database that
// runs, or that was the last one in this database.
func (h *heartbeats) rival(place string) (rival heartbeat, runs, ok bool) {
	var last heartbeat
	for _, x := range h.all {
		if !sameDatabase(x.Place, place) {
			continue
		}
		if x.Place != place && h.runs(x) {
			return x, true, true
		}
		if x.At > last.At {
			last = x
		}
	}
	return last, false, last.Place != "" && last.Place != place
}

// sameDatabase reports whether two places differ in their environments only.
func sameDatabase(a, b string) bool {
	a, _, _ = strings.Cut(a, " ")
	b, _, _ = strings.Cut(b, " ")
	return a == b
}
