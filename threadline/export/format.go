package export

import (
	"io"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// Format is a form of files. It is safe for concurrent use. A module that needs a library of its own, such as that of
// Parquet, implements it, too.
type Format interface {
	// Name is what the manifest says: "csv". Version grows when files of the same items would differ.
	Name() string
	Version() int
	// Extension is what names of files end with: ".csv".
	Extension() string
	// Begin begins a file. Begin may write what comes before the first item.
	Begin(w io.Writer) (Encoder, error)
}

// Encoder writes the items of one file. It is not safe for concurrent use.
type Encoder interface {
	// Encode writes an item, or keeps it until there are enough for a part of the file.
	Encode(e Entry) error
	// Close writes the rest of the file. truncated says that a limit left out what would follow. It does not close the writer.
	Close(truncated bool) error
}

// Entry is an item, and where it is.
type Entry struct {
	trail.Item
	// ID is an action's ID, and of a row change the one that it has for forwarders, too: it says where the change is in
	// the WAL, and on SQLite its number in the table of changes.
	ID uuid.UUID

	after string // the cursor behind it, "" if there is none
}

// Formats are those of this package.
func Formats() []Format { return []Format{CSV(), JSON(), NDJSON(), CloudEvents(""), OCSF()} }

// Position names an item of an export. Its time is the one that orders the items.
type Position struct {
	Time string `json:"time"` // UTC, with six digits of a second
	Kind string `json:"kind"` // action or change
	ID   string `json:"id"`
}

// The kinds of items.
const (
	KindAction = "action"
	KindChange = "change"
)

func (e *Entry) kind() string {
	if e.Action != nil {
		return KindAction
	}
	return KindChange
}

func (e *Entry) position() *Position {
	return &Position{Time: instant(e.Time()), Kind: e.kind(), ID: e.ID.String()}
}
