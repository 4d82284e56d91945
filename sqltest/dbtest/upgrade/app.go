package upgrade

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

// World is a database, what was committed and rolled back in it, and the file of the
// forwarder.
type World struct {
	*testing.T
	Programs
	// DB is the database, past the wrapper.
	DB *sql.DB
	// Committed are the IDs of the events that must be delivered.
	Committed []string

	e          dbtest.Engine
	dsn, sink  string
	rolledBack []string
}

// NewWorld makes a database with the table that the programs write to.
func NewWorld(t *testing.T, e dbtest.Engine, p Programs) *World {
	t.Helper()
	w := &World{T: t, Programs: p, e: e, dsn: e.DSN(t), sink: filepath.Join(t.TempDir(), "delivered")}
	w.DB = dbtest.Open(t, e.Driver, w.dsn)
	if _, err := w.DB.ExecContext(t.Context(), "CREATE TABLE things (name text)"); err != nil {
		t.Fatal(err)
	}
	return w
}

// Process is a running program.
type Process struct {
	w   *World
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// Start starts a program, which is killed when the test ends.
func (w *World) Start(program, relays string) *Process {
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
	p := &Process{w, cmd, in, bufio.NewScanner(out)}
	w.Cleanup(p.Kill)
	return p
}

// Do has a command done.
func (p *Process) Do(line string) {
	p.w.Helper()
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		p.w.Fatalf("%s: %s: %v", filepath.Base(p.cmd.Path), line, err)
	}
	for p.out.Scan() {
		word, id, _ := strings.Cut(p.out.Text(), " ")
		switch word {
		case "committed":
			p.w.Committed = append(p.w.Committed, id)
		case "rolledback":
			p.w.rolledBack = append(p.w.rolledBack, id)
		case "pong":
			return
		}
	}
	p.w.Fatalf("%s: %s: the program has ended: %v", filepath.Base(p.cmd.Path), line, p.out.Err())
}

// Stop lets the program end.
func (p *Process) Stop() {
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

// Kill ends the program where it is.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()
}

// delivered returns how often the forwarder has accepted each event.
func (w *World) delivered() map[string]int {
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
