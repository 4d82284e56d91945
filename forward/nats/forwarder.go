package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/internal/cloudevent"
)

var _ forward.Forwarder = (*Forwarder)(nil)

// Options of a [Forwarder]; nil is fine.
type Options struct {
	// Subject returns the subject to publish an entry to. It is called
	// concurrently. The default is "audit." and the action.
	Subject func(e journal.Entry) string
	// Source is the CloudEvents source of all events, a URI reference such as
	// "https://shop.example/orders" or "/shop". The default is "/" and the
	// application that the entry names, or "/aftercommit" if it names none.
	Source string
}

// Forwarder publishes entries to JetStream. It is safe for concurrent use.
type Forwarder struct {
	conn *nats.Conn
	// publisher has the pending acknowledgements of this forwarder alone: they
	// do not count against what the app publishes.
	publisher jetstream.JetStream
	streams   streamFinder
	subject   func(journal.Entry) string
	source    string
}

// ackWait is when an acknowledgement that nobody waits for any more is
// forgotten, so that a sink that hangs does not fill the list of them.
const ackWait = 30 * time.Second

// New returns a forwarder that publishes over js's connection, which stays the
// caller's to close. It does no I/O. The error is about o.
func New(js jetstream.JetStream, o *Options) (*Forwarder, error) {
	if o == nil {
		o = &Options{}
	}
	if err := cloudevent.CheckSource(o.Source); err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	publisher, err := jetstream.New(js.Conn(), jetstream.WithPublishAsyncTimeout(ackWait))
	if err != nil {
		return nil, err
	}
	f := &Forwarder{conn: js.Conn(), publisher: publisher, streams: js, subject: o.Subject, source: o.Source}
	if f.subject == nil {
		f.subject = prefixed("audit")
	}
	return f, nil
}

func prefixed(prefix string) func(journal.Entry) string {
	return func(e journal.Entry) string { return prefix + "." + e.Action }
}

// errNotConnected is returned at once, where NATS would keep the messages until
// it is connected again: the journal keeps them better.
var errNotConnected = errors.New("nats: not connected to a server")

// Forward implements [forward.Forwarder].
func (f *Forwarder) Forward(ctx context.Context, entries []journal.Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !f.conn.IsConnected() {
		return errNotConnected
	}
	results := f.publish(ctx, entries)
	for i := range results {
		results[i].wait(ctx)
	}
	f.explain(ctx, results)
	return summary(results)
}

// result is what became of one entry.
type result struct {
	id      uuid.UUID
	subject string
	ack     jetstream.PubAckFuture
	err     error
}

// publish sends all entries in order. After an error that is not about one
// entry it sends no further ones, which could only overtake it.
func (f *Forwarder) publish(ctx context.Context, entries []journal.Entry) []result {
	results := make([]result, len(entries))
	var stopped error
	for i := range entries {
		r := &results[i]
		r.id, r.err = entries[i].ID, stopped
		if r.err == nil {
			r.err = ctx.Err()
		}
		if r.err != nil {
			continue
		}
		r.err = f.send(r, entries[i])
		var permanent *forward.PermanentError
		if r.err != nil && !errors.As(r.err, &permanent) {
			stopped = r.err
		}
	}
	return results
}

// send hands a message to the connection.
func (f *Forwarder) send(r *result, e journal.Entry) error {
	r.subject = f.subject(e)
	if err := checkSubject(r.subject); err != nil {
		return forward.Permanent(reasonSubject, err)
	}
	body, err := cloudevent.Encode(e, f.source)
	if err != nil {
		return forward.Permanent(reasonEvent, err)
	}
	msg := nats.NewMsg(r.subject)
	msg.Data = body
	msg.Header.Set(jetstream.MsgIDHeader, e.ID.String())
	msg.Header.Set("Content-Type", cloudevent.ContentType)
	// The library would send this one again later, behind those that follow.
	r.ack, err = f.publisher.PublishMsgAsync(msg, jetstream.WithRetryAttempts(0))
	if errors.Is(err, nats.ErrMaxPayload) {
		err = forward.Permanent(reasonPayload, fmt.Errorf("%d bytes: %w", len(body), err))
	}
	return err
}

// wait waits for the acknowledgement of a message that was sent.
func (r *result) wait(ctx context.Context) {
	if r.err != nil {
		return
	}
	// What has come already counts, even if the context has ended since.
	select {
	case <-r.ack.Ok():
		return
	default:
	}
	select {
	case <-r.ack.Ok():
	case r.err = <-r.ack.Err():
	case <-ctx.Done():
		r.err = fmt.Errorf("nats: no acknowledgement from %s: %w", r.subject, ctx.Err())
	}
}
