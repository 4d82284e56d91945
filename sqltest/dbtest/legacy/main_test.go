package legacy_test

import (
	"testing"

	// The go command builds the apps with these packages beside this test: it
	// must know that a result is stale when they have changed.
	_ "github.com/go-aftercommit/aftercommit/driver"
	_ "github.com/go-aftercommit/aftercommit/forward"
	_ "github.com/go-aftercommit/aftercommit/hooks/reqctx"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }
