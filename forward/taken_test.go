package forward

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestNotesHaveALimit: what sync sinks have done is noted only up to a limit while the relay's
// connections are refused, and again once the notes were taken.
func TestNotesHaveALimit(t *testing.T) {
	d := &handler{}
	d.queue.stop = make(chan struct{})
	s := &sink{registration: &registration{forwarder: &taker{}, id: "default"}}
	entries := make([]journal.Entry, 999)
	noted := func() (n int) {
		for _, all := range d.queue.notes.accepted {
			n += len(all)
		}
		for _, all := range d.queue.notes.refused {
			n += len(all)
		}
		return n
	}
	for range 2 {
		for range maxNotes / len(entries) {
			d.noteAccepted(s, entries)
			if !d.noteRefused(hooks.Notice{Forwarder: s.name()}, entries) {
				t.Fatal("a refusal is not the relay's")
			}
		}
		if n := noted(); n != maxNotes {
			t.Errorf("%d are noted, want %d", n, maxNotes)
		}
		d.queue.notes = syncNotes{}
		d.noteAccepted(s, entries)
		if n := noted(); n != len(entries) {
			t.Errorf("%d are noted, want %d", n, len(entries))
		}
		d.queue.notes = syncNotes{}
	}
}
