package relay

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// What is missing in two looks in a row is reported, once until it is back.
func TestUnservedIsReportedOnce(t *testing.T) {
	var u unserved
	for i, look := range []struct{ missing, want string }{
		{"a", ""},
		{"a b", "a"},
		{"a b", "b"},
		{"a b", ""},
		{"b", ""},
		{"a b", ""}, // a was back
		{"a b", "a"},
	} {
		split := func(names string) (all []string) {
			for _, c := range names {
				if c != ' ' {
					all = append(all, string(c))
				}
			}
			return all
		}
		if got := u.note(split(look.missing)); !slices.Equal(got, split(look.want)) {
			t.Errorf("look %d: reported %q, want %q", i, got, look.want)
		}
	}
}

// A look is due at once, and then every minute.
func TestUnservedIsDue(t *testing.T) {
	var u unserved
	now := time.Now()
	for _, look := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {unservedEvery - 1, false}, {unservedEvery, true}, {unservedEvery + 1, false}} {
		if got := u.due(now.Add(look.after)); got != look.want {
			t.Errorf("after %v: due %v", look.after, got)
		}
	}
}

func TestMissing(t *testing.T) {
	text := func(leftOut []string, targets ...string) string {
		cfg := Config{LeftOut: leftOut}
		for _, name := range targets {
			cfg.Targets = append(cfg.Targets, Target{Name: name})
		}
		own := registers(&cfg)
		return own.text()
	}
	const earlier = `{"program":"p","process":"1","forwarders":{"a":{"is":"a"}}}`
	for name, test := range map[string]struct {
		names, texts []string
		want         string
	}{
		"one has each":       {[]string{"a", "b"}, []string{text(nil, "a"), text(nil, "b")}, "[]"},
		"none has b":         {[]string{"a", "b"}, []string{text(nil, "a"), text(nil, "c")}, "[b]"},
		"left out":           {[]string{"a", "b"}, []string{text([]string{"b"}, "a")}, "[]"},
		"has no forwarders":  {[]string{"a"}, []string{text(nil)}, "[a]"},
		"stored as written":  {[]string{"a/<U+0141>", "<U+00E9>"}, []string{text([]string{"é"}, "a/Ł")}, "[]"},
		"says nothing":       {[]string{"b"}, []string{text(nil, "a"), ""}, "[]"},
		"an earlier version": {[]string{"b"}, []string{text(nil, "a"), earlier}, "[]"},
		"says what it may":   {[]string{"b"}, []string{text(nil, "a"), "[1"}, "[]"},
	} {
		if got := fmt.Sprint(missing(slices.Clone(test.names), test.texts)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
