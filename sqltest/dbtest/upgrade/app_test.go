package upgrade_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// world is a database, what was committed and rolled back in it, and the file of the
// forwarder.
type world struct {
	*testing.T
	programs
	e          dbtest.Engine
	dsn, sink  string
	db         *sql.DB
	committed  []string
	rolledBack []string
}

func newWorld(t *testing.T, e dbtest.Engine, p programs) *world {
	t.Helper()
	w := &world{T: t, programs: p, e: e, dsn: e.DSN(t), sink: filepath.Join(t.TempDir(), "delivered")}
	w.db = dbtest.Open(t, e.Driver, w.dsn)
	if _, err := w.db.ExecContext(t.Context(), "CREATE TABLE things (name text)"); err != nil {
		t.Fatal(err)
	}
	return w
}

// process is a running program.
type process struct {
	w   *world
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// start starts a program, which is killed when the test ends.
func (w *world) start(program, relays string) *process {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), program, "-driver", w.e.Driver, "-dsn", w.dsn, "-sink", w.sink, "-relay", relays)
	cmd.Stderr = w.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		w.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		w.Fatal(err)
	}
	p := &process{w, cmd, in, bufio.NewScanner(out)}
	w.Cleanup(p.kill)
	return p
}

// do has a command done.
func (p *process) do(line string) {
	p.w.Helper()
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		p.w.Fatalf("%s: %s: %v", filepath.Base(p.cmd.Path), line, err)
	}
	for p.out.Scan() {
		word, id, _ := strings.Cut(p.out.Text(), " ")
		switch word {
		case "committed":
			p.w.committed = append(p.w.committed, id)
		case "rolledback":
			p.w.rolledBack = append(p.w.rolledBack, id)
		case "pong":
			return
		}
	}
	p.w.Fatalf("%s: %s: the program has ended: %v", filepath.Base(p.cmd.Path), line, p.out.Err())
}

// stop lets the program end.
func (p *process) stop() {
	p.w.Helper()
	if err := p.in.Close(); err != nil {
		p.w.Fatal(err)
	}
	for p.out.Scan() { // until it has closed its output
	}
	if err := p.cmd.Wait(); err != nil {
		p.w.Fatalf("%s: %v", filepath.Base(p.cmd.Path), err)
	}
}

// kill ends the program where it is.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()
}

// delivered returns how often the forwarder has accepted each event.
func (w *world) delivered() map[string]int {
	w.Helper()
	content, err := os.ReadFile(w.sink)
	if err != nil {
		w.Fatal(err)
	}
	times := make(map[string]int)
	for id := range strings.Lines(string(content)) {
		times[strings.TrimSpace(id)]++
	}
	return times
}
