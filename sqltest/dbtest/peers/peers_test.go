// Package peers_test runs the tests of lib/pq and pgx, as their modules bring
// them, bare and on the wrapped driver: what passes bare must pass wrapped.
//
// The tests are taken from the module cache, copied, and redirected by a few
// edits of their text, so nothing of them is kept here. By default one
// configuration runs for each peer; with AFTERCOMMIT_PEERS=all in the environment
// all do, with temporary tables captured too, and on the newest Go.
package peers_test

import (
	"os"
	"testing"

	// The go command builds the peers with these packages beside this test: it
	// must know that a result is stale when they have changed.
	_ "github.com/go-aftercommit/aftercommit/driver"
	_ "github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// newest is a Go version whose database/sql lets rows scan themselves.
const newest = "go1.27.1"

// configuration is a way to run a peer's tests wrapped.
type configuration struct {
	name string
	// env is for the driver and for what testdata/audited.go.txt makes of it.
	env []string
	// journal: events are written to the database. Without it the tests with
	// servers of their own run along.
	journal bool
	// events: there must be some afterwards.
	events bool
}

const (
	captureAll = "AFTERCOMMIT_PEERS_CAPTURE=all"
	recordEach = "AFTERCOMMIT_PEERS_RECORD=each"
	journalOff = "AFTERCOMMIT_PEERS_JOURNAL=off"
	bestEffort = "AFTERCOMMIT_MODE=best-effort"
	modeOff    = "AFTERCOMMIT_MODE=off"
)

var (
	capture  = configuration{name: "capture", env: []string{captureAll}, journal: true, events: true}
	lenient  = configuration{name: "best effort", env: []string{captureAll, bestEffort}, journal: true, events: true}
	recorded = configuration{name: "each transaction recorded", env: []string{captureAll, recordEach}, journal: true, events: true}
	others   = []configuration{
		recorded, lenient,
		{name: "each transaction recorded, best effort", env: []string{recordEach, bestEffort}, journal: true, events: true},
		{name: "nothing recorded", journal: true},
		{name: "no journal", env: []string{captureAll, journalOff}},
		{name: "off", env: []string{captureAll, modeOff}},
	}
)

func TestPeers(t *testing.T) {
	all := os.Getenv("AFTERCOMMIT_PEERS") == "all"
	for _, p := range []peer{libpq, pgx} {
		t.Run(p.name, func(t *testing.T) {
			h := newHost(t, p)
			configurations := []configuration{capture}
			if all {
				configurations = append(configurations, others...)
			}
			h.compare(t, variant{}, configurations)
			if !all {
				return
			}
			t.Run("temporary tables captured", func(t *testing.T) {
				h.compare(t, variant{hidden: true}, []configuration{capture, recorded, lenient})
			})
			t.Run(newest, func(t *testing.T) {
				requireToolchain(t, newest)
				h.compare(t, variant{toolchain: newest}, []configuration{capture, recorded})
				h.compare(t, variant{hidden: true, toolchain: newest}, []configuration{capture})
			})
		})
	}
}

func requireToolchain(t *testing.T, version string) {
	t.Helper()
	if _, err := goCommand(t, ".", []string{"GOTOOLCHAIN=" + version}, "version"); err != nil {
		t.Skip(err)
	}
}
