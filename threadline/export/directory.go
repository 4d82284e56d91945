package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

var _ Storage = (*Directory)(nil)

// Directory is a [Storage] in a directory. Only the owner can read its files (0600). A file is written with ".partial" after its
// name, and renamed once it is complete and on the disk.
type Directory struct{ root *os.Root }

const partial = ".partial"

// MakeDirectory creates a directory that only its owner can enter (0700), unless it exists, and opens it.
func MakeDirectory(path string) (*Directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return OpenDirectory(path)
}

// OpenDirectory opens an existing directory.
func OpenDirectory(path string) (*Directory, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return &Directory{root}, nil
}

// Close closes the directory.
func (d *Directory) Close() error { return d.root.Close() }

// Create implements [Storage].
func (d *Directory) Create(_ context.Context, name string) (File, error) {
	// Removed first: the file of an earlier attempt may have other permissions.
	if err := d.remove(name + partial); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name+partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &directoryFile{File: f, directory: d, name: name}, nil
}

// Open implements [Storage].
func (d *Directory) Open(_ context.Context, name string) (io.ReadCloser, error) {
	return d.root.Open(name)
}

// Names implements [Storage].
func (d *Directory) Names(context.Context) (names []string, err error) {
	list, err := fs.ReadDir(d.root.FS(), ".")
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), partial) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Remove implements [Storage].
func (d *Directory) Remove(_ context.Context, name string) error {
	return errors.Join(d.remove(name), d.sync())
}

func (d *Directory) remove(name string) error {
	if err := d.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sync makes the names of files survive a power cut.
func (d *Directory) sync() error {
	dir, err := d.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

type directoryFile struct {
	*os.File
	directory *Directory
	name      string
	ended     bool
}

func (f *directoryFile) Commit() error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return errors.Join(err, f.discard())
	}
	if err := f.directory.root.Rename(f.name+partial, f.name); err != nil {
		return errors.Join(err, f.discard())
	}
	f.ended = true
	return f.directory.sync()
}

func (f *directoryFile) Abort() error {
	if f.ended {
		return nil
	}
	return errors.Join(f.Close(), f.discard())
}

func (f *directoryFile) discard() error {
	f.ended = true
	return f.directory.remove(f.name + partial)
}
