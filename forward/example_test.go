package forward_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// printer is a forwarder of an app's own: anything with a Forward method.
type printer struct{}

func (printer) Forward(_ context.Context, entries []journal.Entry) error {
	for _, e := range entries {
		fmt.Println(e.Action, "by", e.Actor.ID)
	}
	return nil
}

// A Hub is registered with a driver's name by driver.Register, beside its
// forwarders.
func Example_register() {
	audit := forward.New(&forward.Options{
		Logger:      zap.Must(zap.NewProduction()),
		Application: "shop",
	})
	audit.Register(printer{}, forward.Sync,
		forward.ID("payments"),
		forward.Filter(func(e journal.Entry) bool { return strings.HasPrefix(e.Action, "payment.") }),
		forward.Timeout(time.Second),
	)
	_, err := audit.Open(hooks.Database{Driver: "postgres-audited", Dialect: hooks.Postgres})
	fmt.Println(err)
	// Output: <nil>
}

// What an operator asks of a running program.
func ExampleHub_Status() {
	audit := forward.New(nil)
	s := audit.Status(context.Background())
	fmt.Println(s.Logged, "logged,", s.Failed, "failed,", s.Pending, "pending")
	// Output: 0 logged, 0 failed, 0 pending
}
