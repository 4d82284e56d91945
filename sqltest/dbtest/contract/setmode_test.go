package contract_test

import (
	sqldriver "database/sql/driver"
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestSetModeLostCommit: the event of a change of mode may be committed when the connection
// is lost, so the error must not be one after which the call is made again.
func TestSetModeLostCommit(t *testing.T) {
	for _, fault := range []dbtest.Fault{dbtest.CutBefore, dbtest.CutAnswer} {
		proxy := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
		dsn := dbtest.Via(dbtest.Postgres(t), proxy.Addr())
		name := dbtest.Name("setmode")
		driver.Register(name, "postgres", forward.New(&forward.Options{Relay: forward.RelayOff, Logger: zap.NewNop()}))
		db := dbtest.Open(t, name, dsn)
		if err := db.PingContext(ctx()); err != nil {
			t.Fatal(err)
		}
		proxy.Next(fault, func(q string) bool { return strings.Contains(q, "mode_changed") })
		err := driver.SetMode(ctx(), name, hooks.BestEffort)
		if err == nil || errors.Is(err, sqldriver.ErrBadConn) {
			t.Errorf("%v: %v", fault, err)
		}
	}
}
