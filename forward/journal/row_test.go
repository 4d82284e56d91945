package journal

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestRowOf: entries made from memory are as those that are read, at the places that they have
// in the row.
func TestRowOf(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	row := Row{Key: uuid.UUID{1}, Tx: TxKey{ID: 7, StartedAt: at}, RecordedAt: at, Role: "app", Events: 5, Format: 1}
	counted := map[string]any{"rows": int64(3), "statements": 2, "via": "v"}
	got := row.EntriesOf([]hooks.Event{{Action: "a.b"}, {Action: "a.c", Metadata: counted}}, 3)
	want := []Entry{
		{Event: hooks.Event{Action: "a.b"}, Position: Position{Key: row.Key, Ordinal: 3}, Tx: row.Tx, RecordedAt: at, Role: "app"},
		{
			Event:    hooks.Event{Action: "a.c", Metadata: map[string]any{"rows": json.Number("3"), "statements": json.Number("2"), "via": "v"}},
			Position: Position{Key: row.Key, Ordinal: 4}, Tx: row.Tx, RecordedAt: at, Role: "app",
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !reflect.DeepEqual(counted, map[string]any{"rows": int64(3), "statements": 2, "via": "v"}) {
		t.Errorf("the event's own metadata became %v", counted)
	}
}

func TestPosition(t *testing.T) {
	p := Position{Key: uuid.MustParse("0190a7c0-0000-7000-8000-000000000001"), Ordinal: 12}
	got, err := ParsePosition(p.Text())
	if err != nil || got != p || p.Text() != "0190a7c0-0000-7000-8000-000000000001/12" {
		t.Errorf("%s is read as %+v, %v", p.Text(), got, err)
	}
	for _, text := range []string{"", "/", "x/1", p.Key.String(), p.Key.String() + "/", p.Key.String() + "/-1", p.Key.String() + "/1/2"} {
		if got, err := ParsePosition(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
	for _, q := range []Position{{Key: p.Key, Ordinal: 13}, {Key: uuid.Max}} {
		if p.Compare(q) != -1 || q.Compare(p) != 1 || q.Compare(q) != 0 {
			t.Errorf("%s and %s", p.Text(), q.Text())
		}
	}
}
