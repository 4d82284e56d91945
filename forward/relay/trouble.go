package relay

import (
	"context"
	"errors"
)

// Trouble returns why a forwarder gets nothing from this process, though no other
// has its lease: the error of the last attempt to deliver. It is nil while all is
// well, and before the first attempt.
func (r *Relay) Trouble(forwarder string) error {
	for _, w := range r.workers {
		if w.target.Name != forwarder {
			continue
		}
		if err := w.trouble.Load(); err != nil {
			return *err
		}
	}
	return nil
}

// setTrouble notes the error of a step. That a lease is lost is none: another
// process has it.
func (w *worker) setTrouble(err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, errLost) || errors.Is(err, errRanOut) {
		w.trouble.Store(nil)
		return
	}
	w.trouble.Store(&err)
}
