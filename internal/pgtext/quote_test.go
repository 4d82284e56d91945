package pgtext

import (
	"strings"
	"testing"
)

func checkQuote(t *testing.T, text string) {
	t.Helper()
	for _, room := range []int{0, 1000} {
		b := append(make([]byte, 0, room), "before "+text...)
		s, ok := strings.CutPrefix(string(Quote(b, len("before "))), "before ")
		if !ok || literal(t, s) != text {
			t.Errorf("%q became %s after %v", text, s, ok)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, text := range []string{"", "plain", `'`, `\`, `\'`, `'\`, `''`, `\\`, `{"a":"\u00e9"}`, `a'b`, `'a\`, "\x7f\x01"} {
		checkQuote(t, text)
	}
}

func FuzzQuote(f *testing.F) {
	f.Add(`it's a \ backslash`)
	f.Fuzz(func(t *testing.T, text string) {
		if IsASCII(text) && strings.IndexByte(text, 0) < 0 {
			checkQuote(t, text)
		}
	})
}
