package river

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestStopWhileTheServerHangs: the last heartbeat does not keep a program from stopping.
func TestStopWhileTheServerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, release := 0, make(chan struct{})
		p := &presence{log: slog.New(slog.DiscardHandler), place: func(context.Context) (string, error) {
			if calls++; calls > 1 {
				<-release // as lib/pq does, whatever the ctx is
			}
			return "", errors.New("no answer")
		}}
		p.start(t.Context())
		began := time.Now()
		p.stop()
		if took := time.Since(began); took != lastHeartbeatTime {
			t.Errorf("stop took %v, want %v", took, lastHeartbeatTime)
		}
		close(release)
		<-p.stopped
	})
}
