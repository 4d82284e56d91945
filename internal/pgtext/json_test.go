package pgtext

import (
	"encoding/json"
	"strings"
	"testing"
)

// literal reads an E'…' literal as PostgreSQL does (manual, section 4.1.2.2).
func literal(t *testing.T, s string) string {
	t.Helper()
	body, ok := strings.CutPrefix(s, "E'")
	body, end := strings.CutSuffix(body, "'")
	if !ok || !end {
		t.Fatalf("%s is no literal", s)
	}
	var b strings.Builder
	for i := 0; i < len(body); i++ {
		if c := body[i]; c == '\'' || c == '\\' {
			if i++; i == len(body) || body[i] != c {
				t.Fatalf("%s: a single %q at %d", s, c, i)
			}
		}
		b.WriteByte(body[i])
	}
	return b.String()
}

func TestASCII(t *testing.T) {
	for _, text := range []string{"", "plain", `\`, "é", "\u2028", `\u2028`, "🙂", "\U0010FFFF", "\uFFFD", "\x7f\x01"} {
		doc, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		s := ASCII(doc)
		var got string
		if err := json.Unmarshal([]byte(s), &got); err != nil || got != text {
			t.Errorf("%q became %s, read as %q, %v", text, s, got, err)
		}
		if !IsASCII(s) {
			t.Errorf("%q became %s, which is not ASCII", text, s)
		}
	}
}
