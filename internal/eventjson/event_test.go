package eventjson_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/eventjson"
)

var texts = []string{
	"", "plain", `"`, `\`, "\x00\x01\b\f\n\r\t\x1f\x7f", "é", "あ", "\u2028\u2029", "🙂", "\U0010FFFF", "\uFFFD", "\xff", "a\xffb\xc3", "\x80", `\u00e9`, "<&>'",
}

// full returns an event with each text field set to s, and the others to something, by
// reflection: a field that Append does not know turns the tests red.
func full(s string, metadata map[string]any) hooks.Event {
	var e hooks.Event
	fill(reflect.ValueOf(&e).Elem(), s)
	e.Metadata = metadata
	return e
}

func fill(v reflect.Value, s string) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case uuid.UUID:
			f.Set(reflect.ValueOf(uuid.UUID{1, 0xfe, 3, 4, 5, 0xa6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}))
		case time.Time:
			f.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 600_000, time.FixedZone("", 3600))))
		case map[string]any:
		case bool:
			f.SetBool(true)
		default:
			if f.Kind() == reflect.Struct {
				fill(f, s)
			} else {
				f.SetString(s)
			}
		}
	}
}

// standard is what encoding/json makes of v, in ASCII.
func standard(t *testing.T, v any) (string, error) {
	t.Helper()
	var doc bytes.Buffer
	enc := json.NewEncoder(&doc)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	var b strings.Builder
	for _, r := range strings.TrimSuffix(doc.String(), "\n") {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xD800+(r-0x10000)>>10, 0xDC00+(r-0x10000)&0x3FF)
		}
	}
	return b.String(), err
}

func checkAppend(t *testing.T, e hooks.Event) {
	t.Helper()
	want, wantErr := standard(t, e)
	got, err := eventjson.Append([]byte("before "), &e)
	switch {
	case (err == nil) != (wantErr == nil):
		t.Errorf("err = %v, encoding/json's is %v", err, wantErr)
	case err == nil && string(got) != "before "+want:
		t.Errorf("got  %s\nwant before %s", got, want)
	}
}

func TestAppend(t *testing.T) {
	checkAppend(t, hooks.Event{})
	checkAppend(t, hooks.Event{Actor: hooks.Actor{OnBehalfOf: "u"}, Target: hooks.Target{Name: "n"}})
	for _, s := range texts {
		checkAppend(t, full(s, nil))
		checkAppend(t, full("x", map[string]any{s: s, "list": []any{s, nil}}))
	}
	for _, year := range []int{-1, 0, 9999, 10000} {
		checkAppend(t, hooks.Event{OccurredAt: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)})
	}
}

func TestMetadata(t *testing.T) {
	loop := map[string]any{}
	loop["self"] = loop
	deep := any("end")
	for range 2 * hooks.MaxDepth {
		deep = []any{map[string]any{"é": deep}}
	}
	for _, v := range []any{
		nil, true, false, 0, -1, int64(1) << 62, int8(3), 1.5, 1e21, []byte("é"), time.UTC,
		struct{ A string }{"é"},
		map[string]any{},
		map[string]any(nil),
		[]any{},
		[]any(nil),
		map[string]any{"b": 1, "a": 2, "é": 3},
		map[string]int{"é": 1},
		func() {},
		[]any{make(chan int)},
		loop, deep, json.RawMessage(`{"é": 1 }`), json.RawMessage(`{`),
	} {
		checkAppend(t, hooks.Event{Metadata: map[string]any{"v": v}})
	}
	for _, n := range []json.Number{"", "0", "-0", "00", "01", "-", "1.", ".1", "-.1", "1.5", "-0.50", "1.2.3", "1e3", "1E-3", "+1", "a", "1 ", "12345678901234567890", "1\n"} {
		checkAppend(t, hooks.Event{Metadata: map[string]any{"n": n}})
	}
}

func FuzzAppend(f *testing.F) {
	for _, s := range texts {
		f.Add(s, `{"a":["`+"é"+`",1.50,{"b":null}]}`, uint32(0))
	}
	f.Fuzz(func(t *testing.T, s, metadata string, empty uint32) {
		var m map[string]any
		dec := json.NewDecoder(strings.NewReader(metadata))
		dec.UseNumber()
		_ = dec.Decode(&m)
		e := full(s, m)
		i := 0
		for _, v := range []reflect.Value{reflect.ValueOf(&e).Elem(), reflect.ValueOf(&e.Actor).Elem(), reflect.ValueOf(&e.Target).Elem()} {
			for k := range v.NumField() {
				if i++; empty>>(i%32)&1 == 1 && v.Field(k).Kind() != reflect.Struct {
					v.Field(k).SetZero()
				}
			}
		}
		checkAppend(t, e)
		checkParts(t, []hooks.Event{e, {Action: "a.b"}, e})
	})
}

// checkParts checks that what AppendArray and AppendPersonal make is the events together, and
// that each has only its own part.
func checkParts(t *testing.T, events []hooks.Event) {
	t.Helper()
	plain, err := eventjson.AppendArray(nil, events)
	if err != nil {
		t.Fatal(err)
	}
	personal := eventjson.AppendPersonal(nil, events)
	want := decode(t, events)
	if got := decodeParts(t, plain, personal); !reflect.DeepEqual(got, want) {
		t.Errorf("plain %s\npersonal %s\nare  %+v\nwant %+v", plain, personal, got, want)
	}
	for _, field := range []string{"name", "ip_address", "user_agent", "comment"} {
		if e := events[0]; e.Metadata == nil && bytes.Contains(plain, []byte(`"`+field+`":`)) {
			t.Errorf("%s is among what is not personal: %s", field, plain)
		}
	}
}

// decode is what encoding/json makes of events and back.
func decode(t *testing.T, events []hooks.Event) []hooks.Event {
	t.Helper()
	doc, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	return decodeParts(t, doc, nil)
}

func decodeParts(t *testing.T, plain, personal []byte) (events []hooks.Event) {
	t.Helper()
	exactly(t, plain, &events)
	if personal == nil {
		return events
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(personal, &parts); err != nil || len(parts) != len(events) {
		t.Fatalf("%s has %d members, want %d: %v", personal, len(parts), len(events), err)
	}
	for i, part := range parts {
		if err := json.Unmarshal(part, &events[i]); err != nil {
			t.Fatal(err)
		}
	}
	return events
}

func TestParts(t *testing.T) {
	named := hooks.Event{Action: "a.named", Actor: hooks.Actor{Name: "n"}}
	checkParts(t, []hooks.Event{full("é", nil)})
	checkParts(t, []hooks.Event{{Action: "a.b"}, named, {Action: "a.c", Comment: "c"}})
	if got := eventjson.AppendPersonal([]byte("before"), []hooks.Event{{Action: "a.b", Reason: "r"}}); string(got) != "before" {
		t.Errorf("events without anything personal: %s", got)
	}
	if got := string(eventjson.AppendPersonal(nil, []hooks.Event{{}, named})); got != `[null,{"actor":{"name":"n"}}]` {
		t.Errorf("personal: %s", got)
	}
	if doc, err := eventjson.AppendArray(nil, []hooks.Event{named}); err != nil || bytes.Contains(doc, []byte("actor")) {
		t.Errorf("an actor of whom only the name is known: %s, %v", doc, err)
	}
	if _, err := eventjson.AppendArray(nil, []hooks.Event{{}, {Action: "a.bad", Metadata: map[string]any{"f": func() {}}}}); err == nil || !strings.Contains(err.Error(), "(a.bad)") {
		t.Errorf("err = %v, want one that names the event", err)
	}
}

// TestSource: an event that does not say which program wrote it gets that of the source, in
// what is appended only.
func TestSource(t *testing.T) {
	events := []hooks.Event{{Action: "a.b"}, {Action: "a.c", Application: "other", Host: "there"}}
	before := slices.Clone(events)
	doc, err := eventjson.Source{Application: "shop", Host: "here"}.AppendArray(nil, events)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(events)
	want[0].Application, want[0].Host = "shop", "here"
	if got := decodeParts(t, doc, nil); !reflect.DeepEqual(got, decode(t, want)) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !reflect.DeepEqual(events, before) {
		t.Errorf("the events were changed: %+v", events)
	}
}

func BenchmarkAppend(b *testing.B) {
	e := full("some text", map[string]any{"rows": int64(1), "statements": 1})
	events := []hooks.Event{e}
	var doc []byte
	b.ReportAllocs()
	for b.Loop() {
		doc, _ = eventjson.AppendArray(doc[:0], events)
		doc = eventjson.AppendPersonal(doc, events)
	}
}

// exactly decodes doc with its numbers as they are.
func exactly(t *testing.T, doc []byte, v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
}
