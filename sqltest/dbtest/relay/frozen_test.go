package relay_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// having matches statements with that part.
func having(part string) func(string) bool {
	return func(query string) bool { return strings.Contains(query, part) }
}

// frozenLease is that of processes that are frozen.
const frozenLease = time.Second

// fussy is a target that appends a line for each entry, and refuses for good what
// is called bad, with the reason who.
func fussy(file *os.File, who string) relay.Target {
	target := fileTarget(file, 0)
	deliver := target.Deliver
	target.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
		r := relay.Result{Failed: make(map[uuid.UUID]relay.Failure)}
		var taken []journal.Entry
		for _, e := range entries {
			if e.Target.ID == "bad" {
				r.Failed[e.ID] = relay.Failure{Reason: who, Permanent: true, Err: errTransient}
				continue
			}
			taken = append(taken, e)
		}
		if err := deliver(c, db, taken).Err; err != nil {
			r.Err = err
		}
		return r
	}
	return target
}

func frozenTargets(file *os.File, who string) []relay.Target {
	inDB := (&table{name: inTable}).target(&process{calm: true})
	inDB.Timeout = frozenLease
	return []relay.Target{inDB, fussy(file, who)}
}

// freezable is a relay that its parent stops and continues.
func (v *victim) freezable() {
	s, err := relay.New(hooks.Postgres, nil)
	exitOn(err)
	relay.Start(s, v.db, relay.Config{Targets: frozenTargets(v.file, "frozen"), Holder: "frozen", Lease: frozenLease, Poll: 10 * time.Millisecond})
	select {}
}

// TestFrozen: a holder is frozen, with its connections open, wherever it is. Another
// process takes over. The first one, when it goes on, writes nothing, and is a
// candidate again.
func TestFrozen(t *testing.T) {
	const move = ", moved_at = "
	for _, at := range []struct {
		name  string
		fault dbtest.Fault
		match string
		same  bool
	}{
		{"within a delivery", dbtest.HoldAnswer, "INSERT INTO delivered", true},
		{"before its row is updated", dbtest.HoldStatement, "WITH moved AS", true},
		{"after its row is updated", dbtest.HoldAnswer, move, false},
		{"with the update on its way", dbtest.HoldStatement, move, false},
		{"while it reads", dbtest.HoldAnswer, "ORDER BY e.xid, e.key LIMIT", true},
	} {
		t.Run(at.name, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				w := newWorld(t, e)
				(&table{}).create(w)
				_, err := w.db.ExecContext(ctx, "CREATE UNIQUE INDEX ON delivered (forwarder, seq)")
				w.must(err)
				w.must(w.store.Retire(ctx, w.db, name))
				forwarder := inFile
				if at.same {
					forwarder = inTable
				}
				w.must(w.store.Register(ctx, w.db, forwarder))
				w.frozen(forwarder, at.fault, at.match)
			}, dbtest.PostgresEngines()...)
		})
	}
}

func (w *world) frozen(forwarder string, fault dbtest.Fault, match string) {
	w.Helper()
	p := dbtest.NewProxy(w.T, dbtest.Shared(w.T).Addr())
	dir := w.TempDir()
	if forwarder == inFile {
		w.commit("a", "bad", "b")
	} else {
		w.commit("a", "b")
	}
	trap := p.Next(fault, having(match))
	defer trap.Release()
	child := w.spawn("freezable", dbtest.Via(w.dsn, p.Addr()), filepath.Join(dir, "frozen"))
	<-trap.Sprung()
	w.must(child.Process.Signal(syscall.SIGSTOP))

	file, err := appendTo(filepath.Join(dir, "rival"))
	w.must(err)
	defer file.Close()
	rival := relay.Start(w.store, w.db, relay.Config{Targets: frozenTargets(file, "rival"), Holder: "rival", Lease: frozenLease, Poll: 10 * time.Millisecond})
	w.drain(rival)
	if h := w.holders()[forwarder]; h != "rival" {
		w.Errorf("%q has the lease, want rival", h)
	}
	w.must(child.Process.Signal(syscall.SIGCONT))
	trap.Release()
	w.must(rival.Stop(ctx))
	w.commit("c")
	w.until("the first process goes on", func() bool { return w.holders()[forwarder] == "frozen" && w.behind(forwarder) == 0 })
	w.checkFrozen(forwarder, dir)
}

func (w *world) behind(forwarder string) int64 {
	w.Helper()
	states, err := w.store.States(ctx, w.db)
	w.must(err)
	for _, s := range states {
		if s.Forwarder == forwarder {
			return s.Behind
		}
	}
	return -1
}

func (w *world) checkFrozen(forwarder, dir string) {
	w.Helper()
	if forwarder == inTable {
		var got []string
		for _, d := range (&table{name: inTable}).read(w) {
			got = append(got, d.event)
		}
		if strings.Join(got, " ") != "a b c" {
			w.Errorf("the table has %v, want a b c", got)
		}
		return
	}
	lines, err := readLines(filepath.Join(dir, "rival"))
	w.must(err)
	if got := fmt.Sprint(lines); !strings.Contains(got, "a ") || !strings.Contains(got, "b ") || len(lines) != 2 {
		w.Errorf("the process that took over has delivered %s, want a and b", got)
	}
	f, err := w.store.Failures(ctx, w.db, inFile, true, 0)
	w.must(err)
	if len(f) != 1 || f[0].Reason != "rival" || f[0].Attempts != 1 {
		w.Errorf("discarded %+v, want what the process that took over has written", f)
	}
}

// spawn starts a process of this binary that plays a role, until the test ends.
func (w *world) spawn(role, dsn, file string) *exec.Cmd {
	w.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+role, driverEnv+"="+w.e.Driver, dsnEnv+"="+dsn, fileEnv+"="+file)
	cmd.Stderr = os.Stderr
	_, err := cmd.StdinPipe() // open as long as this process lives
	w.must(err)
	w.must(cmd.Start())
	w.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	return cmd
}
