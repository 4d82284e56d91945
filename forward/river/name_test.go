package river_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/river"
)

// TestQueueName: River takes it, and no two forwarders share one.
func TestQueueName(t *testing.T) {
	form := regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)
	seen := make(map[string]string)
	for _, name := range []string{
		"threadline.Forwarder/default", "threadline.forwarder/default", "threadline_Forwarder/default", "main.Sink/Büro 7", "", "/",
		strings.Repeat("x", 100), strings.Repeat("x", 101), strings.Repeat("x./", 33), "main.sink/" + strings.Repeat("_", 70),
	} {
		q := river.QueueName(name)
		if !form.MatchString(q) || len(q) > 64 {
			t.Errorf("%q: %q is no name of a queue", name, q)
		}
		if other, ok := seen[q]; ok {
			t.Errorf("%q and %q share %q", name, other, q)
		}
		seen[q] = name
	}
	const name, want = "threadline.Forwarder/default", "aftercommit_threadline_forwarder_default_"
	if q := river.QueueName(name); !strings.HasPrefix(q, want) {
		t.Errorf("%q has the queue %q, want %q", name, q, want)
	}
}
