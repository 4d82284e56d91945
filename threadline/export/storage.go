package export

import (
	"context"
	"io"
)

// Storage is where the files of one export are. Names have no separators. One export uses it at a time.
//
// An object store can implement it: Create begins a multipart upload, Commit completes it, and Abort aborts it.
type Storage interface {
	// Create begins a file. It is not visible before Commit.
	Create(ctx context.Context, name string) (File, error)
	// Open opens a file for reading. If there is none, the error is fs.ErrNotExist.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Names returns the names of all committed files, in any order.
	Names(ctx context.Context) ([]string, error)
	// Remove removes a file. It is no error if there is none.
	Remove(ctx context.Context, name string) error
}

// File is a file that is being written.
type File interface {
	io.Writer
	// Commit makes the complete file appear under its name, in place of an earlier one, so that it survives a power cut. At any
	// time there is the earlier file, or none, or this one, but never a part.
	Commit() error
	// Abort discards the file. After Commit it does nothing.
	Abort() error
}
