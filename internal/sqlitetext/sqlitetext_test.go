package sqlitetext

import "testing"

func TestLiteral(t *testing.T) {
	for text, want := range map[string]string{"": "''", "it's": "'it''s'", "''": "''''''", `a\b"`: `'a\b"'`} {
		if got := Literal(text); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}
