package export

import (
	"context"
	"io"
)

// Storage is where the files of one export are. Names have no separators. It is used by one export at a time.
//
// A store of objects implements it, too: Create begins a multipart upload, Commit completes it, and Abort aborts it.
type Storage interface {
	// Create begins a file. Nothing of it is there before Commit.
	Create(ctx context.Context, name string) (File, error)
	// Open reads a file. For one that is not there the error is fs.ErrNotExist.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Names returns the names of all files, in any order. What was begun and not committed is not among them.
	Names(ctx context.Context) ([]string, error)
	// Remove removes a file. It is no error if it is not there.
	Remove(ctx context.Context, name string) error
}

// File is a file that is written.
type File interface {
	io.Writer
	// Commit makes the whole file appear under its name, in the place of one that is there, so that it outlasts a power
	// cut. Before its return there is the earlier file or none, and afterwards this one.
	Commit() error
	// Abort discards the file. After Commit it does nothing.
	Abort() error
}
