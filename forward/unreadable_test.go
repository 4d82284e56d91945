package forward

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
)

// answering is a forwarder with an answer, which may depend on what it gets.
type answering struct {
	got    []journal.Entry
	answer func([]journal.Entry) error
}

func (a *answering) Forward(_ context.Context, entries []journal.Entry) error {
	a.got = entries
	return a.answer(entries)
}

// A forwarder gets what can be read, and its answer holds for that alone. The rest
// has failed for good, even for a forwarder that is called with nothing else.
func TestUnreadableEntriesReachNoForwarder(t *testing.T) {
	away := errors.New("the sink is away")
	for name, tt := range map[string]struct {
		entries string // g is good, b cannot be read
		answer  func([]journal.Entry) error
		want    string // what became of each: t is taken, r is to be tried again, d is dead
	}{
		"taken":           {"gbg", func([]journal.Entry) error { return nil }, "tdt"},
		"refused":         {"gbg", func([]journal.Entry) error { return away }, "rdr"},
		"partly":          {"gbg", func(e []journal.Entry) error { return Partial(map[uuid.UUID]error{e[1].ID: away}) }, "tdr"},
		"panics":          {"gb", func([]journal.Entry) error { panic("oh") }, "rd"},
		"nothing to call": {"bb", func([]journal.Entry) error { panic("called") }, "dd"},
		"all good":        {"gg", func([]journal.Entry) error { return nil }, "tt"},
	} {
		f := &answering{answer: tt.answer}
		entries := make([]journal.Entry, len(tt.entries))
		for i, kind := range tt.entries {
			entries[i].ID = uuid.New()
			if kind == 'b' {
				entries[i].Unreadable = "occurred_at: infinity"
			}
		}
		r := call(context.Background(), &sink{registration: &registration{forwarder: f}}, entries)
		result := toResult(r)
		got := make([]byte, len(entries))
		for i := range entries {
			switch failure, failed := result.Failed[entries[i].ID]; {
			case !failed:
				got[i] = 't'
			case failure.Permanent && failure.Reason == relay.ReasonUnreadable:
				got[i] = 'd'
			default:
				got[i] = 'r'
			}
		}
		if string(got) != tt.want || result.Err != nil || len(r.entries) != len(entries) {
			t.Errorf("%s: %s, %v; want %s", name, got, result.Err, tt.want)
		}
		for _, e := range f.got {
			if e.Unreadable != "" {
				t.Errorf("%s: the forwarder got an entry that cannot be read", name)
			}
		}
	}
}
