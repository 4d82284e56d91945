package coverage

import "testing"

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"orders", "orders", true},
		{"orders", "orders2", false},
		{`"Or.ders"`, "Or.ders", true},
		{"queue.*", "queue.jobs", true},
		{"queue.*", "queue.a/b", true}, // a slash is nothing special in a name
		{"*", "", true},
		{"*_log", "a_log_log", true},
		{"*_log", "log", false},
		{"a*a", "a", false}, // not both ends in one
		{"a*b*c", "a.b.c", true},
		{"a*b*c", "a.c.b", false},
		{"ab*bc", "abc", false},
		{"what?", "whats", false}, // nor are these
		{"what?", "what?", true},
		{"[a]*", "[a]b", true},
		{"[a", "[a", true},
		{`a\*`, `a\b`, true},
	} {
		if got := match(c.pattern, c.name); got != c.want {
			t.Errorf("match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}
