package journal

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Position is the place of an entry in the journal: the key of the flush that wrote it, and
// its place among the events of that flush. Dump and restore keep it.
//
// Keys are UUIDs of version 7, made by the app's process. So the order of positions is that of
// recording within a transaction, and between transactions that of their clocks. An entry that was
// moved from the table of an earlier version has a key of version 8, which comes before these. A
// row change ([Entry.Change]) is in no row of the journal; its key, of version 8, comes after these.
type Position struct {
	Key     uuid.UUID `json:"key"`
	Ordinal int       `json:"ordinal"`
}

// Compare returns -1, 0 or 1 if p is before, at or after q.
func (p Position) Compare(q Position) int {
	return cmp.Or(bytes.Compare(p.Key[:], q.Key[:]), cmp.Compare(p.Ordinal, q.Ordinal))
}

// Text returns p in the form key/ordinal, which [ParsePosition] reads.
func (p Position) Text() string { return p.Key.String() + "/" + strconv.Itoa(p.Ordinal) }

// ParsePosition reads what [Position.Text] has written.
func ParsePosition(text string) (Position, error) {
	key, ordinal, _ := strings.Cut(text, "/")
	id, err := uuid.Parse(key)
	n, notNumber := strconv.Atoi(ordinal)
	if err != nil || notNumber != nil || n < 0 {
		return Position{}, fmt.Errorf("journal: %q is no position: it has the form key/ordinal, with a UUID and a number from 0", text)
	}
	return Position{Key: id, Ordinal: n}, nil
}
