package pgtext

import (
	"strings"
	"testing"
)

func TestLiteral(t *testing.T) {
	for text, want := range map[string]string{
		"":      `E''`,
		`it's\`: `E'it''s\\'`,
		"é":     `pg_catalog.convert_from(pg_catalog.decode('c3a9', 'hex'), 'UTF8')`,
		"表'\\":  `pg_catalog.convert_from(pg_catalog.decode('e8a1a8275c', 'hex'), 'UTF8')`,
	} {
		if got := Literal(text); got != want {
			t.Errorf("Literal(%q) = %s, want %s", text, got, want)
		}
	}
}

// Whatever the text, nothing of it is outside ASCII, and no quote of it ends the
// literal.
func TestStorable(t *testing.T) {
	for text, want := range map[string]string{
		"plain\\":    `E'plain\\'`,
		"a\x00b":     `<U+FFFD>`,
		"a\xffb":     `<U+FFFD>`,
		"ł's \\ 表ソ😀": `<U+0142>''s \\ <U+8868><U+30BD><U+1F600>`,
	} {
		got := Storable(text)
		if !IsASCII(got) || !strings.Contains(got, want) {
			t.Errorf("Storable(%q) = %s, want ASCII with %s", text, got, want)
		}
	}
}

func TestWritten(t *testing.T) {
	for text, want := range map[string]string{
		"plain\n":    "plain\n",
		"a\x00\xffb": "a<U+FFFD><U+FFFD>b",
		"ł😀":         "<U+0142><U+1F600>",
	} {
		if got := Written(text); got != want {
			t.Errorf("Written(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestScanner(t *testing.T) {
	var got string
	for src, want := range map[any]string{"c582": "ł", nil: ""} {
		if err := Scanner(&got).Scan(src); err != nil || got != want {
			t.Errorf("%v is read as %q, %v; want %q", src, got, err, want)
		}
	}
	if Scanner(&got).Scan("x") == nil || Scanner(&got).Scan(1) == nil {
		t.Error("what are no digits is accepted")
	}
}
