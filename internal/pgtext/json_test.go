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

func TestJSON(t *testing.T) {
	for _, text := range []string{
		"", "plain", `'`, `\`, `\'`, `'\`, `''`, `\\`, "あ\\'", "é", "\u2028", `\u2028`, `\\u2028`, "🙂", "\U0010FFFF", "\uFFFD", "\x7f\x01",
	} {
		doc, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, ascii := range []bool{true, false} {
			quoted, err := AppendJSON([]byte("before "), doc, ascii)
			if err != nil {
				t.Fatal(err)
			}
			s, ok := strings.CutPrefix(string(quoted), "before ")
			if !ok {
				t.Fatalf("%s does not begin with what was there", quoted)
			}
			var got string
			if err := json.Unmarshal([]byte(literal(t, s)), &got); err != nil || got != text {
				t.Errorf("ascii %v: %q became %s, read as %q, %v", ascii, text, s, got, err)
			}
			isASCII := strings.IndexFunc(s, func(r rune) bool { return r > 0x7f }) < 0
			if ascii && !isASCII {
				t.Errorf("%q became %s, which is not ASCII", text, s)
			}
			if !ascii && strings.Contains(s, `u20`) && !strings.Contains(text, `u20`) {
				t.Errorf("%q became %s, which has an escape", text, s)
			}
		}
	}
}

func TestJSONRefusesNUL(t *testing.T) {
	if _, err := AppendJSON(nil, []byte("a\x00b"), true); err == nil || !strings.Contains(err.Error(), "offset 1") {
		t.Errorf("err = %v", err)
	}
}
