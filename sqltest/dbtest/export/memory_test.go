package export_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/export"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// weighed is a storage that keeps only manifests, and measures what is in memory while it gets data.
type weighed struct {
	kept map[string]*weighedFile
	peak uint64 // in bytes, after a collection
}

type weighedFile struct {
	of   *weighed
	size int64
	seen int64 // size at the last measurement
}

func (s *weighed) Create(_ context.Context, name string) (export.File, error) {
	f := &weighedFile{of: s}
	s.kept[name] = f
	return f, nil
}

func (s *weighed) Open(context.Context, string) (io.ReadCloser, error) { return nil, os.ErrNotExist }
func (s *weighed) Names(context.Context) ([]string, error)             { return nil, nil }
func (s *weighed) Remove(context.Context, string) error                { return nil }
func (f *weighedFile) Commit() error                                   { return nil }
func (f *weighedFile) Abort() error                                    { return nil }

func (f *weighedFile) Write(p []byte) (int, error) {
	if f.size += int64(len(p)); f.size-f.seen > 1<<20 {
		f.seen = f.size
		f.of.peak = max(f.of.peak, heap())
	}
	return len(p), nil
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemory: it does not grow with the export. 10⁶ rows with AFTERCOMMIT_LONG=1.
func TestMemory(t *testing.T) {
	on(t, func(w *world) {
		const each = 20_000
		n := each
		if os.Getenv("AFTERCOMMIT_LONG") != "" {
			n = 1_000_000
		}
		by := hooks.WithActor(ctx, hooks.Actor{Type: hooks.User, ID: "alice"})
		for done := 0; done < n; done += each {
			_, err := w.db.ExecContext(by, fmt.Sprintf("INSERT INTO orders SELECT g, 'new', repeat('note ', 40), '%s' FROM generate_series(%d, %d) g", secret, done+1, done+each))
			w.must(err)
		}
		to := &weighed{kept: make(map[string]*weighedFile)}
		before, start := heap(), time.Now()
		m, err := export.Files(ctx, to, w.reader, trail.Query{}, export.CSV(), nil)
		w.must(err)
		took := time.Since(start)
		var size int64
		for _, file := range m.Files {
			size += file.Size
		}
		grown := float64(to.peak) - float64(before)
		w.Logf("%d rows, %d MB in %d files, %.0f rows/s, the heap grew by %.1f MB", m.Rows, size>>20, len(m.Files), float64(m.Rows)/took.Seconds(), grown/(1<<20))
		if m.Changes != int64(n) || size < int64(n)*400 {
			w.Errorf("%d row changes, %d bytes; want %d", m.Changes, size, n)
		}
		// A page of 500 items, whatever there is.
		if to.peak == 0 || grown > 6<<20 {
			w.Errorf("the heap grew by %.1f MB for %d MB", grown/(1<<20), size>>20)
		}
	}, dbtest.PQ)
}
