package relay

import (
	"strings"
	"time"
	"unicode"
)

// warned are the errors of a worker that were logged, so that those that take turns
// are not logged again and again.
type warned struct {
	kinds map[string]bool
	last  time.Time // when there was one of any kind
}

// calm is how long there must be no error before all are logged again: with one bad
// connection among good ones, every other step succeeds.
const calm = time.Minute

// fresh reports whether err is to be logged, and remembers it.
func (w *warned) fresh(now time.Time, err error) bool {
	if now.Sub(w.last) >= calm {
		w.kinds = nil
	}
	w.last = now
	const most = 20 // an error may differ each time
	kind := kindOf(err)
	if w.kinds[kind] || len(w.kinds) >= most {
		return false
	}
	if w.kinds == nil {
		w.kinds = make(map[string]bool)
	}
	w.kinds[kind] = true
	return true
}

// kindOf is an error's text without its numbers: a port or a transaction is another
// each time.
func kindOf(err error) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, err.Error())
}
