package river_test

import (
	"testing"

	riverqueue "github.com/riverqueue/river"

	"github.com/go-aftercommit/aftercommit/forward/river"
)

// TestNewPanics where River refuses the Config.
func TestNewPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New did not panic")
		}
	}()
	river.New(&river.Options{Config: &riverqueue.Config{MaxAttempts: -1}})
}
