package contract_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// point is a moment at which a process dies.
type point string

const (
	pointWritten    point = "the app has written"
	pointRecorded   point = "the app has recorded"
	pointFlushing   point = "the flush begins"
	pointFlushed    point = "the flush has written"
	pointForwarding point = "the sink is called"
	pointForwarded  point = "the sink has taken it"
	pointCommitted  point = "Commit has returned"
	pointNever      point = "never"
)

// workloads are what the process does before it dies.
var workloads = map[string]script{
	"Tx":         "Begin | +1 | !a | Commit",
	"raw":        "BEGIN | +1 | !a | COMMIT",
	"autocommit": "@1",
	"write-free": "Begin | SELECT 1 | !a | Commit",
}

const (
	envPoint    = "CONTRACT_POINT"
	envWorkload = "CONTRACT_WORKLOAD"
	envEngine   = "CONTRACT_ENGINE"
	envDSN      = "CONTRACT_DSN"
	envSink     = "CONTRACT_SINK"
)

// victim is the app in a process that dies at a point. Its sink is a file, which
// outlives it.
func victim(t *testing.T) {
	t.Helper()
	here := func(p point) {
		if point(os.Getenv(envPoint)) == p {
			if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
				panic(err)
			}
			select {} // until the signal is there
		}
	}
	var e dbtest.Engine
	for _, candidate := range dbtest.CommitEngines() {
		if candidate.Name == os.Getenv(envEngine) {
			e = candidate
		}
	}
	w := newWorld(t, e, setup{dsn: os.Getenv(envDSN), hook: func(h hooks.Hook) hooks.Hook {
		return &between{Hook: h, before: func() { here(pointFlushing) }, after: func() { here(pointFlushed) }}
	}})
	w.sink.during = func(_ context.Context, entries []journal.Entry) error {
		here(pointForwarding)
		for _, entry := range entries {
			w.must(appendLine(os.Getenv(envSink), nameOf(entry.Event)))
		}
		here(pointForwarded)
		return nil
	}
	r := &runner{e: e, conn: w.conn(), way: byExec, other: w.bare}
	for _, step := range workloads[os.Getenv(envWorkload)].steps() {
		w.must(r.step(step))
		switch step[0] {
		case '+', 'S':
			here(pointWritten)
		case '!':
			here(pointRecorded)
		}
	}
	here(pointCommitted)
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

// spawn starts the victim.
func (w *world) spawn(p point, workload, dsn, sinkFile string) *exec.Cmd {
	w.Helper()
	cmd := exec.CommandContext(ctx(), os.Args[0], "-test.run=^"+w.top()+"$")
	cmd.Env = append(os.Environ(), envPoint+"="+string(p), envWorkload+"="+workload,
		envEngine+"="+w.e.Name, envDSN+"="+dsn, envSink+"="+sinkFile)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	w.must(cmd.Start())
	w.Cleanup(func() {
		if w.Failed() {
			w.Log(out.String())
		}
	})
	return cmd
}

func (w *world) top() string {
	name, _, _ := strings.Cut(w.Name(), "/")
	return name
}

// wantKilled waits for the victim's end.
func (w *world) wantKilled(cmd *exec.Cmd) {
	w.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		w.Fatalf("the victim ended by itself: %v", err)
	}
}

// wantConsistent is what must hold once the process is gone: the app's row, the
// journal's event and the forward go together, as far as the process lived to
// forward. What it did not live to forward is there for a relay.
func (w *world) wantConsistent(committed bool, workload, sinkFile string) {
	w.Helper()
	w.over()
	rows, events := "1", "a"
	switch workload {
	case "autocommit":
		events = "orders.inserted"
	case "write-free":
		rows = ""
	}
	if !committed {
		rows, events = "", ""
	}
	if r, j := w.rows(), w.journal(); r != rows || j != events {
		w.Errorf("rows [%s], journal [%s]; want [%s], [%s]", r, j, rows, events)
	}
	text, err := os.ReadFile(sinkFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.Fatal(err)
	}
	if forwarded := strings.TrimSpace(string(text)); forwarded != "" && forwarded != events {
		w.Errorf("forwarded [%s], want nothing, or [%s]", forwarded, events)
	}
}

// TestKilled kills the app's process at each point.
func TestKilled(t *testing.T) {
	if os.Getenv(envPoint) != "" {
		victim(t)
		return
	}
	points := []struct {
		point     point
		committed bool
	}{
		{pointWritten, false},
		{pointRecorded, false},
		{pointFlushing, false},
		{pointFlushed, false},
		{pointForwarding, true},
		{pointForwarded, true},
		{pointCommitted, true},
	}
	each(t, func(w *world) {
		outer := w.T
		for workload := range workloads {
			for _, p := range points {
				if workload == "autocommit" && (p.point == pointWritten || p.point == pointRecorded) {
					continue // it has one step
				}
				outer.Run(workload+"/"+string(p.point), func(t *testing.T) {
					defer func() { w.T = outer }()
					w.reset(t)
					file := filepath.Join(t.TempDir(), "sink")
					w.wantKilled(w.spawn(p.point, workload, w.dsn, file))
					// The COMMIT goes with the flush, if it is the driver's own or pgxdriver's.
					joins := workload == "autocommit" && w.e.Dialect == hooks.Postgres || workload == "Tx" && w.e.Name == dbtest.PGXDriver.Name
					joined := joins && p.point == pointFlushed
					w.wantConsistent(p.committed || joined, workload, file)
					w.record(w.db, "b") // the next process goes on
				})
			}
		}
	})
}

// TestKilledDuringCommit kills it while its COMMIT, or the answer, is on the
// way.
func TestKilledDuringCommit(t *testing.T) {
	if os.Getenv(envPoint) != "" {
		victim(t)
		return
	}
	for _, c := range []struct {
		name  string
		fault dbtest.Fault
		// committed: the server gets the COMMIT of a client that is gone.
		committed bool
	}{
		{"the COMMIT never arrives", dbtest.CutBefore, false},
		{"the COMMIT arrives afterwards", dbtest.Strand, true},
		{"the answer never arrives", dbtest.HoldAnswer, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			throughProxy(t, func(w *world, p *dbtest.Proxy) {
				w.must(w.db.PingContext(ctx())) // the journal's tables
				file := filepath.Join(t.TempDir(), "sink")
				trap := p.Next(c.fault, dbtest.IsCommit)
				cmd := w.spawn(pointNever, "Tx", dbtest.Via(w.dsn, p.Addr()), file)
				<-trap.Sprung()
				_ = cmd.Process.Kill() // it may have ended with the error
				_ = cmd.Wait()
				trap.Release()
				if c.fault == dbtest.Strand {
					<-trap.Done()
				}
				w.wantConsistent(c.committed, "Tx", file)
			})
		})
	}
}
