package cloudevent

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// full is an entry with most that an entry can have.
func full() journal.Entry {
	at := time.Date(2026, 3, 14, 15, 9, 26, 535897000, time.UTC)
	return journal.Entry{
		Event: hooks.Event{
			ID: uuid.MustParse("0195951b-9ee7-7c3f-8d5c-7d1b3c5e7f90"), OccurredAt: at, Action: "order.refunded", Outcome: hooks.Success,
			Actor:  hooks.Actor{Type: hooks.Admin, ID: "7", Name: "Ada", OnBehalfOf: "12"},
			Target: hooks.Target{Type: "order", ID: "42", Name: "A-42"}, TenantID: "acme", RequestID: "r-1", Reason: "damaged",
			Metadata: map[string]any{"total": json.Number("12.50")}, Application: "my shop", Host: "web-1",
		},
		Position: journal.Position{Key: uuid.MustParse("0195951b-9ee7-7000-8000-000000000001"), Ordinal: 99}, Tx: journal.TxKey{ID: 771, StartedAt: at}, RecordedAt: at.Add(time.Millisecond), Role: "app",
	}
}

const golden = `{
	"specversion": "1.0",
	"id": "0195951b-9ee7-7c3f-8d5c-7d1b3c5e7f90",
	"source": "/my%20shop",
	"type": "order.refunded",
	"subject": "order/42",
	"time": "2026-03-14T15:09:26.535897Z",
	"datacontenttype": "application/json",
	"data": {
		"id": "0195951b-9ee7-7c3f-8d5c-7d1b3c5e7f90",
		"occurred_at": "2026-03-14T15:09:26.535897Z",
		"action": "order.refunded",
		"outcome": "success",
		"actor": {"type": "admin", "id": "7", "name": "Ada", "on_behalf_of": "12"},
		"target": {"type": "order", "id": "42", "name": "A-42"},
		"tenant_id": "acme",
		"request_id": "r-1",
		"reason": "damaged",
		"metadata": {"total": 12.50},
		"application": "my shop",
		"host": "web-1",
		"key": "0195951b-9ee7-7000-8000-000000000001",
		"ordinal": 99,
		"tx": {"id": 771, "started_at": "2026-03-14T15:09:26.535897Z"},
		"recorded_at": "2026-03-14T15:09:26.536897Z",
		"role": "app"
	}
}`

// TestGolden is what consumers rely on, byte for byte.
func TestGolden(t *testing.T) {
	got, err := Encode(full(), "")
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := json.Compact(&want, []byte(golden)); err != nil {
		t.Fatal(err)
	}
	if string(got) != want.String() {
		t.Errorf("got\n%s\nwant\n%s", got, want.String())
	}
}

// attributes are the rules of CloudEvents 1.0, section 3, for each attribute
// that we set; all of them are Strings or are written as such.
var attributes = map[string]struct {
	required bool
	valid    func(string) bool
}{
	"specversion":     {true, func(s string) bool { return s == "1.0" }},
	"id":              {true, nil},
	"source":          {true, isURIReference},
	"type":            {true, nil},
	"subject":         {false, nil},
	"time":            {false, isTimestamp},
	"datacontenttype": {false, isMediaType},
}

var attributeName = regexp.MustCompile(`^[a-z0-9]{1,20}$`)

// isURIReference checks the characters (RFC 3986, section 2) and that it parses.
func isURIReference(s string) bool {
	_, err := url.Parse(s)
	return err == nil && regexp.MustCompile(`^([A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-F]{2})+$`).MatchString(s)
}

func isTimestamp(s string) bool {
	_, err := time.Parse(time.RFC3339Nano, s)
	return err == nil
}

func isMediaType(s string) bool {
	_, _, err := mime.ParseMediaType(s)
	return err == nil
}

// isString has the characters that section 3.1 forbids.
func isString(s string) bool {
	return !regexp.MustCompile(`[\x00-\x1F\x7F-\x{9F}\x{FDD0}-\x{FDEF}\x{FFFE}\x{FFFF}\x{1FFFE}\x{1FFFF}\x{10FFFE}\x{10FFFF}]`).MatchString(s)
}

func TestAttributeRules(t *testing.T) {
	for name, change := range map[string]func(*journal.Entry){
		"full":         func(*journal.Entry) {},
		"minimal":      func(e *journal.Entry) { e.Event = hooks.Event{ID: e.ID, OccurredAt: e.OccurredAt, Action: "a.b"} },
		"a type alone": func(e *journal.Entry) { e.Target = hooks.Target{Type: "settings"} },
		"an ID alone":  func(e *journal.Entry) { e.Target = hooks.Target{ID: "42"} },
		"a name alone": func(e *journal.Entry) { e.Target = hooks.Target{Name: "x"} },
		"a strange target": func(e *journal.Entry) {
			e.Target = hooks.Target{Type: "a\tb\x00\x1f", ID: "\u007f\u0085\ufdd0\ufffe\U0001ffff🧾é"}
		},
		"a strange app":   func(e *journal.Entry) { e.Application = "Zoë's \"shop\": 50 % / \n李" },
		"an app of a dot": func(e *journal.Entry) { e.Application = "." },
		"the first year":  func(e *journal.Entry) { e.OccurredAt = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC) },
		"the last year":   func(e *journal.Entry) { e.OccurredAt = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC) },
		"another zone":    func(e *journal.Entry) { e.OccurredAt = e.OccurredAt.In(time.FixedZone("", 5400)) },
	} {
		t.Run(name, func(t *testing.T) {
			e := full()
			change(&e)
			body, err := Encode(e, "")
			if err != nil {
				t.Fatal(err)
			}
			checkAttributes(t, body)
		})
	}
}

func checkAttributes(t *testing.T, body []byte) {
	t.Helper()
	var event map[string]json.RawMessage
	if err := json.Unmarshal(body, &event); err != nil {
		t.Fatal(err)
	}
	if data := event["data"]; len(data) == 0 || data[0] != '{' {
		t.Errorf("data is %s, and no JSON object", data)
	}
	delete(event, "data")
	for name, raw := range event {
		var value string
		rule, known := attributes[name]
		switch err := json.Unmarshal(raw, &value); {
		case !attributeName.MatchString(name) || !known:
			t.Errorf("an attribute %q", name)
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case value == "":
			t.Errorf("%s is empty", name)
		case !isString(value):
			t.Errorf("%s has a forbidden character: %q", name, value)
		case rule.valid != nil && !rule.valid(value):
			t.Errorf("%s has a bad form: %q", name, value)
		}
	}
	for name, rule := range attributes {
		if _, ok := event[name]; rule.required && !ok {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestCloudEventSubject(t *testing.T) {
	for want, target := range map[string]hooks.Target{
		"order/42":          {Type: "order", ID: "42", Name: "A-42"},
		"settings":          {Type: "settings"},
		"42":                {ID: "42"},
		"":                  {Name: "A-42"},
		"file/a\uFFFDb/c d": {Type: "file", ID: "a\nb/c d"},
	} {
		if got := subjectOf(target); got != want {
			t.Errorf("%+v: %q, want %q", target, got, want)
		}
	}
}

// TestTimeIsUTC, wherever the app runs.
func TestTimeIsUTC(t *testing.T) {
	e := full()
	e.OccurredAt = e.OccurredAt.In(time.FixedZone("", 5400))
	body, err := Encode(e, "")
	if err != nil || !strings.Contains(string(body), `"time":"2026-03-14T15:09:26.535897Z"`) {
		t.Errorf("%s, %v", body, err)
	}
}

// TestGivenSource: the option is for all entries, whatever the app is called.
func TestGivenSource(t *testing.T) {
	body, err := Encode(full(), "https://shop.example/orders")
	if err != nil || !strings.Contains(string(body), `"source":"https://shop.example/orders"`) {
		t.Errorf("%s, %v", body, err)
	}
}
