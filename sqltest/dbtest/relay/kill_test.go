package relay_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestKill: writers and relays are processes that are killed all the time, or frozen
// for longer than a lease; the server crashes and connections are cut. What was committed is delivered: in a
// table of the same database once, in a file at least once, in order.
func TestKill(t *testing.T) {
	kills := 20
	if long() {
		kills = 400
	}
	a := newArena(t, dbtest.Seed(t), []string{"writer", "relay", "relay", "writer", "relay"}, inTable, inFile)
	if a.torment(kills) {
		a.finish()
	}
}

// torment kills, freezes, cuts off and crashes so many times, and reports false if
// the test is over before.
func (a *arena) torment(kills int) bool {
	a.Helper()
	for i := range kills {
		select {
		case <-a.Context().Done():
			return false
		case <-time.After(time.Duration(50+a.rng.IntN(300)) * time.Millisecond):
		}
		switch {
		case i%10 == 9:
			a.cluster.Crash(a.T)
			a.cluster.Restart(a.T)
		case i%8 == 3:
			a.proxy.DropAll()
		case i%4 == 1:
			a.thaw()
			a.freeze(a.rng.IntN(len(a.victims)))
		default:
			a.kill(a.rng.IntN(len(a.victims)))
		}
	}
	return true
}

// arena is a server of its own, and the processes on it.
type arena struct {
	*world
	cluster *dbtest.Cluster
	proxy   *dbtest.Proxy
	rng     *rand.Rand
	seed    uint64
	dir     string
	roles   []string
	victims []*exec.Cmd
	frozen  *exec.Cmd // nil if none is
	stderr  *os.File
	killed  map[string]int
}

func newArena(t *testing.T, seed uint64, roles []string, forwarders ...string) *arena {
	t.Helper()
	c := dbtest.Start(t, &dbtest.Options{Durable: true})
	a := &arena{
		world:   newWorld(t, dbtest.PGX.With("pgx", func(tb testing.TB) string { tb.Helper(); return c.Database(tb) })),
		cluster: c, proxy: dbtest.NewProxy(t, c.Addr()), rng: rand.New(rand.NewPCG(seed, 0)), seed: seed,
		dir: t.TempDir(), roles: roles, killed: make(map[string]int),
	}
	(&table{}).create(a.world)
	for _, n := range forwarders {
		a.must(a.store.Register(ctx, a.db, n))
	}
	a.must(a.store.Retire(ctx, a.db, name))
	var err error
	a.stderr, err = appendTo(filepath.Join(a.dir, "stderr"))
	a.must(err)
	a.victims = make([]*exec.Cmd, len(roles))
	for i := range roles {
		a.spawn(i)
	}
	t.Cleanup(func() {
		for i := range a.victims {
			a.end(i)
		}
		_ = a.stderr.Close()
	})
	return a
}

func (a *arena) path(role string) string { return filepath.Join(a.dir, role) }

// spawn starts a process, with one driver directly on the server, with the other
// through the proxy, or the other way round.
func (a *arena) spawn(i int) {
	a.Helper()
	dsn, driver := a.dsn, dbtest.PGX.Driver
	if i%2 == 1 {
		dsn = dbtest.Via(dsn, a.proxy.Addr())
	}
	if a.rng.IntN(2) == 0 {
		driver = dbtest.PQ.Driver
	}
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+a.roles[i], driverEnv+"="+driver, dsnEnv+"="+dsn, fileEnv+"="+a.path(a.roles[i]))
	cmd.Stderr = a.stderr
	_, err := cmd.StdinPipe() // open as long as this process lives
	a.must(err)
	a.must(cmd.Start())
	a.victims[i] = cmd
}

// end kills a process.
func (a *arena) end(i int) {
	if cmd := a.victims[i]; cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		a.victims[i] = nil
	}
}

// freeze stops a process where it is, until thaw.
func (a *arena) freeze(i int) {
	a.Helper()
	a.frozen = a.victims[i]
	a.must(a.frozen.Process.Signal(syscall.SIGSTOP))
	a.killed["frozen "+a.roles[i]]++
}

// thaw lets the process that is frozen go on, unless it was killed.
func (a *arena) thaw() {
	if a.frozen != nil {
		_ = a.frozen.Process.Signal(syscall.SIGCONT)
		a.frozen = nil
	}
}

func (a *arena) kill(i int) {
	a.Helper()
	a.end(i)
	a.killed[a.roles[i]]++
	a.spawn(i)
}

// endAll kills all, and connects again.
func (a *arena) endAll() {
	a.Helper()
	for i := range a.victims {
		a.end(i)
	}
	a.db = dbtest.Open(a.T, a.e.Driver, a.dsn)
}

// finish kills all, delivers what is left, and checks what came.
func (a *arena) finish() {
	a.Helper()
	defer func() {
		if a.Failed() {
			a.Logf("AFTERCOMMIT_SEED=%d kills in the same order", a.seed)
		}
	}()
	a.endAll()
	file, err := appendTo(a.path("relay"))
	a.must(err)
	defer file.Close()
	calm := &process{w: a.world, calm: true}
	r := relay.Start(a.store, a.db, relay.Config{
		Targets: []relay.Target{(&table{name: inTable}).target(calm), fileTarget(file, 0)}, Lease: time.Second, Poll: 10 * time.Millisecond,
	})
	a.drain(r)
	a.must(r.Stop(ctx))
	a.check()
}

func (a *arena) check() {
	a.Helper()
	seqs := make(map[string]string)
	for n, e := range a.entries() {
		seqs[n] = place(&e)
	}
	acknowledged, err := readLines(a.path("writer"))
	a.must(err)
	for _, n := range acknowledged {
		if _, ok := seqs[n]; !ok {
			a.Errorf("%s was committed, and the journal does not have it", n)
		}
	}
	for _, wrong := range faults(seqs, (&table{name: inTable}).read(a.world)) {
		a.Errorf("the table: %s", wrong)
	}
	once, again := a.readFile(a.path("relay"), false)
	for _, wrong := range faults(seqs, once) {
		a.Errorf("the file: %s", wrong)
	}
	failed, err := a.store.Failures(ctx, a.db, "", false, 0)
	a.must(err)
	if len(failed) > 0 {
		a.Errorf("%d failures, one of them %+v", len(failed), failed[0])
	}
	a.checkProcesses(len(acknowledged))
	a.Logf("seed %d: killed %v; %d events, of which %d came to the file again", a.seed, a.killed, len(seqs), again)
}

// checkProcesses checks that processes have committed something, and broken nothing.
func (a *arena) checkProcesses(acknowledged int) {
	a.Helper()
	text, err := os.ReadFile(a.stderr.Name())
	a.must(err)
	for _, sign := range []string{"panic:", "DATA RACE"} {
		if strings.Contains(string(text), sign) {
			a.Errorf("a process wrote: %s", text)
		}
	}
	if acknowledged == 0 {
		a.Errorf("nothing was committed: %s", text)
	}
}

// failedAlone returns the events of which a forwarder's file notes that they failed in a call
// by themselves.
func (a *arena) failedAlone(path string) map[string]bool {
	a.Helper()
	failed := make(map[string]bool)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return failed
	}
	lines, err := readLines(path)
	a.must(err)
	for _, line := range lines {
		if words := strings.Fields(line); len(words) == 4 && words[3] == failedAlone {
			failed[words[0]] = true
		}
	}
	return failed
}

// readFile returns what came to a file of a fileTarget first, and how many came again.
// Where probes are made, what came alone may have come ahead, or have failed before.
func (a *arena) readFile(path string, probes bool) (once []delivered, again int) {
	a.Helper()
	lines, err := readLines(path)
	a.must(err)
	came, failed := make(map[string]bool), a.failedAlone(path)
	for _, line := range lines {
		var (
			d    delivered
			n    int
			mark string
		)
		if _, err := fmt.Sscan(line, &d.event, &d.seq, &n, &mark); err != nil {
			continue // torn, when its process was killed
		}
		switch {
		case mark == failedAlone:
			continue
		case came[d.event]:
			again++
			continue
		}
		came[d.event] = true
		d.apart = probes && (n == 1 || failed[d.event])
		once = append(once, d)
	}
	return once, again
}
