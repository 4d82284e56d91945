package legacy_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }
