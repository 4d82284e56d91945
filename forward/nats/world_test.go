package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	natsforward "github.com/go-aftercommit/aftercommit/forward/nats"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// broker is a NATS server in this process, and a connection to it.
type broker struct {
	options     server.Options
	server      *server.Server
	conn        *nats.Conn
	js          jetstream.JetStream
	reconnected chan struct{}
}

func newBroker(t *testing.T, change func(*server.Options)) *broker {
	t.Helper()
	b := &broker{
		options:     server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true},
		reconnected: make(chan struct{}, 1),
	}
	if change != nil {
		change(&b.options)
	}
	b.start(t)
	t.Cleanup(func() { b.stop() })
	b.options.Port = b.server.Addr().(*net.TCPAddr).Port
	var err error
	b.conn, err = nats.Connect(b.server.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond),
		nats.ReconnectHandler(func(*nats.Conn) { b.reconnected <- struct{}{} }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.conn.Close)
	if b.js, err = jetstream.New(b.conn); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *broker) start(t *testing.T) {
	t.Helper()
	options := b.options // the server keeps and changes them
	s, err := server.NewServer(&options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	b.server = s
}

func (b *broker) stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// stream creates a stream, or changes it.
func (b *broker) stream(t *testing.T, c jetstream.StreamConfig) {
	t.Helper()
	if _, err := b.js.CreateOrUpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func (b *broker) forwarder(t *testing.T, o *natsforward.Options) *natsforward.Forwarder {
	t.Helper()
	return newForwarder(t, b.js, o)
}

func newForwarder(t *testing.T, js jetstream.JetStream, o *natsforward.Options) *natsforward.Forwarder {
	t.Helper()
	f, err := natsforward.New(js, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// messages returns what a stream has, in its order.
func (b *broker) messages(ctx context.Context, stream string) (all []*jetstream.RawStreamMsg, err error) {
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(ctx, seq)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// ids returns those of the CloudEvents in a stream.
func (b *broker) ids(ctx context.Context, stream string) (ids []uuid.UUID, err error) {
	all, err := b.messages(ctx, stream)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		var event struct {
			ID uuid.UUID `json:"id"`
		}
		if err := json.Unmarshal(m.Data, &event); err != nil {
			return nil, err
		}
		ids = append(ids, event.ID)
	}
	return ids, nil
}

// has checks that a stream has exactly the messages of some entries, in order.
func (b *broker) has(t *testing.T, stream string, want ...journal.Entry) {
	t.Helper()
	got, err := b.ids(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := fmt.Sprint(got), fmt.Sprint(idsOf(want)); a != b {
		t.Errorf("the stream %s has\n%s\nand not\n%s", stream, a, b)
	}
}

func idsOf(entries []journal.Entry) []uuid.UUID {
	ids := make([]uuid.UUID, len(entries))
	for i := range entries {
		ids[i] = entries[i].ID
	}
	return ids
}

// batch returns an entry for each action.
func batch(actions ...string) []journal.Entry {
	at := time.Date(2026, 3, 14, 15, 9, 26, 535897000, time.UTC)
	entries := make([]journal.Entry, len(actions))
	for i, action := range actions {
		entries[i] = journal.Entry{
			Event: hooks.Event{
				ID: uuid.Must(uuid.NewV7()), OccurredAt: at, Action: action, Outcome: hooks.Success,
				Target: hooks.Target{Type: "order", ID: "42"},
			},
			Position: journal.Position{Ordinal: i}, Tx: journal.TxKey{ID: 7, StartedAt: at}, RecordedAt: at,
		}
	}
	return entries
}

// partial returns the errors by event that err has.
func partial(t *testing.T, err error) map[uuid.UUID]error {
	t.Helper()
	var p *forward.PartialError
	if !errors.As(err, &p) {
		t.Fatalf("%v is no partial error", err)
	}
	return p.Failed
}

// permanent checks that err will come again, and why.
func permanent(t *testing.T, err error, reason string) {
	t.Helper()
	var p *forward.PermanentError
	if !errors.As(err, &p) || p.Reason != reason {
		t.Errorf("%v is no permanent error with the reason %s", err, reason)
	}
}

// transient checks that err is one that may pass, of the sink as a whole.
func transient(t *testing.T, err error) {
	t.Helper()
	var (
		p *forward.PermanentError
		q *forward.PartialError
	)
	if err == nil || errors.As(err, &p) || errors.As(err, &q) {
		t.Errorf("%v is no error that may pass", err)
	}
}
