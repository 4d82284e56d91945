package eventjson_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/internal/eventjson"
)

const goodMembers = `"id":"0190a7c0-0000-7000-8000-000000000001","occurred_at":"2026-01-02T03:04:05Z","action":"a.b","outcome":"success"`

// repeated returns n parts, joined by commas. A # in one is its number.
func repeated(part string, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strings.ReplaceAll(part, "#", fmt.Sprint(i)))
	}
	return b.String()
}

// grown are documents of one event that others may write, of any length.
var grown = map[string]func(n int) (doc, personal string){
	"one member again and again":       inEvent(`"":0`),
	"one known member again and again": inEvent(`"reason":"x"`),
	"one wrong member again and again": inEvent(`"reason":{}`),
	"many members":                     inEvent(`"m#":0`),
	"many members twice": func(n int) (doc, personal string) {
		return event(repeated(`"m#":0`, n) + "," + repeated(`"m#":0`, n)), ""
	},
	"members of an actor":                 inEvent(`"actor":{"type":[]}`),
	"many members of an actor":            func(n int) (doc, personal string) { return event(`"actor":{` + repeated(`"m#":0`, n) + `}`), "" },
	"one member of metadata":              inMetadata(`"":0`),
	"many members of metadata":            inMetadata(`"m#":0`),
	"bad names in metadata":               inMetadata(`"\u0000#":0`),
	"bad texts in metadata":               inMetadata(`"m#":"\u0000"`),
	"objects with one member in metadata": inMetadata(`"m#":{"a":0,"a":0}`),
	"bad texts in a list": func(n int) (doc, personal string) {
		return event(`"metadata":{"l":[` + repeated(`"\ud83d"`, n) + `]}`), ""
	},
	"lists that are too deep": func(n int) (doc, personal string) {
		return event(`"metadata":{"l":` + deep(200, repeated(`[[]]`, n)) + `}`), ""
	},
	"one list that is too deep": func(n int) (doc, personal string) {
		return event(`"metadata":{"l":` + deep(min(n, 4000), "") + `}`), ""
	},
	"a long name":           func(n int) (doc, personal string) { return event(repeated(`"`+strings.Repeat("x", n)+`":0`, 2)), "" },
	"a long value":          func(n int) (doc, personal string) { return event(`"id":"` + strings.Repeat("x", n) + `"`), "" },
	"one personal member":   func(n int) (doc, personal string) { return event(`"host":"h"`), `[{` + repeated(`"":0`, n) + `}]` },
	"many personal members": func(n int) (doc, personal string) { return event(`"host":"h"`), `[{` + repeated(`"m#":0`, n) + `}]` },
	"personal fields of nothing": func(n int) (doc, personal string) {
		return event(`"host":"h"`), `[` + repeated(`{"comment":[]}`, n) + `]`
	},
	"escapes": func(n int) (doc, personal string) {
		return event(`"comment":"` + strings.Repeat(`\ud83d`, n) + `"`), ""
	},
}

func event(members string) string { return `[{` + goodMembers + `,` + members + `}]` }

func deep(levels int, inside string) string {
	return strings.Repeat("[", levels) + inside + strings.Repeat("]", levels)
}

func inEvent(member string) func(n int) (doc, personal string) {
	return func(n int) (doc, personal string) { return event(repeated(member, n)), "" }
}

func inMetadata(member string) func(n int) (doc, personal string) {
	return func(n int) (doc, personal string) { return event(`"metadata":{` + repeated(member, n) + `}`), "" }
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestWorkOfDecode: a document twice as long is twice the work, whatever it says, and what is
// said of it stays short. A document of 16 MiB, which any role may write, would take days
// otherwise.
func TestWorkOfDecode(t *testing.T) {
	for name, of := range grown {
		cost := func(n int) (length int, bytes uint64) {
			doc, personal := of(n)
			if !json.Valid([]byte(doc)) || personal != "" && !json.Valid([]byte(personal)) {
				t.Fatalf("%s is no JSON: %.300s", name, doc)
			}
			var got []eventjson.Decoded
			bytes = allocated(func() { got = eventjson.Decode([]byte(doc), []byte(personal), 1) })
			if len(got) != 1 || len(got[0].Unreadable) > 4000 {
				t.Errorf("%s: %d events, of which the first has %d bytes to say", name, len(got), len(got[0].Unreadable))
			}
			return len(doc) + len(personal), bytes
		}
		for _, n := range []int{500, 5000, 100_000} {
			length, bytes := cost(n)
			if most := uint64(1_500_000 + 12*length); bytes > most {
				t.Errorf("%s: decoding %d bytes allocates %d, want at most %d", name, length, bytes, most)
			}
		}
	}
}

// TestManyMembers: of more members than an object may have the first are read, and it says so.
func TestManyMembers(t *testing.T) {
	doc := event(repeated(`"m#":0`, 2000) + `,"reason":"x"`)
	got := eventjson.Decode([]byte(doc), nil, 1)
	if len(got) != 1 || got[0].Unreadable != "event: has more than 1000 members that are not known" || got[0].Event.Action != "a.b" {
		t.Errorf("%+v", got)
	}
}

// TestNotes: each field has one note, and an event a few.
func TestNotes(t *testing.T) {
	for members, want := range map[string]string{
		`"reason":"x","reason":"y","reason":"z"`:        "reason: is there twice",
		`"new":1,"new":2,"new":3,"host":"x","host":"y"`: `"new": is there twice; host: is there twice`,
		`"metadata":{"a":1,"a":1,"a":1,"b":1,"b":1}`:    `metadata."a": is there twice`,
		`"metadata":{"a":{"b":["\u0000"]}},"reason":7`:  `metadata: contains \u0000, which no database stores as text; reason: "7" is no text`,
		`"reason":7,"host":7,"job_id":7,"tenant_id":7,"application":7,"x":7,` + `"target":7,"actor":7,"request_id":7,"trace_parent":7`: `reason: "7" is no text; host: "7" is no text; job_id: "7" is no text; tenant_id: "7" is no text; application: "7" is no text; target: "7" is no JSON object; actor: "7" is no JSON object; request_id: "7" is no text; and more`,
	} {
		if got := eventjson.Decode([]byte(event(members)), nil, 1); got[0].Unreadable != want {
			t.Errorf("%s:\ngot  %s\nwant %s", members, got[0].Unreadable, want)
		}
	}
}

// TestAllocationsOfDecode: the checks cost ordinary documents nothing.
func TestAllocationsOfDecode(t *testing.T) {
	doc := []byte(event(`"reason":"` + strings.Repeat("x", 100) + `","host":"h"`))
	const texts = 4 // action, outcome, reason, host
	if n := testing.AllocsPerRun(100, func() { eventjson.Decode(doc, nil, 1) }); n > texts+5 {
		t.Errorf("%v allocations", n)
	}
}
