package forward

import (
	"database/sql"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestRelayOfNothing: a process that would deliver nothing says at once what to register.
func TestRelayOfNothing(t *testing.T) {
	err := New(nil).Relay(ctx, nil, hooks.Postgres)
	if err == nil || !strings.Contains(err.Error(), "register those of the apps") {
		t.Errorf("without forwarders: %v", err)
	}
	db := sql.OpenDB(nowhere{})
	defer db.Close()
	for dispatch, want := range map[Dispatch]int{Auto: 1, Async: 1, Sync: 0} {
		core, logs := observer.New(zap.WarnLevel)
		h := New(&Options{Queue: startsQueue{}, Logger: zap.New(core)})
		h.Register(idle{}, dispatch)
		_ = h.Relay(ctx, db, hooks.Postgres) // it cannot connect
		if n := logs.FilterMessageSnippet("call Hub.Work").Len(); n != want {
			t.Errorf("with a Queue and %v: %d warnings, want %d", dispatch, n, want)
		}
	}
}
