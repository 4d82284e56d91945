package nats_test

import (
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward"
	natsforward "github.com/go-aftercommit/aftercommit/forward/nats"
)

// TestFromOptions: it connects by itself, and publishes under the prefix.
func TestFromOptions(t *testing.T) {
	b := newBroker(t, nil)
	b.stream(t, audit)
	f, err := natsforward.FromOptions(map[string]string{"url": b.server.ClientURL(), "source": "/shop", "prefix": "a.b"})
	if err != nil {
		t.Fatal(err)
	}
	if err = f.Forward(t.Context(), batch("order.placed")); err != nil {
		t.Fatal(err)
	}
	all, err := b.messages(t.Context(), "AUDIT")
	if err != nil || len(all) != 1 || all[0].Subject != "a.b.order.placed" || !strings.Contains(string(all[0].Data), `"source":"/shop"`) {
		t.Error(all, err)
	}
}

// TestConfigured: a forwarder that an operator has written down.
func TestConfigured(t *testing.T) {
	b := newBroker(t, nil)
	b.stream(t, audit)
	hub := forward.New(&forward.Options{Logger: zap.NewNop()})
	for text, ok := range map[string]bool{
		`[{"name": "nats", "options": {"url": "` + b.server.ClientURL() + `", "source": "/shop", "prefix": "a.b"}}]`: true,
		`[{"name": "nats", "id": "down", "options": {"url": "nats://127.0.0.1:1"}}]`:                                 true, // it may come
		`[{"name": "nats"}]`: false,
		`[{"name": "nats", "options": {"url": "nats://127.0.0.1:1", "stream": "x"}}]`:        false,
		`[{"name": "nats", "options": {"url": "nats://127.0.0.1:1", "source": "a b"}}]`:      false,
		`[{"name": "nats", "options": {"url": "nats://127.0.0.1:1", "prefix": "audit.*"}}]`:  false,
		`[{"name": "nats", "options": {"url": "nats://127.0.0.1:1", "credentials": "/no"}}]`: false,
	} {
		specs, err := forward.ParseSpecs([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := hub.Configure(specs...); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}
