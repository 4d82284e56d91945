package journal_test

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestDurabilityWarning: where a confirmed commit can be taken back, the first
// connection says so, and no other.
func TestDurabilityWarning(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		fixed := "" // the tests' own server has it off
		if e.Dialect == hooks.Postgres {
			fixed = "fsync=off"
		}
		for _, tt := range []struct {
			name, set, want string
			dialect         hooks.Dialect
		}{
			{"as it comes", "SELECT 1", fixed, e.Dialect},
			{"asynchronous", "SET synchronous_commit = off", "synchronous_commit=off, fsync=off", hooks.Postgres},
			{"local", "SET synchronous_commit = local", fixed, hooks.Postgres},
			{"off", "PRAGMA synchronous = OFF", "synchronous=OFF", hooks.SQLite},
			{"normal", "PRAGMA synchronous = NORMAL", "", hooks.SQLite},
		} {
			if tt.dialect != e.Dialect {
				continue
			}
			t.Run(tt.name, func(t *testing.T) {
				core, logs := observer.New(zapcore.WarnLevel)
				dsn := e.DSN(t)
				db := dbtest.Open(t, e.Driver, dsn)
				hub := forward.New(&forward.Options{Logger: zap.New(core)})
				h, err := hub.Open(hooks.Database{Driver: "db-audited", Dialect: e.Dialect, Connector: base{db.Driver(), dsn}})
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					s := newSession(t, db)
					s.exec(tt.set)
					if err := h.Connect(ctx, s.conn); err != nil {
						t.Fatal(err)
					}
				}
				if err := hub.Close(ctx); err != nil {
					t.Error(err)
				}
				var got []string
				for _, l := range logs.All() {
					if settings, ok := l.ContextMap()["settings"].(string); ok {
						got = append(got, settings)
					}
				}
				if strings.Join(got, "; ") != tt.want {
					t.Errorf("warned of %q, want %q, once", got, tt.want)
				}
			})
		}
	})
}
