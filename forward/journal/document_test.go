package journal

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

func TestDocumentLeavesOutWhatIsEmpty(t *testing.T) {
	id := uuid.MustParse("0190a7c0-0000-7000-8000-000000000001")
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600))
	doc, err := document([]hooks.Event{
		{ID: id, OccurredAt: at, Action: "a.b", Outcome: hooks.Success},
		{ID: id, OccurredAt: at, Action: "a.c", Outcome: hooks.Success, Reason: "<&>", Metadata: map[string]any{"n": json.Number("1e3")}},
	}, false)
	const want = `[{"id":"0190a7c0-0000-7000-8000-000000000001","occurred_at":"2026-01-02T02:04:05.000006Z","action":"a.b","outcome":"success"},` +
		`{"id":"0190a7c0-0000-7000-8000-000000000001","occurred_at":"2026-01-02T02:04:05.000006Z","action":"a.c","outcome":"success","reason":"<&>","metadata":{"n":1e3}}]`
	if err != nil || string(doc) != want {
		t.Errorf("got  %s, %v\nwant %s", doc, err, want)
	}
}

func TestDocumentNamesTheEventThatIsNoJSON(t *testing.T) {
	_, err := document([]hooks.Event{{Action: "a.b", Metadata: map[string]any{"f": func() {}}}}, false)
	if err == nil || !strings.Contains(err.Error(), "(a.b)") {
		t.Errorf("err = %v", err)
	}
}
