package forward

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
)

// readable divides entries into those that a forwarder can get and those that
// cannot be read.
func readable(entries []journal.Entry) (whole, unreadable []journal.Entry) {
	for i := range entries {
		switch e := &entries[i]; {
		case e.Unreadable != "":
			if unreadable == nil {
				whole = slices.Clone(entries[:i])
			}
			unreadable = append(unreadable, *e)
		case unreadable != nil:
			whole = append(whole, *e)
		}
	}
	if unreadable == nil {
		return entries, nil
	}
	return whole, unreadable
}

// refuse adds entries to r that failed for good because they cannot be read.
func (r *callResult) refuse(unreadable []journal.Entry) {
	if len(unreadable) == 0 {
		return
	}
	failed := make(map[uuid.UUID]error)
	if part, ok := partOf(r.err); ok {
		maps.Copy(failed, part)
	} else if r.err != nil {
		for _, id := range entryIDs(r.entries) {
			failed[id] = r.err
		}
	}
	maps.Copy(failed, refusals(unreadable))
	r.entries, r.err = slices.Concat(r.entries, unreadable), Partial(failed)
}

// refusals are the errors of entries that cannot be read.
func refusals(unreadable []journal.Entry) map[uuid.UUID]error {
	failed := make(map[uuid.UUID]error, len(unreadable))
	for _, e := range unreadable {
		failed[e.ID] = Permanent(relay.ReasonUnreadable, &relay.UnreadableError{Position: e.Position, What: e.Unreadable})
	}
	return failed
}
