package dbtest

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

var shared struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

// Shared returns the cluster that all tests of this binary share, and starts it
// for the first one. Nobody may stop it.
func Shared(tb testing.TB) *Cluster {
	tb.Helper()
	bin := RequirePostgres(tb)
	shared.once.Do(func() { shared.cluster, shared.err = start(bin, nil) })
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.cluster
}

// Postgres creates an empty database in the shared cluster, which is dropped
// when the test ends, and returns its DSN.
func Postgres(tb testing.TB) string {
	tb.Helper()
	return Shared(tb).Database(tb)
}

// Main is the TestMain of binaries that use the shared cluster: it runs the
// tests, removes the cluster and exits.
func Main(m *testing.M) {
	code := m.Run()
	if shared.cluster != nil {
		if err := shared.cluster.remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}
