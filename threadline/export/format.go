package export

import (
	"io"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// Format is a file format. It is safe for concurrent use. A format that needs a library, such as Parquet, is in a separate module.
type Format interface {
	// Name is the format's name in the manifest: "csv". Version grows when the same items would give other files.
	Name() string
	Version() int
	// Extension is the end of the files' names: ".csv".
	Extension() string
	// Begin begins a file. It may write what comes before the first item.
	Begin(w io.Writer) (Encoder, error)
}

// RowCounter is a [Format] whose files can be counted again: see [Verify].
type RowCounter interface {
	// CountRows returns how many items a file has. It need not read all of it.
	CountRows(r io.Reader) (int64, error)
}

// Encoder writes the items of one file. It is not safe for concurrent use.
type Encoder interface {
	// Encode writes an item, or keeps it until there are enough for a part of the file.
	Encode(e Entry) error
	// Close writes the rest of the file. truncated says that a limit left out the items that would follow. Close does not close the writer.
	Close(truncated bool) error
}

// Entry is an item with its ID.
type Entry struct {
	trail.Item
	// ID is an action's ID. For a row change it is the ID that forwarders see, too: it contains where the change is in the WAL, or on
	// SQLite its number in the table of changes.
	ID uuid.UUID

	after string // the cursor after it, "" if there is none
}

// Formats returns the formats of this package.
func Formats() []Format { return []Format{CSV(), JSON(), NDJSON(), CloudEvents(""), OCSF()} }

// Position identifies an item of an export. Time is the one by which the items are ordered.
type Position struct {
	Time string `json:"time"` // UTC, with six digits of a second
	Kind Kind   `json:"kind"`
	ID   string `json:"id"`
}

// Kind is what an item is.
type Kind string

// The kinds of items.
const (
	KindAction Kind = "action"
	KindChange Kind = "change"
)

func (e *Entry) kind() Kind {
	if e.Action != nil {
		return KindAction
	}
	return KindChange
}

func (e *Entry) position() *Position {
	return &Position{Time: instant(e.Time()), Kind: e.kind(), ID: e.ID.String()}
}
