package forward

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// oddError is an error whose methods read a field, of which the sink returns a nil
// pointer.
type oddError struct{ text string }

func (e *oddError) Error() string { return e.text }

// oddCause panics only when it is looked into.
type oddCause struct{ cause *oddError }

func (e *oddCause) Error() string { return "odd" }
func (e *oddCause) Unwrap() error { _ = e.cause.text; return e.cause }

type returns struct{ err error }

func (r returns) Forward(context.Context, []journal.Entry) error { return r.err }

// TestOddErrors: an error whose methods panic fails its call, and nothing else.
func TestOddErrors(t *testing.T) {
	for name, err := range map[string]error{
		"nil pointer":            (*oddError)(nil),
		"nil cause":              &oddCause{},
		"nil in Partial":         Partial(map[uuid.UUID]error{{1}: nil}),
		"nil pointer in Partial": Partial(map[uuid.UUID]error{{1}: (*oddError)(nil)}),
		"nil Partial":            (*PartialError)(nil),
		"nil Permanent":          (*PermanentError)(nil),
	} {
		t.Run(name, func(t *testing.T) {
			r := call(context.Background(), &sink{registration: &registration{forwarder: returns{err}, timeout: time.Second}}, make([]journal.Entry, 1))
			result := toResult(r)
			if result.Err == nil || result.Err.Reason != "panic" || result.Err.Err.Error() == "" {
				t.Errorf("%+v, want that the call has panicked", result.Err)
			}
		})
	}
}
