package eventjson_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/eventjson"
)

// checkFlat compares AppendFlat with the event's own JSON.
func checkFlat(t *testing.T, e hooks.Event) {
	t.Helper()
	want := object(t, e)
	for _, group := range []string{"actor", "target"} {
		members, _ := want[group].(map[string]any)
		delete(want, group)
		for name, v := range members {
			if name != "on_behalf_of" {
				name = group + "_" + name
			}
			want[name] = v
		}
	}
	want["occurred_at"] = e.OccurredAt.UTC().Format("2006-01-02T15:04:05.000000Z")
	for _, raw := range []bool{false, true} {
		doc, err := eventjson.AppendFlat([]byte{}, []hooks.Event{e}, raw)
		if err != nil {
			t.Fatal(err)
		}
		var got [1]map[string]any
		exactly(t, doc, &got)
		if !reflect.DeepEqual(got[0], want) {
			t.Errorf("raw %v: got  %s\nwant %v", raw, doc, want)
		}
		if !utf8.Valid(doc) {
			t.Errorf("raw %v: %q is not UTF-8", raw, doc)
		}
	}
}

func object(t *testing.T, e hooks.Event) (o map[string]any) {
	t.Helper()
	doc, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	exactly(t, doc, &o)
	return o
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

func TestFlat(t *testing.T) {
	checkFlat(t, hooks.Event{Action: "a.b", OccurredAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600))})
	for _, s := range texts {
		checkFlat(t, full(s, map[string]any{s: s}))
	}
	doc, err := eventjson.AppendFlat(nil, []hooks.Event{{Reason: "é\u2028\uFFFD\xff"}}, true)
	if want := `"reason":"` + "é\u2028\uFFFD" + `\ufffd"`; err != nil || !strings.Contains(string(doc), want) {
		t.Errorf("raw: %s, want %s", doc, want)
	}
}
