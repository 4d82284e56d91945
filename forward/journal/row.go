package journal

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/eventjson"
)

// format is that of the documents that this version writes, and the only one that it reads:
// the arrays of package eventjson.
const format = 1

// Row is for package relay and the Hub. It is what one flush has written. Others read entries.
type Row struct {
	// Seq is the order of the commits, on SQLite; 0 on PostgreSQL.
	Seq int64
	// Key was made by the process that wrote the row.
	Key uuid.UUID
	// Tx, RecordedAt and Role are what the database has added.
	Tx         TxKey
	RecordedAt time.Time
	Role       string
	// Events is how many there are in Document. 0 is a tombstone, see [Journal.Claim].
	Events int
	// Format is that of the documents. Personal has the personal fields of the events; it
	// may be empty.
	Format             int
	Document, Personal []byte
	// Unreadable says what of the other columns cannot be read.
	Unreadable string

	// moved says that a program of an earlier version has written it: its rules for events
	// were others.
	moved bool
}

// Entries decodes the row's documents. Of one that cannot be read, is of a format that this
// version does not know, or has another number of events than the row says, there are as many
// entries as the row says, at least one, each of them [Entry.Unreadable].
func (r *Row) Entries() []Entry {
	var events []eventjson.Decoded
	switch {
	case r.Format != format:
		events = eventjson.Unreadable(r.Events, fmt.Sprintf("format: %d is not known to this version, which reads %d", r.Format, format))
	case r.moved:
		events = eventjson.DecodeAny(r.Document, r.Personal, r.Events)
	default:
		events = eventjson.Decode(r.Document, r.Personal, r.Events)
	}
	entries := make([]Entry, len(events))
	for i := range events {
		entries[i] = r.entry(i, &events[i].Event)
		if entries[i].Unreadable == "" {
			entries[i].Unreadable = events[i].Unreadable
		}
	}
	return entries
}

// EntriesOf is for package relay and the Hub. It returns the entries of events that the row was
// written with; first is the ordinal of the first one.
func (r *Row) EntriesOf(events []hooks.Event, first int) []Entry {
	entries := make([]Entry, len(events))
	for i := range events {
		entries[i] = r.entry(first+i, &events[i])
		entries[i].Metadata = stored(entries[i].Metadata)
	}
	return entries
}

// stored returns the metadata of an event as it is when it has been stored and read: captured
// events have numbers of other types than json.Number. It changes no map.
func stored(m map[string]any) map[string]any {
	var changed map[string]any
	for k, v := range m {
		switch v := v.(type) {
		case int:
			changed = with(changed, m, k, json.Number(strconv.Itoa(v)))
		case int64:
			changed = with(changed, m, k, json.Number(strconv.FormatInt(v, 10)))
		}
	}
	if changed == nil {
		return m
	}
	return changed
}

func with(changed, m map[string]any, key string, v any) map[string]any {
	if changed == nil {
		changed = maps.Clone(m)
	}
	changed[key] = v
	return changed
}

func (r *Row) entry(ordinal int, e *hooks.Event) Entry {
	return Entry{
		Event: *e, Position: Position{Key: r.Key, Ordinal: ordinal},
		Tx: r.Tx, RecordedAt: r.RecordedAt, Role: r.Role, Unreadable: r.Unreadable,
	}
}
