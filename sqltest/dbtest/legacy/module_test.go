package legacy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is the folder of the core module, seen from this package's.
var root = filepath.Join("..", "..", "..")

const core = "github.com/go-aftercommit/aftercommit"

// checkOut copies an app from the module cache, where the go command puts it if
// it is not there yet, into a folder of its own. Without a way to the app or to
// what it requires the test is skipped.
func checkOut(t *testing.T, module, program string) string {
	t.Helper()
	out, err := goCommand(t, t.TempDir(), "mod", "download", "-json", module)
	if err != nil {
		t.Skip("cannot download " + module)
	}
	var m struct{ Dir string }
	if err = json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err = copyFolder(dir, m.Dir); err != nil {
		t.Fatal(err)
	}
	if _, err = goCommand(t, dir, "list", "-deps", program); err != nil {
		t.Skip("cannot download what " + module + " requires")
	}
	return dir
}

// copyFolder leaves out links, and makes everything writable.
func copyFolder(to, from string) error {
	return fs.WalkDir(os.DirFS(from), ".", func(name string, d fs.DirEntry, err error) error {
		target := filepath.Join(to, name)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o644)
	})
}

// requireCore does what "go get" would: it lets the module in dir import this
// one.
func requireCore(t *testing.T, dir string) {
	t.Helper()
	abs, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = goCommand(t, dir, "mod", "edit", "-require="+core+"@v0.0.0", "-replace="+core+"="+abs); err != nil {
		t.Fatal(err)
	}
	var sums []byte
	for _, file := range []string{filepath.Join(dir, "go.sum"), filepath.Join(root, "go.sum")} {
		b, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		sums = append(sums, b...)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o644); err != nil {
		t.Fatal(err)
	}
}

// build compiles a program of the module in dir.
func build(t *testing.T, dir, program string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "app")
	if _, err := goCommand(t, dir, "build", "-o", binary, program); err != nil {
		t.Fatal(err)
	}
	return binary
}

// goCommand runs the go command in dir and returns its standard output.
func goCommand(t *testing.T, dir string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -buildvcs=false")
	var out, diagnosis bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diagnosis
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s%s", strings.Join(args, " "), err, out.Bytes(), diagnosis.Bytes())
	}
	return out.Bytes(), nil
}
