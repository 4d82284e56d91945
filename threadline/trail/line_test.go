package trail

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// TestLines compares a line of each kind with testdata/bundle.jsonl. Files that were kept are in that form: a member
// may be added to it, and none changed.
func TestLines(t *testing.T) {
	id := uuid.UUID{1, 6: 0x70, 8: 0x80}
	tx := journal.TxKey{ID: 1 << 60, StartedAt: noon}
	actor := hooks.Actor{Type: hooks.User, ID: "alice", Name: "Alice"}
	status := "paid"
	change := changes.Change{
		XID: tx.ID, TxStartedAt: noon, CapturedAt: noon.Add(1000), Op: changes.Update, Schema: "public", Table: "orders", Key: []string{"42"},
		Fields: []changes.Field{{Name: "status", Type: "text", New: changes.Value{Text: &status}}},
	}
	diff := change.Diff()
	by := &changes.Attribution{
		State: changes.Pending, Reason: "some of its events are not yet delivered",
		Contexts: []changes.Context{{Actor: actor, TenantID: "t", RequestID: "r", CorrelationID: "c", JobID: "j", IPAddress: "10.0.0.7", UserAgent: "curl", Application: "web", Host: "h", Role: "shop"}},
		Origin:   changes.Origin{Role: "shop", Application: "web", Client: "10.0.0.7"},
	}
	query := Query{
		ActorType: hooks.User, ActorID: "alice", TenantID: "t", CorrelationID: "c", RequestID: "r", Tx: tx, Tables: []string{"orders"}, Key: []string{"42"}, Text: []string{"late"},
		Schema: "public", Ops: []changes.Op{changes.Update}, Fields: []string{"status"}, Old: []changes.FieldValue{{Field: "status", Null: true}}, New: []changes.FieldValue{{Field: "status", Text: "paid"}},
		Not: []Query{{Unattributed: true}, {Action: "a.b", ActionPrefix: "a.", Outcome: hooks.Failure}}, From: noon, To: noon.Add(time.Hour),
	}
	action := &threadline.Action{
		Entry: journal.Entry{
			Event:    hooks.Event{ID: id, OccurredAt: noon, Action: "order.paid", Outcome: hooks.Success, Actor: actor, Target: hooks.Target{Type: "order", ID: "42"}, Metadata: map[string]any{"rows": json.Number("1")}},
			Position: journal.Position{Key: id}, Tx: tx, RecordedAt: noon, Role: "shop",
		},
		InsertedAt: noon,
	}
	var got bytes.Buffer
	var lines []Line
	for _, line := range []Line{
		{Bundle: &Head{Version: 1, WrittenAt: instant(noon), Query: query}},
		{Transaction: transactionOf(tx, by)},
		{Transaction: transactionOf(tx, nil)},
		{Action: action, Matches: true},
		{Change: &diff},
		{Lost: &Lost{Schema: "public", Table: "orders", Op: changes.Delete, Reason: "locked", Count: 2}},
		{Difference: &Difference{Statements: []string{id.String()}, Rows: 2, Changes: 1, Expected: true, Reason: "1 row got the values that they had"}},
		{Break: &Break{Kind: changes.Truncated, From: instant(noon), To: instant(noon), Schema: "public", Table: "orders", Text: "TRUNCATE"}},
		{Unknown: &Unknown{About: "table notes", Reason: "its row changes are not captured"}},
		{End: &End{Transactions: 1, Actions: 2, Changes: 3, Unknown: 1, Complete: true, SHA256: strings.Repeat("0", 64)}},
	} {
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(append(text, '\n'))
		lines = append(lines, line)
	}
	const file = "testdata/bundle.jsonl"
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(want, got.Bytes()) {
		t.Errorf("%v; the lines are\n%s\nand in the file\n%s", err, got.Bytes(), want)
	}
	for i, text := range bytes.Split(bytes.TrimSuffix(want, []byte("\n")), []byte("\n")) {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		var line Line
		if err := dec.Decode(&line); err != nil || !reflect.DeepEqual(line, lines[i]) {
			t.Errorf("line %d is read as %+v, %v", i+1, line, err)
		}
	}
}
