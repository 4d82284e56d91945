package eventjson

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestIsJSON: a document is JSON if encoding/json says so, also when it is damaged in any place.
func TestIsJSON(t *testing.T) {
	doc := " {\"a\\u00e9\\n\\\"\" : [ true, false,null, {}, [],\"\", \"\\uD83D\\ude00é\", 0,-0.50e+7, 12E-3,1.0] ,\r\n\"b\":{\"c\":[[\t1]]}} "
	damaged := []string{doc, "", " ", "nul", strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001), "[1]]", "01", "1.", "-", "1e", "\x00", "\"\x1f\"", `"\u00g0"`, `"\x"`}
	for i := range doc {
		damaged = append(damaged, doc[:i], doc[:i]+doc[i+1:])
		for _, c := range "\x00 \"\\{}[],:01-+.eEutn/\x7f" {
			damaged = append(damaged, doc[:i]+string(c)+doc[i:], doc[:i]+string(c)+doc[i+1:])
		}
	}
	valid := 0
	for _, d := range damaged {
		want := json.Valid([]byte(d))
		if want {
			valid++
		}
		if got := isJSON([]byte(d)); got != want {
			t.Errorf("%.100q: %v, want %v", d, got, want)
		}
	}
	if valid < 100 || valid > len(damaged)/2 {
		t.Errorf("%d of %d are JSON", valid, len(damaged))
	}
}

// FuzzIsJSON looks for what encoding/json sees in another way.
func FuzzIsJSON(f *testing.F) {
	f.Add([]byte(`[{"a":"\u00e9\n","b":[-1.5e3,true,null]}]`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		if got, want := isJSON(doc), json.Valid(doc); got != want {
			t.Errorf("%q: %v, want %v", doc, got, want)
		}
	})
}
