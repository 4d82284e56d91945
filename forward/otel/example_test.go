package otel_test

import (
	"fmt"

	"github.com/go-aftercommit/aftercommit/forward"
	auditotel "github.com/go-aftercommit/aftercommit/forward/otel"
)

// The audit trail's metrics, by OpenTelemetry's global meter provider.
func ExampleNew() {
	metrics, err := auditotel.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	audit := forward.New(&forward.Options{Observer: metrics})
	err = metrics.Watch(audit)
	fmt.Println(err)
	// Output: <nil>
}
