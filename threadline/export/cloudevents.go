package export

import (
	"encoding/json"
	"io"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/internal/cloudevent"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// CloudEvents is a CloudEvent 1.0 (structured mode) on each line, in the form in which package forward/nats publishes
// entries: the type is an action's name, or row.inserted, row.updated, row.deleted or row.truncated, and the data the
// journal.Entry, which of a row change has its [changes.Diff]. IDs are the same as there, too, so what was exported and
// published is recognised. The source is a URI reference, such as /shop; "" means the name of each entry's application.
func CloudEvents(source string) Format { return cloudEvents{source} }

type cloudEvents struct{ source string }

func (cloudEvents) Name() string      { return "cloudevents" }
func (cloudEvents) Version() int      { return 1 }
func (cloudEvents) Extension() string { return ".cloudevents.ndjson" }

// CountRows implements [RowCounter].
func (cloudEvents) CountRows(r io.Reader) (int64, error) { return countLines(r, false) }

func (f cloudEvents) Begin(w io.Writer) (Encoder, error) {
	return &lines{w: w, of: f.event}, cloudevent.CheckSource(f.source)
}

func (f cloudEvents) event(e Entry) (any, error) {
	entry, err := e.journalEntry()
	if err != nil {
		return nil, err
	}
	doc, err := cloudevent.Encode(entry, f.source)
	return json.RawMessage(doc), err
}

func (e *Entry) journalEntry() (journal.Entry, error) {
	if e.Action != nil {
		return e.Action.Entry, nil
	}
	return changes.EntryOf(e.Change, journal.Position{Key: e.ID}, e.Change.By.Origin)
}
