package nats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
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

// An audit trail that is published to JetStream. The program connects, makes the
// stream, and registers the forwarder before it opens its database.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "nats")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	broker, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	broker.Start()
	defer broker.WaitForShutdown()
	defer broker.Shutdown()
	broker.ReadyForConnections(patience)

	conn, err := nats.Connect(broker.ClientURL(), nats.MaxReconnects(-1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	if err = publish(context.Background(), conn); err != nil {
		fmt.Println(err)
	}
	// Output: audit.order.refunded: order/42, damaged in transit
}

func publish(ctx context.Context, conn *nats.Conn) error {
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	// Duplicates is the time in which an entry that comes again is dropped.
	stream, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: "AUDIT", Subjects: []string{"audit.>"}, Duplicates: time.Hour,
	})
	if err != nil {
		return err
	}
	events, err := natsforward.New(js, &natsforward.Options{Source: "https://shop.example"})
	if err != nil {
		return err
	}
	audit := forward.New(nil)
	audit.Register(events, forward.Async)
	// driver.Register("postgres-audited", "postgres", audit)

	// What the relay does with a committed entry:
	err = events.Forward(ctx, []journal.Entry{{Event: hooks.Event{
		ID: uuid.Must(uuid.NewV7()), OccurredAt: time.Now(), Action: "order.refunded", Outcome: hooks.Success,
		Target: hooks.Target{Type: "order", ID: "42"}, Reason: "damaged in transit",
	}}})
	if err != nil {
		return err
	}

	msg, err := stream.GetMsg(ctx, 1)
	if err != nil {
		return err
	}
	var event struct {
		Subject string
		Data    journal.Entry
	}
	if err = json.Unmarshal(msg.Data, &event); err != nil {
		return err
	}
	fmt.Printf("%s: %s, %s\n", msg.Subject, event.Subject, event.Data.Reason)
	return nil
}
