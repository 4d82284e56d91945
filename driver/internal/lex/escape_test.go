package lex

import "testing"

// TestEscapes: with standard_conforming_strings off, a plain string is read as an
// E string is, and one with a backslash names no key.
func TestEscapes(t *testing.T) {
	for _, c := range []struct{ query, on, off string }{
		{`SELECT 'a\'; COMMIT; SELECT '`, "read, commit, read", "read"},
		{`SELECT 'a\'b', 'c'; COMMIT; SELECT 'd'`, "read", "read, commit, read"},
		{`SELECT 'a\\'; COMMIT`, "read, commit", "read, commit"},
		{`SELECT N'a\'; COMMIT; SELECT '`, "read, commit, read", "read"},
		{"SELECT 'a'\n'\\'; COMMIT; SELECT '", "read, commit, read", "read"},
		{`SELECT E'a\'; COMMIT; SELECT '`, "read", "read"},
		{`SELECT B'a\'; COMMIT; SELECT '`, "read, commit, read", "read, commit, read"},
		{`SELECT X'a\'; COMMIT; SELECT '`, "read, commit, read", "read, commit, read"},
		{`SELECT "a\"; COMMIT; SELECT "`, "read, commit, read", "read, commit, read"},
		{`SELECT $$a\$$; COMMIT`, "read, commit", "read, commit"},
		{`SELECT 1 -- \'` + "\n; COMMIT", "read, commit", "read, commit"},
	} {
		if got := kinds(Postgres, c.query); got != c.on {
			t.Errorf("%s is %s, want %s", c.query, got, c.on)
		}
		if got := kinds(Escapes, c.query); got != c.off {
			t.Errorf("with the setting off, %s is %s, want %s", c.query, got, c.off)
		}
		if _, ambiguous := Ambiguous(c.query, "id", Parse(Postgres, c.query, "id", nil)); ambiguous != (c.on != c.off) {
			t.Errorf("%s is ambiguous: %v", c.query, ambiguous)
		}
	}
}

func TestAmbiguousKey(t *testing.T) {
	for query, want := range map[string]bool{
		`DELETE FROM t WHERE id = 'a\b'`:                true,
		`DELETE FROM t WHERE id = E'a\b'`:               false,
		`DELETE FROM t WHERE id = 'a' AND note = 'a\b'`: false,
		`INSERT INTO t (id, note) VALUES (1, 'a\nb')`:   false,
	} {
		if _, got := Ambiguous(query, "id", Parse(Postgres, query, "id", nil)); got != want {
			t.Errorf("%s is ambiguous: %v", query, got)
		}
	}
}
