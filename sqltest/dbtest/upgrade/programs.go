package upgrade

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// before is the last commit whose journal has a row for each event.
const before = "0321174d59d81ac194e0e62b80d1a51d67471dc5"

// Programs are the files of a program, built against two versions.
type Programs struct{ Earlier, Later string }

// Build builds the program in a folder, as seen from the repository's top, against the version
// before and this one. It skips the test where there is no history.
func Build(t *testing.T, folder string) Programs {
	t.Helper()
	dir := t.TempDir()
	p := Programs{filepath.Join(dir, "earlier"), filepath.Join(dir, "later")}
	if err := exec.CommandContext(t.Context(), "git", "cat-file", "-e", before+"^{commit}").Run(); err != nil {
		t.Skip("the history of the repository is not here, so there is no earlier version to build: clone it in full")
	}
	top := strings.TrimSpace(string(command(t, "", "git", "rev-parse", "--show-toplevel")))
	command(t, filepath.Join(top, folder), "go", "build", "-o", p.Later, ".")
	tree := filepath.Join(dir, "tree")
	unpack(t, command(t, top, "git", "archive", "--format=tar", before), tree)
	for _, of := range []string{"sqltest/dbtest/upgrade/app", folder} {
		if err := os.CopyFS(filepath.Join(tree, of), os.DirFS(filepath.Join(top, of))); err != nil {
			t.Fatal(err)
		}
	}
	command(t, filepath.Join(tree, folder), "go", "build", "-o", p.Earlier, ".")
	return p
}

// command returns what a command prints.
func command(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%s %v: %v\n%s", name, args, err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return out
}

// unpack writes the files of an archive of the repository, which has no links.
func unpack(t *testing.T, archive []byte, to string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		path := filepath.Join(to, filepath.FromSlash(h.Name)) //nolint:gosec // the archive is our own repository
		content, err := io.ReadAll(r)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o750)
		}
		if err == nil {
			err = os.WriteFile(path, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
