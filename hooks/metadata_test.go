package hooks_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// marshaler is whatever a type's MarshalJSON may return.
type marshaler string

func (m *marshaler) MarshalJSON() ([]byte, error) { return []byte(*m), nil }

type texter string

func (x texter) MarshalText() ([]byte, error) { return []byte(x), nil }

type inner struct {
	Note string `json:"note"`
}

type card struct {
	inner
	Skipped string `json:"-"`
	List    []*inner
	Names   map[texter]string `json:"names,omitempty"`
}

func nested(levels int) json.RawMessage {
	return json.RawMessage(strings.Repeat("[", levels) + strings.Repeat("]", levels))
}

func loop() map[string]any {
	m := map[string]any{}
	m["again"] = m
	return m
}

func TestMetadataThatIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		value any
		field string // below metadata.a
		why   string
	}{
		"first half of a pair":  {json.RawMessage(`"\ud83d"`), "", "surrogate"},
		"second half of a pair": {json.RawMessage(`["x\udE00y"]`), "[0]", "surrogate"},
		"pair the wrong way":    {json.RawMessage(`{"b":"\ude00\ud83d"}`), ".b", "surrogate"},
		"half, then a letter":   {json.RawMessage(`"\ud83dA\u0041"`), "", "surrogate"},
		"half, then a newline":  {json.RawMessage(`"\ud83d\nude00"`), "", "surrogate"},
		"half in a key":         {json.RawMessage(`{"\ud83d":1}`), `."\\ud83d"`, "its name contains one half"},
		"NUL in a RawMessage":   {json.RawMessage(`{"b":["\u0000"]}`), ".b[0]", `\u0000`},
		"too deep":              {nested(hooks.MaxDepth), strings.Repeat("[0]", hooks.MaxDepth-1), "deeper than the 100 levels"},
		"1,100 levels":          {nested(1100), strings.Repeat("[0]", hooks.MaxDepth-1), "deeper than the 100 levels"},
		"a key twice":           {json.RawMessage(`{"b":1,"c":{},"b":1}`), ".b", "twice"},
		"a key twice, escaped":  {json.RawMessage(`{"b":1,"\u0062":2}`), ".b", "twice"},
		"a secret in a struct":  {struct{ Password string }{"x"}, ".Password", "secret"},
		"a secret, escaped":     {json.RawMessage(`[{"p\u0061ssword":1}]`), "[0].password", "secret"},
		"UTF-8 in a struct":     {card{List: []*inner{nil, {Note: "\xff"}}}, ".List[1].note", "UTF-8"},
		"UTF-8, embedded":       {&card{inner: inner{Note: "\xff"}}, ".inner.note", "UTF-8"},
		"UTF-8 of MarshalText":  {[]any{texter("ok"), texter("\xff")}, "[1]", "UTF-8"},
		"UTF-8 in a text's key": {card{Names: map[texter]string{"\xff": ""}}, `.names."\xff"`, "UTF-8"},
		"UTF-8 of MarshalJSON":  {new(marshaler), "", "is not JSON"},
		"UTF-8 in a RawMessage": {json.RawMessage("{\"b\":\"\xff\"}"), ".b", "UTF-8"},
		"a bad RawMessage":      {map[string]any{"b": json.RawMessage(`{`)}, ".b", "is not JSON"},
		"a bad number":          {[]any{1, json.Number("0x10")}, "[1]", "0x10"},
		"a map in itself":       {map[string]any{"b": loop()}, ".b" + strings.Repeat(".again", hooks.MaxDepth-1), "cycle"},
	} {
		e := valid()
		e.Metadata = map[string]any{"a": tt.value}
		refused(t, name, hooks.Validate(e), "metadata.a"+tt.field, tt.why)
	}
}

func TestMetadataThatIsKept(t *testing.T) {
	own := marshaler(`{ "b" : [ 1.50 , "\ud83d\ude00" ] }`)
	for name, tt := range map[string]struct{ value, want any }{
		"a pair":                  {json.RawMessage(`"\ud83d\ude00\\ud83d"`), `😀\ud83d`},
		"U+FFFD":                  {"\uFFFD", "\uFFFD"},
		"U+FFFD, escaped":         {json.RawMessage(`"\ufffd"`), "\uFFFD"},
		"a Marshaler":             {&own, map[string]any{"b": []any{json.Number("1.50"), "😀"}}},
		"a skipped field":         {card{Skipped: "\xff", inner: inner{"\uFFFD"}}, map[string]any{"note": "\uFFFD", "List": nil}},
		"HTML":                    {"<&>\u2028", "<&>\u2028"},
		"controls":                {"\x01\x1f\x7f\n\"\\/", "\x01\x1f\x7f\n\"\\/"},
		"the deepest":             {nested(hooks.MaxDepth - 1), decoded(t, nested(hooks.MaxDepth-1))},
		"an empty key":            {map[string]int{"": 1}, map[string]any{"": json.Number("1")}},
		"bytes":                   {[]byte{0xff}, "/w=="},
		"nothing, and no members": {[]any{nil, []any{}, map[string]any{}}, []any{nil, []any{}, map[string]any{}}},
		"the same key elsewhere":  {json.RawMessage(`[{"b":true},{"b":false}]`), []any{map[string]any{"b": true}, map[string]any{"b": false}}},
	} {
		e := valid()
		e.Metadata = map[string]any{"a": tt.value, "z": 1}
		e, err := hooks.Prepare(e)
		if want := map[string]any{"a": tt.want, "z": json.Number("1")}; err != nil || !reflect.DeepEqual(e.Metadata, want) {
			t.Errorf("%s: got %#v, %v; want %#v", name, e.Metadata, err, want)
		}
	}
}

func decoded(t *testing.T, doc json.RawMessage) (v any) {
	t.Helper()
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// What < costs as JSON is what stores need for it.
func TestLimitOfMetadataIsThatOfStores(t *testing.T) {
	e := valid()
	e.Metadata = map[string]any{"k": strings.Repeat("<", hooks.MaxMetadata-len(`{"k":""}`))}
	if err := hooks.Validate(e); err != nil {
		t.Error(err)
	}
}

// counting gives another output at each call.
type counting struct{ calls *int }

func (c counting) MarshalJSON() ([]byte, error) {
	*c.calls++
	return fmt.Appendf(nil, "%d", *c.calls), nil
}

// What the caller does with its values afterwards changes nothing.
// TestPreparedIsValid: what Prepare returns it would take again, at the limit too. A json.Marshaler
// may spell a text in fewer bytes than encoding/json, which stores and readers use.
func TestPreparedIsValid(t *testing.T) {
	for _, spelling := range []string{"x", "é", "\u2028", "\u2029", `\u2028`, "\uFFFD", "😀", "<", `\b`, `\/`, "\x7f"} {
		for _, form := range []string{`{"k":%q}`, `{%q:1}`} {
			whole := strings.Replace(form, "%q", `"%s"`, 1)
			room := hooks.MaxMetadata - len(`{"a":}`) - len(fmt.Sprintf(whole, ""))
			taken := false
			for n := room/len(spelling) - 3; n <= room/len(spelling); n++ {
				for _, repeated := range []int{1, n / 2, n} {
					text := strings.Repeat(spelling, repeated) + strings.Repeat("x", room-repeated*len(spelling))
					e := valid()
					e.Metadata = map[string]any{"a": json.RawMessage(fmt.Sprintf(whole, text))}
					p, err := hooks.Prepare(e)
					if err != nil {
						continue
					}
					taken = true
					if err := hooks.Validate(p); err != nil {
						t.Errorf("%s with %d times %q: %v", form, repeated, spelling, err)
					}
				}
			}
			if separates := spelling == "\u2028" || spelling == "\u2029"; taken == separates {
				t.Errorf("%s with %q: taken is %t", form, spelling, taken)
			}
		}
	}
}

func TestPrepareCopiesMetadata(t *testing.T) {
	calls, number := 0, 1
	raw, list := json.RawMessage(`"raw"`), []string{"a"}
	deep := map[string]any{"k": list}
	given := map[string]any{"raw": raw, "list": list, "deep": deep, "pointer": &number, "counting": counting{&calls}}
	e := valid()
	e.Metadata = given
	e, err := hooks.Prepare(e)
	if err != nil {
		t.Fatal(err)
	}
	copy(raw, `"wet"`)
	list[0], number, deep["k"], deep["password"], given["password"] = "b", 2, 3, "x", "x"
	want := map[string]any{
		"raw": "raw", "list": []any{"a"}, "deep": map[string]any{"k": []any{"a"}},
		"pointer": json.Number("1"), "counting": json.Number("1"),
	}
	if !reflect.DeepEqual(e.Metadata, want) {
		t.Errorf("got %v, want %v", e.Metadata, want)
	}
	if _, err := json.Marshal(e); err != nil || calls != 1 {
		t.Errorf("its MarshalJSON was called %d times, want once; %v", calls, err)
	}
}

// FuzzNormalize: what is accepted stays what it is when it is prepared again,
// and means what encoding/json says that it means.
func FuzzNormalize(f *testing.F) {
	for _, doc := range []string{
		`{"a":1e400,"b":[-0.0,"\ud83d\ude00\\"],"":{}}`, `{"\ud83d":[]}`, `{"a":{"b":{"c":[[],{}]}},"a":1}`, `{"a":"\u0000"}`,
		"{\"\xff\":\"\xff\"}", `{"<":"\u003c\u2028"}`, `{"a":[true,false,null,0.10,1E-3,12345678901234567890]}`, `{"a":"\ufffd\ufffd"}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		e := valid()
		var members map[string]json.RawMessage
		if json.Unmarshal(doc, &members) != nil {
			t.Skip("no object")
		}
		e.Metadata = map[string]any{}
		for k, v := range members {
			e.Metadata[k] = v
		}
		once, err := hooks.Prepare(e)
		if err != nil {
			t.Skip("refused")
		}
		again, err := hooks.Prepare(once)
		if err != nil || !reflect.DeepEqual(once, again) {
			t.Fatalf("%s\nonce  %#v\nagain %#v, %v", doc, once.Metadata, again.Metadata, err)
		}
		var want, got map[string]any
		mine, err := json.Marshal(once.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(doc, &want); err != nil { // a float64 cannot hold it
			t.Skip(err)
		}
		if err := json.Unmarshal(mine, &got); err != nil || len(want)+len(got) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("%s became %s, %v", doc, mine, err)
		}
	})
}
