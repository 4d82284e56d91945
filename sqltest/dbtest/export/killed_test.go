package export_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/export"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// childVariable tells a process of this test binary to export, and when to die.
const childVariable = "AFTERCOMMIT_EXPORT_CHILD"

type order struct {
	Driver   string
	Dialect  hooks.Dialect
	DSN, Dir string
	FileRows int64
	Limit    int
	Resume   bool
	// KillAt is the step of the storage at which the process kills itself.
	KillAt int
}

func child(text string) {
	if err := obey(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func obey(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	db, err := sql.Open(o.Driver, o.DSN)
	if err != nil {
		return err
	}
	dir, err := export.MakeDirectory(o.Dir)
	if err != nil {
		return err
	}
	to := &deadly{Storage: dir, left: o.KillAt}
	if o.Resume {
		_, err = export.Resume(ctx, to, readerOf(db, o.Dialect), export.Formats(), nil)
	} else {
		_, err = export.Files(ctx, to, readerOf(db, o.Dialect), trail.Query{Limit: o.Limit}, export.NDJSON(), &export.Options{FileRows: o.FileRows})
	}
	return errors.Join(err, db.Close(), dir.Close())
}

// deadly is a storage that kills its process at one of its steps: before and after each of what an export does to it, and
// in the middle of what it writes.
type deadly struct {
	export.Storage
	left int
}

func (d *deadly) step() {
	if d.left--; d.left == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (d *deadly) Create(ctx context.Context, name string) (export.File, error) {
	d.step()
	f, err := d.Storage.Create(ctx, name)
	d.step()
	return &deadlyFile{f, d}, err
}

func (d *deadly) Remove(ctx context.Context, name string) error {
	d.step()
	err := d.Storage.Remove(ctx, name)
	d.step()
	return err
}

type deadlyFile struct {
	export.File
	of *deadly
}

func (f *deadlyFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p[:len(p)/2])
	if err != nil {
		return n, err
	}
	f.of.step()
	more, err := f.File.Write(p[n:])
	return n + more, err
}

func (f *deadlyFile) Commit() error {
	f.of.step()
	err := f.File.Commit()
	f.of.step()
	return err
}

// dies runs a child, and reports whether it has killed itself.
func (w *world) dies(o order) bool {
	w.Helper()
	text, err := json.Marshal(o)
	w.must(err)
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		w.Fatalf("%+v: %v\n%s", o, err, out)
	}
	return false
}

// TestKilled: an export that is killed at any of its steps, and resumed, has what the query had when it began: nothing
// twice, nothing missing, and nothing that came meanwhile.
func TestKilled(t *testing.T) {
	both(t, func(w *world) {
		w.sellsMany(5)
		stride := 3
		switch {
		case os.Getenv("AFTERCOMMIT_LONG") != "":
			stride = 1
		case w.e.Dialect == hooks.SQLite:
			stride = 11
		}
		kills := 0
		for at := 1; ; at += stride {
			want := w.items(trail.Query{})
			dir, path := w.directory()
			// Always three files, though there is more each time.
			killed := w.dies(order{Driver: w.e.Driver, Dialect: w.e.Dialect, DSN: w.dsn, Dir: path, FileRows: int64(len(want)+2) / 3, KillAt: at})
			w.sellsMany(1)
			m, err := export.Resume(ctx, dir, w.reader, export.Formats(), nil)
			if errors.Is(err, export.ErrNotStarted) {
				continue // it was killed before it had begun
			}
			w.must(err)
			w.wantSame("killed at step "+strconv.Itoa(at), w.lines(path, m), want)
			w.wantOK(dir)
			if len(m.Files) != 3 || m.Rows != int64(len(want)) {
				w.Fatalf("killed at step %d: %d files with %d rows, want 3 with %d", at, len(m.Files), m.Rows, len(want))
			}
			if !killed {
				break
			}
			kills++
		}
		if kills < 30/stride {
			w.Errorf("it was killed %d times", kills)
		}
	})
}

// TestKilledAgainAndAgain: each attempt is killed, too, as soon as it has written something. A limit is that of all attempts
// together.
func TestKilledAgainAndAgain(t *testing.T) {
	on(t, func(w *world) {
		w.sellsMany(10)
		all := w.items(trail.Query{})
		want := all[:len(all)-3]
		dir, path := w.directory()
		o := order{Limit: len(want), Driver: w.e.Driver, Dialect: w.e.Dialect, DSN: w.dsn, Dir: path, FileRows: 7, KillAt: 16}
		kills := 0
		for w.dies(o) {
			kills++
			o.Resume = true
			o.KillAt++ // so that the last attempt gets through
			w.sellsMany(1)
		}
		m, err := export.Resume(ctx, dir, w.reader, export.Formats(), nil) // it is finished
		w.must(err)
		w.wantSame("at last", w.lines(path, m), want)
		w.wantOK(dir)
		if kills < 3 || m.Resumed != kills || !m.Truncated {
			w.Errorf("killed %d times, and resumed %d times by the manifest; truncated: %t", kills, m.Resumed, m.Truncated)
		}
	}, dbtest.PQ)
}
