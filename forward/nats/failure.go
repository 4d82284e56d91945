package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/go-aftercommit/aftercommit/forward"
)

// The reasons of entries that can never be delivered.
const (
	reasonPayload = "payload_too_large"
	reasonStream  = "no_stream"
	reasonSubject = "invalid_subject"
	reasonEvent   = "invalid_event"
)

// maxSubject keeps a message's first line below the 4096 bytes after which a
// server closes the connection (NATS' max_control_line), and with it every other
// message: the rest is for the reply subject and the lengths.
const maxSubject = 3800

// checkSubject finds what NATS does not. A wildcard can be published to, but
// only to reach others than those who asked for it.
func checkSubject(subject string) error {
	if len(subject) > maxSubject {
		return fmt.Errorf("nats: a subject of %d bytes, the limit is %d", len(subject), maxSubject)
	}
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || token == "*" || token == ">" || strings.ContainsFunc(token, unprintable) {
			return fmt.Errorf("nats: %q cannot be published to: a subject is tokens with dots between them, without white space, * or >", subject)
		}
	}
	return nil
}

func unprintable(r rune) bool { return r <= ' ' || r == 0x7f }

// streamFinder is the part of a JetStream that knows which streams there are.
type streamFinder interface {
	StreamNameBySubject(ctx context.Context, subject string) (string, error)
}

// lookupWait is how long JetStream may take to say whether there is a stream.
const lookupWait = 2 * time.Second

// explain finds out which of the errors will come again at each attempt.
func (f *Forwarder) explain(ctx context.Context, results []result) {
	missing := make(map[string]bool) // by subject
	asking := true
	for i := range results {
		r := &results[i]
		switch {
		case r.err == nil:
		case errors.Is(r.err, jetstream.ErrStreamMessageExceedsMaximum):
			r.err = forward.Permanent(reasonPayload, fmt.Errorf("nats: %w", r.err))
		case errors.Is(r.err, jetstream.ErrNoStreamResponse):
			is, known := missing[r.subject]
			if !known && asking {
				is, asking = f.hasNoStream(ctx, r.subject)
				missing[r.subject] = is
			}
			r.err = fmt.Errorf("nats: subject %s: %w", r.subject, r.err)
			if is {
				r.err = forward.Permanent(reasonStream, r.err)
			}
		}
	}
}

// hasNoStream asks whether no stream takes a subject that nobody has answered
// for: the stream may also be without a leader. answered is false if JetStream
// does not say.
func (f *Forwarder) hasNoStream(ctx context.Context, subject string) (missing, answered bool) {
	ctx, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	_, err := f.streams.StreamNameBySubject(ctx, subject)
	missing = errors.Is(err, jetstream.ErrStreamNotFound)
	return missing, missing || err == nil
}

// summary is the error of the whole call. Where nothing was taken, for reasons
// that may pass, it is that of the sink and not of the entries.
func summary(results []result) error {
	failed := make(map[uuid.UUID]error)
	var transient error
	down := true
	for i := range results {
		r := &results[i]
		var permanent *forward.PermanentError
		switch {
		case r.err == nil:
			down = false
			continue
		case errors.As(r.err, &permanent):
			down = false
		case transient == nil:
			transient = r.err
		}
		failed[r.id] = r.err
	}
	switch {
	case len(failed) == 0:
		return nil
	case down:
		return transient
	}
	return forward.Partial(failed)
}
