package change

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

var update = flag.Bool("update", false, "write the golden files anew")

func text(s string) Value { return Value{Text: &s} }

func hashed(s string) Value { return Value{Text: &s, Masked: true} }

func cutTo(s string) Value { return Value{Text: &s, Shortened: true} }

// diffed are changes with values of every kind.
var diffed = []Change{
	{
		XID: 1 << 60, TxStartedAt: noon, CapturedAt: noon.Add(time.Microsecond).In(time.FixedZone("", 3600)), Op: Update,
		Schema: "shop", Table: `Order "Lines"`, Key: []string{"42", "ü<&>"}, FormerKey: []string{"41", ""}, Nested: true, ForeignKey: "lines_order",
		By: &Attribution{
			State: Recorded, Contexts: []Context{{Actor: hooks.Actor{Type: hooks.User, ID: "alice", Name: "Alice", OnBehalfOf: "user:bob"}}, {}},
			Origin: Origin{Role: "shop", Application: "web", Client: "10.0.0.7"},
		},
		Fields: []Field{
			{"status", "text", text("new"), text("")},
			{"note", "text", Value{}, text("NULL")},
			{"price", "numeric(10,2)", text("1.00"), Value{}},
			{"card", "text", Value{Masked: true}, Value{Masked: true}},
			{"pin", "text", hashed("0a0b"), Value{Masked: true}},
			{"doc", "json", cutTo("70000 c0ffee"), cutTo("stored 20000000")},
			{"raw", "text", text("\xff"), text("a\n\"b\"")},
		},
	},
	{
		XID: 775, TxStartedAt: noon, CapturedAt: noon, Op: Insert, Schema: "public", Table: "orders", Drifted: true,
		By:     &Attribution{State: NoEvent},
		Fields: []Field{{"id", "integer", Value{}, text("42")}, {"note", "text", Value{}, Value{}}, {"card", "text", Value{Masked: true}, Value{Masked: true}}},
	},
	{XID: 775, TxStartedAt: noon, CapturedAt: noon, Op: Delete, Schema: "public", Table: "orders", Key: []string{"42"}, Fields: []Field{{"id", "integer", text("42"), Value{}}, {"pin", "text", hashed("0a0b"), Value{Masked: true}}}},
	{XID: 775, TxStartedAt: noon, CapturedAt: noon, Op: Truncate, Schema: "public", Table: "orders"},
}

// TestDiff: programs elsewhere read this form.
func TestDiff(t *testing.T) {
	const golden = "testdata/diff.json"
	var got bytes.Buffer
	e := json.NewEncoder(&got)
	e.SetIndent("", "\t")
	kinds := map[DiffKind]bool{}
	for i := range diffed {
		d := diffed[i].Diff()
		if err := e.Encode(d); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var back Diff
		if err = json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, d) {
			t.Errorf("%+v, %v; want %+v", back, err, d)
		}
		for _, f := range d.Fields {
			kinds[f.Old.Kind], kinds[f.New.Kind] = true, true
		}
	}
	for _, kind := range []DiffKind{KindAbsent, KindValue, KindNull, KindHashed, KindShortened, KindMasked} {
		if !kinds[kind] {
			t.Errorf("no value is %s", kind)
		}
	}
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("the form is another one than in %s:\n%s", golden, got.String())
	}
}
