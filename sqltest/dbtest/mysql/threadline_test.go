package mysql_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// TestTimeline: threadline says that it has no timeline here, also to a caller that is no
// Hub and does not say what the database speaks.
func TestTimeline(t *testing.T) {
	w := newWorld(t)
	err := threadline.NewForwarder(nil).Forward(forward.WithConn(context.Background(), w.bare), make([]journal.Entry, 1))
	var permanent *forward.PermanentError
	if !errors.As(err, &permanent) || permanent.Reason != "unsupported_database" || !strings.Contains(err.Error(), "MariaDB") {
		t.Errorf("error %v", err)
	}
}
