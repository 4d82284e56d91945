package chance_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestChaos: COMMITs and their answers are cut off at random. Once everything
// is settled, rows, journal and forwarder agree.
func TestChaos(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 300
	}
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, 0, dbtest.NewProxy(t, dbtest.Shared(t).Addr()))
		w.playAll(dbtest.Seed(t), 6, n)
		w.proxy.Next(dbtest.CutBefore, func(string) bool { return false }) // the last one may not have happened
		w.settle()
		w.judge("p")
		w.busy(n)
	}, dbtest.PostgresCommitEngines()...)
}
