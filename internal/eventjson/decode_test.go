package eventjson_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/eventjson"
)

// both encodes events and decodes them.
func both(t *testing.T, events ...hooks.Event) []eventjson.Decoded {
	t.Helper()
	doc, err := eventjson.AppendArray(nil, events)
	if err != nil {
		t.Fatal(err)
	}
	return eventjson.Decode(doc, eventjson.AppendPersonal(nil, events), len(events))
}

func prepared(t *testing.T, e hooks.Event) hooks.Event {
	t.Helper()
	e, err := hooks.Prepare(e)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestDecode: what was encoded comes back as it was.
func TestDecode(t *testing.T) {
	bare := prepared(t, hooks.Event{Action: "a.b"})
	named := prepared(t, hooks.Event{Action: "a.b", Actor: hooks.Actor{Type: hooks.System, Name: "é"}, Metadata: map[string]any{"n": json.Number("1.50"), "l": []any{nil, true, false, "é", map[string]any{}}, "e": []any{}}})
	whole := full("é\u2028🙂\\\"", map[string]any{"é": "🙂"})
	whole.OccurredAt = whole.OccurredAt.UTC()
	whole.Action, whole.Outcome, whole.Actor.Type = "a.whole", hooks.Failure, hooks.User
	want := []hooks.Event{bare, named, whole, bare}
	got := both(t, want...)
	for i := range want {
		if got[i].Unreadable != "" || !reflect.DeepEqual(got[i].Event, want[i]) {
			t.Errorf("event %d:\ngot  %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

// TestDecodeInOtherSpelling: white space, an order and escapes of others, and members that are
// not known.
func TestDecodeInOtherSpelling(t *testing.T) {
	const doc = " [ { \"new\" : [ { \"deep\" : [ ] } , \"]}\" , 1.5e3 ] , \"outcome\" : \"\\u0073uccess\" ,\t\"captured\" : false , \"reason\" : null ,\r\n" +
		"\"metadata\" : { \"a\" : [ 1 , { } , [ ] , null ] } , \"target\" : { } , \"occurred_at\" : \"2026-01-02T03:04:05.6+01:00\" , \"action\" : \"a.b\" , \"id\" : \"0190A7C0-0000-7000-8000-000000000001\" } ] "
	want := hooks.Event{
		ID: uuid.MustParse("0190a7c0-0000-7000-8000-000000000001"), OccurredAt: time.Date(2026, 1, 2, 2, 4, 5, 600_000_000, time.UTC),
		Action: "a.b", Outcome: hooks.Success, Metadata: map[string]any{"a": []any{json.Number("1"), map[string]any{}, []any{}, nil}},
	}
	got := eventjson.Decode([]byte(doc), []byte(" [ { \"comment\" : \"\\/c\" , \"reason\" : \"x\" } ] "), 1)
	want.Comment = "/c"
	if len(got) != 1 || got[0].Unreadable != "" || !reflect.DeepEqual(got[0].Event, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestDecodeWhole: documents that cannot be read as a whole have as many events as their row
// says, and at least one.
func TestDecodeWhole(t *testing.T) {
	event := `{"id":"0190a7c0-0000-7000-8000-000000000001","occurred_at":"2026-01-02T03:04:05Z","action":"a.b","outcome":"success"}`
	for _, tt := range []struct {
		doc, personal string
		count, want   int
		says          string
	}{
		{"[" + event + "]", "", 1, 1, ""},
		{"", "", 3, 3, "document: is no JSON array"},
		{"[", "", 2, 2, "document: is no JSON array"},
		{"{}", "", 2, 2, "document: is no JSON array"},
		{"[" + event + "] []", "", 1, 1, "document: is no JSON array"},
		{"[]", "", 0, 1, "document: has 0 events, its row says 0"},
		{"[]", "", -1, 1, "document: has 0 events, its row says -1"},
		{"[" + event + "]", "", 2, 2, "document: has 1 events, its row says 2"},
		{"[" + event + "," + event + "]", "", 1, 1, "document: has more events than the 1 that its row says"},
		{"x", "", 5000, 1000, "document: is no JSON array"},
		{"[" + event + "]", "x", 1, 1, "personal: is no JSON array"},
		{"[" + event + "]", "{}", 1, 1, "personal: is no JSON array"},
		{"[" + event + "]", "[]", 1, 1, "personal: has 0 members for 1 events"},
		{"[" + event + "]", "[null,null]", 1, 1, "personal: has 2 members for 1 events"},
		{"[" + event + "]", "[[]]", 1, 1, `event: "[]" is no JSON object`},
	} {
		got := eventjson.Decode([]byte(tt.doc), []byte(tt.personal), tt.count)
		if len(got) != tt.want {
			t.Errorf("%.60s of %d: %d events, want %d", tt.doc, tt.count, len(got), tt.want)
		}
		for _, d := range got {
			if d.Unreadable != tt.says {
				t.Errorf("%.60s of %d: %q, want %q", tt.doc, tt.count, d.Unreadable, tt.says)
			}
		}
	}
}

// FuzzDecode: no document makes it panic, or lose an event, and what it reads can be encoded
// and is read again as the same.
func FuzzDecode(f *testing.F) {
	good := hooks.Event{ID: uuid.UUID{1}, OccurredAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Action: "a.b", Outcome: hooks.Success, Comment: "c"}
	doc, err := eventjson.AppendArray(nil, []hooks.Event{good, full("é", nil)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc, eventjson.AppendPersonal(nil, []hooks.Event{good, full("é", nil)}), 2)
	for _, s := range []string{`[{"a":[{"b":"\ud83d"}]}]`, `[{"metadata":{"x":"\ud83d\ude00\u0000","x":1e9}}]`, "[{\"reason\":\"\xff\"}]", `[null,1,"x",[[]]]`, `[{"id":7,"actor":[],"target":"x","captured":{}}]`, " [ ] "} {
		f.Add([]byte(s), []byte(`[{"actor":{"name":"n","id":"i"}}]`), 1)
	}
	f.Fuzz(func(t *testing.T, doc, personal []byte, count int) {
		got := eventjson.Decode(doc, personal, count)
		if len(got) != min(max(count, 1), 1000) && len(got) != count {
			t.Fatalf("%d events of %d", len(got), count)
		}
		for i := range got {
			if got[i].Unreadable != "" || hooks.Validate(got[i].Event) != nil {
				continue
			}
			again := both(t, got[i].Event)[0]
			if fmt.Sprint(again) != fmt.Sprint(got[i]) {
				t.Errorf("%+v\nis read again as\n%+v", got[i], again)
			}
		}
	})
}

// TestValidateAsHooks: of what is read, what package hooks refuses is unreadable, and nothing
// else, but for secrets.
func TestValidateAsHooks(t *testing.T) {
	for _, action := range []string{"", "a", "a.b", "a.b.c_1", "a..b", ".a", "a.", "A.b", "a.B", "1.a", "a.1", "a._", "_a.b", "a-b.c", "é.b", "a." + strings.Repeat("b", 253), "a." + strings.Repeat("b", 254)} {
		e := prepared(t, hooks.Event{Action: "a.b"})
		e.Action = action
		if got, want := both(t, e)[0].Unreadable == "", hooks.Validate(e) == nil; got != want {
			t.Errorf("action %q is readable: %v, want %v", action, got, want)
		}
	}
	for _, actor := range []hooks.Actor{{}, {Type: hooks.User, ID: "1"}, {Type: hooks.User}, {ID: "1"}, {Name: "n"}, {Type: hooks.System}, {Type: hooks.Anonymous, Name: "n"}, {Type: "robot", ID: "1"}, {Type: "root"}} {
		for _, captured := range []bool{false, true} {
			e := prepared(t, hooks.Event{Action: "a.b"})
			e.Actor, e.Captured = actor, captured
			if got, want := both(t, e)[0].Unreadable == "", hooks.Validate(e) == nil; got != want {
				t.Errorf("an event, captured: %v, with the actor %+v is readable: %v, want %v", captured, actor, got, want)
			}
		}
	}
	secret := prepared(t, hooks.Event{Action: "a.b"})
	secret.Metadata = map[string]any{"password": "x"}
	if got := both(t, secret)[0]; got.Unreadable != "" {
		t.Error(got.Unreadable)
	}
}

// TestMetadataAsHooks: metadata is too long for both, whatever spelling a document has, and
// numbers are kept as package hooks keeps them.
func TestMetadataAsHooks(t *testing.T) {
	long := strings.Repeat("x", hooks.MaxMetadata-len(`{"k":""}`))
	for _, metadata := range []string{
		`{"k":"` + long + `"}`, `{"k":"` + long + `x"}`, `{"k":"` + long + `","a":1}`,
		`{"k":"` + strings.Repeat(`\u00e9`, len(long)/2) + `"}`, `{"k":"` + strings.Repeat(`\u00e9`, len(long)/2+1) + `"}`,
		`{"k":"` + strings.Repeat("\u2028", len(long)/6) + `"}`, `{"k":"` + strings.Repeat("\u2028", len(long)/6+1) + `"}`,
		`{"k":"` + strings.Repeat(`\b`, len(long)/2) + `"}`, `{"k":"` + strings.Repeat(`\b`, len(long)/2+1) + `"}`,
		`{"k":"` + strings.Repeat(`\u0061`, len(long)) + `"}`, `{"k":"` + strings.Repeat(`\u0061`, len(long)+1) + `"}`,
		`{"k":"` + strings.Repeat(`<`, len(long)) + `"}`,
		`{ "k" : ` + strings.Repeat(" ", 20_000) + `1 }`,
		`{"k":1e2}`, `{"k":-1.50E+1}`, `{"k":-0}`, `{"k":1e8000}`, `{"k":1e8192}`, `{"k":1e1000000}`, `{"k":-1e-1000000}`, `{"k":0e1000000}`,
		`{"k":1` + strings.Repeat("0", 8000) + `}`, `{"k":1` + strings.Repeat("0", 40_000) + `}`,
		`{"k":[1e5000,1e3000]}`, `{"k":[1e5000,1e5000]}`, `{"k":[1e800,1e800,1e800]}`,
		`{"k":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `}`, `{"k":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		var m map[string]any
		dec := json.NewDecoder(strings.NewReader(metadata))
		dec.UseNumber()
		if err := dec.Decode(&m); err != nil {
			t.Fatal(err)
		}
		want, err := hooks.Prepare(hooks.Event{Action: "a.b", Metadata: m})
		got := eventjson.Decode([]byte(event(`"metadata":`+metadata)), nil, 1)[0]
		switch {
		case (err == nil) != (got.Unreadable == ""):
			t.Errorf("%.60s… (%d bytes): %q, package hooks says %v", metadata, len(metadata), got.Unreadable, err)
		case err != nil && !strings.HasPrefix(got.Unreadable, "metadata"):
			t.Errorf("%.60s…: %s", metadata, got.Unreadable)
		case err == nil && !reflect.DeepEqual(got.Event.Metadata, want.Metadata):
			t.Errorf("%.60s… is %.60v, for package hooks %.60v", metadata, got.Event.Metadata, want.Metadata)
		}
	}
}

// TestDecodeAny: what earlier versions have written is read by their rules.
func TestDecodeAny(t *testing.T) {
	for _, members := range []string{`"actor":{"type":"robot"}`, `"metadata":{"k":"` + strings.Repeat("x", 10_000) + `"}`, `"metadata":{"k":1` + strings.Repeat("0", 10_000) + `}`, `"reason":"` + strings.Repeat("x", 2000) + `"`} {
		doc := []byte(event(members))
		if got := eventjson.DecodeAny(doc, nil, 1)[0].Unreadable; got != "" {
			t.Errorf("%.40s: %s", members, got)
		}
		if eventjson.Decode(doc, nil, 1)[0].Unreadable == "" {
			t.Errorf("%.40s is readable", members)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	e := full("some text", map[string]any{"rows": json.Number("1"), "statements": json.Number("1")})
	e.Action, e.Outcome, e.Actor.Type = "orders.inserted", hooks.Success, hooks.User
	events := make([]hooks.Event, 10)
	for i := range events {
		events[i] = e
	}
	doc, _ := eventjson.AppendArray(nil, events)
	personal := eventjson.AppendPersonal(nil, events)
	b.ReportAllocs()
	for b.Loop() {
		if got := eventjson.Decode(doc, personal, len(events)); got[0].Unreadable != "" {
			b.Fatal(got[0].Unreadable)
		}
	}
}
