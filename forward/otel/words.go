package otel

import "sync"

// other is what the semantic conventions call an error without a word of its
// own.
const other = "_OTHER"

// maxWords keeps a forwarder that makes its reasons of data from making a time
// series of each.
const maxWords = 100

// words are the values that error.type has had.
type words struct {
	mu   sync.Mutex
	seen map[string]bool
}

// of returns the word for a reason.
func (w *words) of(reason string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case reason == "":
		return other
	case w.seen[reason]:
		return reason
	case len(w.seen) >= maxWords:
		return other
	}
	if w.seen == nil {
		w.seen = make(map[string]bool)
	}
	w.seen[reason] = true
	return reason
}
