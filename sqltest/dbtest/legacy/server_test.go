package legacy_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long the tests wait for what should come at once.
const patience = time.Minute

// server is a running app.
type server struct {
	cmd    *exec.Cmd
	output *output
	ended  chan struct{}
	err    error // once ended
}

// output is what a program writes, for the log of a test that failed.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start runs the app until the test ends or stops it.
func start(t *testing.T, env []string, binary string, args ...string) *server {
	t.Helper()
	s := &server{output: &output{}, ended: make(chan struct{})}
	s.cmd = exec.CommandContext(t.Context(), binary, args...)
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Dir = t.TempDir()
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // unless it has ended
		<-s.ended
		if t.Failed() {
			t.Logf("the app said\n%s", lastLines(s.output.String(), 40))
		}
	})
	return s
}

func lastLines(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}

// stop ends the app as an operator would.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Fatal("the app does not end")
	}
	if s.err != nil {
		t.Fatalf("the app ended with %v\n%s", s.err, lastLines(s.output.String(), 40))
	}
}

// ready waits until the app answers a path with 200.
func (s *server) ready(t *testing.T, client *http.Client, url string) {
	t.Helper()
	await(t, "the app to answer "+url, func(ctx context.Context) bool {
		select {
		case <-s.ended:
			t.Fatalf("the app ended with %v\n%s", s.err, s.output)
		default:
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err == nil && resp.StatusCode == http.StatusOK
	})
}

// await asks again and again until the answer is yes.
func await(t *testing.T, what string, yes func(ctx context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !yes(ctx) {
		select {
		case <-ctx.Done():
			t.Fatal("waited in vain for " + what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// viaSocket returns a client that finds every host at a Unix socket. An app that
// listens on a path needs no port, which another program could take first.
func viaSocket(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
}
