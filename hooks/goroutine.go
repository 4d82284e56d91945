package hooks

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/go-aftercommit/aftercommit/hooks/internal/goid"
)

// bound has what [Do] has bound: Values by the ID of their goroutine.
var bound struct {
	count atomic.Int64 // of goroutines, so that nothing is looked for in vain
	by    sync.Map     // uint64 → Values
}

// Do calls f with the context that [With] returns, and binds what that context
// says to the calling goroutine until f returns, panics or ends the goroutine.
// Statements that f executes without a context, such as db.Exec, are then f's,
// too; see [Origin]. It is for apps that do not pass on their contexts: where
// they do, With is enough.
//
// Goroutines that f starts, and workers that it hands something to, are not
// bound: what they execute without a context is unattributed, unless they call
// Do themselves. Within another Do the inner one counts, as a whole, until it
// ends. A nil f panics.
func Do(ctx context.Context, v Values, f func(context.Context)) {
	if f == nil {
		panic("hooks: Do of a nil function")
	}
	ctx = With(ctx, v)
	if id, ok := goid.Current(); ok {
		defer bind(id, FromContext(ctx))()
	}
	f(ctx)
}

// bind returns a function that restores what was bound before.
func bind(id uint64, v Values) (restore func()) {
	outer, nested := bound.by.Swap(id, v)
	if nested {
		return func() { bound.by.Store(id, outer) }
	}
	bound.count.Add(1)
	return func() {
		bound.by.Delete(id)
		bound.count.Add(-1)
	}
}

// fromGoroutine returns what is bound to the calling goroutine.
func fromGoroutine() (Values, bool) {
	if bound.count.Load() == 0 {
		return Values{}, false
	}
	id, ok := goid.Current()
	if !ok {
		return Values{}, false
	}
	v, ok := bound.by.Load(id)
	if !ok {
		return Values{}, false
	}
	return v.(Values), true
}

// Origin returns what is known about the events of a statement: what the contexts
// say, the earlier ones before the later, field by field; nil ones say nothing.
// If none names an actor, what [Do] has bound to the calling goroutine fills the
// fields that are empty; but nothing of it is used if the contexts differ from it
// in a field that they set, other than Reason, so that an event is never made of
// two requests.
//
// The driver calls Origin for each statement that it captures, and for each event
// that is recorded, with the statement's own context and that of BeginTx.
func Origin(contexts ...context.Context) Values {
	var v Values
	for _, ctx := range contexts {
		if ctx != nil {
			v = v.or(FromContext(ctx))
		}
	}
	if v.Actor.IsKnown() {
		return v
	}
	if b, ok := fromGoroutine(); ok && v.agrees(b) {
		return v.or(b)
	}
	return v
}

// agrees reports whether each field that v sets is the same in b. Reason may
// differ: one request does different things for different reasons.
func (v Values) agrees(b Values) bool {
	v.Reason = b.Reason
	return v.or(b) == b
}
