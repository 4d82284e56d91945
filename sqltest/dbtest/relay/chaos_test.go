package relay_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// chaosBound is how long good events wait, at most, for a process that lives, whatever
// those before it have left behind: three pauses of the sink.
const chaosBound = 3 * time.Minute

// TestChaos is TestKill with transactions of all kinds, and with sinks that are slower
// than a lease, hang, or do not accept some events. Each good event is delivered
// in order to each sink, soon after the chaos; what is marked is discarded, and
// nothing else.
func TestChaos(t *testing.T) {
	kills := 25
	if long() {
		kills = 1500
	}
	forwarders := []string{inTable, inFile, slowly, hangs, poisoned, poisonedInTable}
	a := newArena(t, dbtest.Seed(t), []string{"authors", "troubled", "troubled", "authors", "troubled"}, forwarders...)
	if !a.torment(kills) {
		return
	}
	a.endAll()
	a.endPrepared()
	_, err := a.db.ExecContext(ctx, "UPDATE aftercommit.cursors SET holder = NULL, lease_until = NULL")
	a.must(err)
	targets, err := troubledTargets(a.path("troubled"), true)
	a.must(err)
	for _, target := range targets {
		a.catchUp(target)
	}
	a.checkChaos(forwarders)
}

// endPrepared ends what is prepared, and lets go of what only dead processes wait for.
func (a *arena) endPrepared() {
	a.Helper()
	conn, err := a.db.Conn(ctx)
	a.must(err)
	defer conn.Close()
	a.must(settlePrepared(conn, a.rng, "0 s"))
}

// proof is the transaction whose events are recorded so that a sink accepts something:
// without that no attempt counts.
const proof = "proof"

// catchUp delivers to a target what is left, in virtual time, until nothing is to be
// tried again.
func (a *arena) catchUp(target relay.Target) {
	a.Helper()
	c := &hurried{now: time.Now()}
	began, last := c.now, c.now
	deliver := target.Deliver
	target.Deliver = func(ctx context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
		r := deliver(ctx, db, entries)
		if r.Err == nil && last.Before(c.now) {
			last = c.now // the worker's goroutine has both
		}
		return r
	}
	r := relay.Start(a.store, a.db, relay.Config{Targets: []relay.Target{target}, Clock: c})
	a.drain(r)
	a.must(r.Stop(ctx))
	if waited := last.Sub(began); waited > chaosBound {
		a.Errorf("%s: good events were delivered after %v, want at most %v", target.Name, waited, chaosBound)
	}
	r = relay.Start(a.store, a.db, relay.Config{Targets: []relay.Target{target}, Clock: c})
	for i := range 10_000 {
		if len(a.retried(target.Name)) == 0 {
			break
		}
		a.commit(fmt.Sprintf("%s.%s.%d", proof, target.Name, i))
		a.drain(r)
	}
	a.must(r.Stop(ctx))
}

func (a *arena) retried(forwarder string) []relay.Failed {
	a.Helper()
	f, err := a.store.Failures(ctx, a.db, forwarder, false, 0)
	a.must(err)
	return f
}

// hurried is a clock whose waits pass at once. One worker uses it.
type hurried struct{ now time.Time }

// Now implements relay.Clock.
func (c *hurried) Now() time.Time { return c.now }

// After implements relay.Clock.
func (c *hurried) After(d time.Duration) <-chan time.Time {
	c.now = c.now.Add(d)
	now := make(chan time.Time, 1)
	now <- c.now
	return now
}

// checkChaos compares what was committed with what came to each sink.
func (a *arena) checkChaos(forwarders []string) {
	a.Helper()
	defer func() {
		if a.Failed() {
			a.Logf("AFTERCOMMIT_SEED=%d kills in the same order", a.seed)
		}
	}()
	entries := a.entries()
	maps.DeleteFunc(entries, func(n string, _ journal.Entry) bool { return isProof(n) })
	a.checkOutcomes(entries)
	for _, f := range forwarders {
		poison := f == poisoned || f == poisonedInTable
		seqs, lost := make(map[string]string), make(map[uuid.UUID]bool)
		for n, e := range entries {
			if poison && marked(n) {
				lost[e.ID] = true
			} else {
				seqs[n] = place(&e)
			}
		}
		got := a.received(f)
		for _, wrong := range faults(seqs, got) {
			a.Errorf("%s: %s", f, wrong)
		}
		a.checkDiscarded(f, lost)
	}
}

func isProof(event string) bool { return strings.HasPrefix(event, proof+".") }

// checkOutcomes checks that the journal has what was committed, and nothing that was
// rolled back.
func (a *arena) checkOutcomes(entries map[string]journal.Entry) {
	a.Helper()
	path := a.path("authors")
	committed, err := readLines(path)
	a.must(err)
	undone, err := readLines(undoneFile(path))
	a.must(err)
	for _, n := range committed {
		if _, ok := entries[n]; !ok {
			a.Errorf("%s was committed, and the journal does not have it", n)
		}
	}
	for _, n := range undone {
		if _, ok := entries[n]; ok {
			a.Errorf("%s was rolled back, and the journal has it", n)
		}
	}
	a.checkProcesses(min(len(committed), len(undone)))
	a.Logf("seed %d: killed %v; %d events, %d known to be rolled back", a.seed, a.killed, len(entries), len(undone))
}

// received is what came to a forwarder first, or all of it where nothing comes again.
func (a *arena) received(forwarder string) (got []delivered) {
	a.Helper()
	again := 0
	failed := a.failedAlone(sinkFile(a.path("troubled"), forwarder))
	if forwarder == inTable || forwarder == poisonedInTable {
		got = (&table{name: forwarder}).read(a.world)
		for i := range got {
			got[i].apart = failed[got[i].event]
		}
	} else {
		got, again = a.readFile(sinkFile(a.path("troubled"), forwarder), forwarder == hangs || forwarder == poisoned)
	}
	got = slices.DeleteFunc(got, func(d delivered) bool { return isProof(d.event) })
	a.Logf("%s: %d came, %d of them again", forwarder, len(got), again)
	return got
}

// checkDiscarded checks that these are discarded, and nothing is to be tried again.
func (a *arena) checkDiscarded(forwarder string, lost map[uuid.UUID]bool) {
	a.Helper()
	if f := a.retried(forwarder); len(f) > 0 {
		a.Errorf("%s: %d are still to be tried again, one of them %+v", forwarder, len(f), f[0])
	}
	const most = 1_000_000
	discarded, err := a.store.Failures(ctx, a.db, forwarder, true, most)
	a.must(err)
	for _, f := range discarded {
		if !lost[f.EventID] {
			a.Errorf("%s: a good event was discarded: %+v", forwarder, f)
		}
		delete(lost, f.EventID)
	}
	if len(lost) > 0 {
		a.Errorf("%s: %d marked events were not discarded", forwarder, len(lost))
	}
}
