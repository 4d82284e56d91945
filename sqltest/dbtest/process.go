package dbtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// process is a running server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

func spawn(program string, args []string, dir, log string, cred *syscall.Credential) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("dbtest: %w", err)
	}
	defer out.Close()
	cmd := exec.CommandContext(context.Background(), program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.SysProcAttr = attributes(cred)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("dbtest: %w", err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended is in the log
	}()
	return p, nil
}

// end signals the server and waits for its end.
func (p *process) end(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("dbtest: %w", err)
	}
	<-p.done
	return nil
}

func (c *Cluster) running() bool {
	if c.proc == nil {
		return false
	}
	select {
	case <-c.proc.done:
		return false
	default:
		return true
	}
}

// Stop ends the server in order, breaking off its sessions (a fast shutdown).
func (c *Cluster) Stop(tb testing.TB) {
	tb.Helper()
	if err := c.proc.end(syscall.SIGINT); err != nil {
		tb.Fatal(err)
	}
}

// Crash ends the server as a power cut would: without a checkpoint, so that
// [Cluster.Restart] recovers from what was flushed (an immediate shutdown).
func (c *Cluster) Crash(tb testing.TB) {
	tb.Helper()
	if err := c.proc.end(syscall.SIGQUIT); err != nil {
		tb.Fatal(err)
	}
}

// Restart starts a server that was stopped or crashed, on the same addresses.
func (c *Cluster) Restart(tb testing.TB) {
	tb.Helper()
	if err := c.run(); err != nil {
		tb.Fatal(err)
	}
}

func (c *Cluster) remove() error {
	var errs []error
	if c.running() {
		errs = append(errs, c.proc.end(syscall.SIGQUIT))
	}
	if c.watch != nil {
		errs = append(errs, c.watch.end())
	}
	return errors.Join(errs...)
}

// watchdog is a shell that waits for the end of its standard input, which comes
// by itself when the test process dies, however it dies. Then it ends the
// server and removes its folder. What postmaster.pid names may have ended long ago,
// and its number be that of another process: only one with the server's folder among
// its arguments is signalled.
type watchdog struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

const watchScript = `
dir=$1
arguments() {
	if [ -d /proc/self ]; then tr '\0' ' ' < "/proc/$pid/cmdline"; else ps -o args= -p "$pid"; fi
}
runs() { arguments 2>/dev/null | grep -qF -- "-D $dir/data "; }
read -r _
cd /
if [ -f "$dir/data/postmaster.pid" ] && read -r pid < "$dir/data/postmaster.pid" && runs; then
	kill -QUIT "$pid" 2>/dev/null
	n=0
	while runs && [ $n -lt 300 ]; do sleep 0.1; n=$((n+1)); done
fi
rm -rf "$dir"
`

func watch(dir string) (*watchdog, error) {
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", watchScript, "watchdog", dir)
	cmd.SysProcAttr = attributes(nil)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("dbtest: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("dbtest: %w", err)
	}
	return &watchdog{cmd: cmd, stdin: stdin}, nil
}

// end lets the watchdog do its work now.
func (w *watchdog) end() error {
	if err := w.stdin.Close(); err != nil {
		return fmt.Errorf("dbtest: %w", err)
	}
	if err := w.cmd.Wait(); err != nil {
		return fmt.Errorf("dbtest: removing the server's folder: %w", err)
	}
	return nil
}
