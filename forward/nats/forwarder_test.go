package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	natsforward "github.com/go-aftercommit/aftercommit/forward/nats"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

var audit = jetstream.StreamConfig{Name: "AUDIT", Subjects: []string{"audit.>", "a.>"}}

// silent is a stream that stores, and does not say so.
func silent() jetstream.StreamConfig {
	c := audit
	c.NoAck = true
	return c
}

func TestConformance(t *testing.T) {
	sqltest.TestForwarder(t, func(t *testing.T) sqltest.Subject {
		b := newBroker(t, nil)
		b.stream(t, audit)
		return sqltest.Subject{
			Forwarder: b.forwarder(t, nil),
			Read:      func(ctx context.Context) ([]uuid.UUID, error) { return b.ids(ctx, "AUDIT") },
			Break:     b.stop,
			Hang:      func() { b.stream(t, silent()) },
		}
	})
}

func TestMessage(t *testing.T) {
	b := newBroker(t, nil)
	b.stream(t, audit)
	entries := batch("order.placed")
	entries[0].Metadata = map[string]any{"total": json.Number("12.50")}
	if err := b.forwarder(t, nil).Forward(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	all, err := b.messages(t.Context(), "AUDIT")
	if err != nil || len(all) != 1 {
		t.Fatal(len(all), err)
	}
	m := all[0]
	if m.Subject != "audit.order.placed" {
		t.Errorf("the subject is %s", m.Subject)
	}
	for name, want := range map[string]string{"Nats-Msg-Id": entries[0].ID.String(), "Content-Type": "application/cloudevents+json"} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	var event struct{ Data journal.Entry }
	if err := json.Unmarshal(m.Data, &event); err != nil {
		t.Fatal(err)
	}
	entries[0].Metadata["total"] = 12.5
	if !reflect.DeepEqual(event.Data, entries[0]) {
		t.Errorf("the data is\n%+v\nand not\n%+v", event.Data, entries[0])
	}
}

func TestSubject(t *testing.T) {
	b := newBroker(t, nil)
	b.stream(t, jetstream.StreamConfig{Name: "SHOP", Subjects: []string{"shop.*.events"}})
	entries := batch("order.placed", "order.paid")
	entries[0].TenantID, entries[1].TenantID = "one", "two"
	f := b.forwarder(t, &natsforward.Options{Subject: func(e journal.Entry) string { return "shop." + e.TenantID + ".events" }})
	if err := f.Forward(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	all, err := b.messages(t.Context(), "SHOP")
	if err != nil || len(all) != 2 || all[0].Subject != "shop.one.events" || all[1].Subject != "shop.two.events" {
		t.Error(all, err)
	}
}

// TestRedelivery gives the stream a batch again that it has, from a process that
// does not know of the first.
func TestRedelivery(t *testing.T) {
	b := newBroker(t, nil)
	b.stream(t, audit)
	entries := batch("order.placed", "order.paid", "order.sent")
	for range 2 {
		if err := b.forwarder(t, nil).Forward(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
	}
	b.has(t, "AUDIT", entries...)
}

// TestRestart ends the server when it has a batch and has not said so.
func TestRestart(t *testing.T) {
	b := newBroker(t, nil)
	b.stream(t, silent())
	f := b.forwarder(t, nil)
	entries := batch("order.placed", "order.paid", "order.sent")
	stored, err := b.conn.SubscribeSync("audit.>")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.Forward(t.Context(), entries) }()
	for range entries {
		if _, err = stored.NextMsg(patience); err != nil {
			t.Fatal(err)
		}
	}
	b.stop()
	transient(t, <-done)
	transient(t, f.Forward(t.Context(), entries)) // and at once, while it is away

	b.start(t)
	<-b.reconnected
	b.stream(t, audit)
	if err := f.Forward(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	b.has(t, "AUDIT", entries...)
}

// TestClosed closes the connection under a batch: what follows must not be tried,
// it could only overtake.
func TestClosed(t *testing.T) {
	b := newBroker(t, nil)
	b.stream(t, audit)
	calls := 0
	f := b.forwarder(t, &natsforward.Options{Subject: func(e journal.Entry) string {
		calls++
		b.conn.Close()
		return "audit." + e.Action
	}})
	transient(t, f.Forward(t.Context(), batch("order.placed", "order.paid")))
	if calls != 1 {
		t.Errorf("%d messages were made for a closed connection", calls)
	}
	transient(t, f.Forward(t.Context(), batch("order.sent")))
	if calls != 1 {
		t.Error("a message was made for a connection that was known to be closed")
	}
}

// TestCancelledWhileSending: when the context ends, no further entry is sent.
func TestCancelledWhileSending(t *testing.T) {
	b := newBroker(t, nil)
	b.stream(t, audit)
	c, cancel := context.WithCancel(t.Context())
	calls := 0
	f := b.forwarder(t, &natsforward.Options{Subject: func(e journal.Entry) string {
		calls++
		cancel()
		return "audit." + e.Action
	}})
	if err := f.Forward(c, batch("order.placed", "order.paid")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if calls != 1 {
		t.Errorf("%d messages were made, of which the second was not wanted any more", calls)
	}
}

func TestSource(t *testing.T) {
	b := newBroker(t, nil)
	for source, ok := range map[string]bool{
		"": true, "/shop": true, "https://shop.example/orders?x=1#y": true, "urn:uuid:7": true, "shop%20one": true,
		"shop one": false, "%zz": false, "/geschäft": false, "a\nb": false, "{shop}": false,
	} {
		if _, err := natsforward.New(b.js, &natsforward.Options{Source: source}); (err == nil) != ok {
			t.Errorf("%q: %v", source, err)
		}
	}
}
