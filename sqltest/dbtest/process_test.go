package dbtest

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// TestWatchdogEndsNoStranger: a file that names a process of another program, as one
// does whose server has ended without removing it, is no reason to end that process.
func TestWatchdogEndsNoStranger(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cluster")
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	stranger := exec.CommandContext(t.Context(), "cat")
	stdin, err := stranger.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = stranger.Start(); err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(stranger.Process.Pid)
	if err = os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), []byte(pid+"\n"+dir+"/data\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := watch(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	if err := stdin.Close(); err != nil { // with which cat ends in order
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := stranger.Wait(); errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		t.Errorf("the other process was ended: %v", err)
	}
}
