package roles_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestRelayGrants: whatever a role lacks, Hub.Relay says all that it needs at once; with
// that it relays.
func TestRelayGrants(t *testing.T) {
	for _, e := range dbtest.PostgresEngines() {
		t.Run(e.Name, func(t *testing.T) {
			for name, grant := range map[string]string{
				"nothing": "",
				"usage":   "GRANT USAGE ON SCHEMA aftercommit TO {role}",
				"README's": "GRANT USAGE ON SCHEMA aftercommit TO {role}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO {role}; " +
					"GRANT SELECT ON aftercommit.journal, aftercommit.audit_events TO {role}",
			} {
				t.Run(name, func(t *testing.T) {
					w := newWorld(t, e)
					w.install()
					s := w.stranger()
					if grant != "" {
						s.grant(grant)
					}
					hub := forward.New(&forward.Options{Logger: zap.NewNop()})
					hub.Register(&sink{}, forward.Async)
					c, stop := context.WithCancel(ctx)
					defer stop()
					err := hub.Relay(c, s.db, hooks.Postgres)
					var setup *journal.SetupError
					if !errors.As(err, &setup) || strings.Count(err.Error(), "GRANT USAGE") != 1 || !strings.Contains(err.Error(), setup.SQL) ||
						!strings.Contains(err.Error(), s.ownerRole) || !strings.Contains(setup.SQL, s.role) {
						t.Fatalf("Relay: %v", err)
					}
					s.grant(setup.SQL)
					done := make(chan error, 1)
					go func() { done <- hub.Relay(c, s.db, hooks.Postgres) }()
					w.until("it relays", func() bool {
						all := hub.Status(ctx).Databases
						return len(done) > 0 || len(all) == 1 && all[0].Err == nil && len(all[0].Forwarders) == 1 && all[0].Forwarders[0].Holder != ""
					})
					stop()
					w.must(<-done)
				})
			}
		})
	}
}
