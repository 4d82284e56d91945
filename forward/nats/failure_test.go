package nats_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	natsforward "github.com/go-aftercommit/aftercommit/forward/nats"
)

// TestPayloadTooLarge: one entry that is too large leaves the others as they are.
func TestPayloadTooLarge(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*server.Options)
		stream int32
	}{
		"for the server": {func(o *server.Options) { o.MaxPayload = 4096 }, -1},
		"for the stream": {nil, 4096},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, tt.change)
			c := audit
			c.MaxMsgSize = tt.stream
			b.stream(t, c)
			entries := batch("order.placed", "order.paid", "order.sent")
			entries[1].Comment = strings.Repeat("x", 4096)
			failed := partial(t, b.forwarder(t, nil).Forward(t.Context(), entries))
			if len(failed) != 1 {
				t.Errorf("%d entries failed: %v", len(failed), failed)
			}
			permanent(t, failed[entries[1].ID], "payload_too_large")
			b.has(t, "AUDIT", entries[0], entries[2])
		})
	}
}

func TestNoStream(t *testing.T) {
	b := newBroker(t, nil)
	b.stream(t, jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"audit.order.*"}})
	entries := batch("order.placed", "user.created", "order.paid", "user.created")
	failed := partial(t, b.forwarder(t, nil).Forward(t.Context(), entries))
	if len(failed) != 2 {
		t.Errorf("%d entries failed: %v", len(failed), failed)
	}
	permanent(t, failed[entries[1].ID], "no_stream")
	permanent(t, failed[entries[3].ID], "no_stream")
	b.has(t, "ORDERS", entries[0], entries[2])

	b.stream(t, jetstream.StreamConfig{Name: "USERS", Subjects: []string{"audit.user.*"}})
	if err := b.forwarder(t, nil).Forward(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	b.has(t, "USERS", entries[1], entries[3])
	b.has(t, "ORDERS", entries[0], entries[2])
}

// TestNoJetStream: a server that has no JetStream, or not yet, says nothing about
// streams.
func TestNoJetStream(t *testing.T) {
	b := newBroker(t, func(o *server.Options) { o.JetStream = false })
	transient(t, b.forwarder(t, nil).Forward(t.Context(), batch("order.placed", "order.paid")))
}

// oracle answers which streams there are.
type oracle struct {
	jetstream.JetStream
	err   error
	asked []string
}

func (o *oracle) StreamNameBySubject(_ context.Context, subject string) (string, error) {
	o.asked = append(o.asked, subject)
	return "AUDIT", o.err
}

// TestNoAnswer: where nobody answers for a subject, JetStream decides whether it
// will always be so.
func TestNoAnswer(t *testing.T) {
	b := newBroker(t, nil)
	for name, tt := range map[string]struct {
		err   error
		asked string
	}{
		"there is a stream, without a leader": {nil, "audit.a.b audit.a.c"},
		"it does not say":                     {errors.New("timeout"), "audit.a.b"},
	} {
		t.Run(name, func(t *testing.T) {
			o := &oracle{JetStream: b.js, err: tt.err}
			transient(t, newForwarder(t, o, nil).Forward(t.Context(), batch("a.b", "a.b", "a.c")))
			if got := strings.Join(o.asked, " "); got != tt.asked {
				t.Errorf("it was asked for %s", got)
			}
		})
	}
}

func TestSubjects(t *testing.T) {
	b := newBroker(t, nil)
	b.stream(t, audit)
	long := "a." + strings.Repeat("b", 3798)
	for subject, ok := range map[string]bool{
		"a.b": true, "a.b*": true, "a.>b": true, "a.é": true, long: true,
		long + "b": false, "": false, "a.": false, ".a": false, "a..b": false, "a.*": false, "a.*.b": false, "a.>": false,
		"a.b c": false, "a.b\tc": false, "a.b\r\nPING": false, "a.\x00": false,
	} {
		entries := batch("order.placed", "order.paid")
		bad := entries[0].ID
		f := b.forwarder(t, &natsforward.Options{Subject: func(e journal.Entry) string {
			if e.ID == bad {
				return subject
			}
			return "audit.order.paid"
		}})
		err := f.Forward(t.Context(), entries)
		if ok {
			if err != nil {
				t.Errorf("%.40q: %v", subject, err)
			}
			continue
		}
		failed := partial(t, err)
		permanent(t, failed[bad], "invalid_subject")
		if len(failed) != 1 {
			t.Errorf("%.40q: it took others with it: %v", subject, failed)
		}
	}
	if b.conn.Stats().Reconnects > 0 {
		t.Error("the server has closed the connection")
	}
}
