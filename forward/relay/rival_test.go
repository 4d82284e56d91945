package relay

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// What is registered is ASCII, and read back as it was.
func TestRegisteredText(t *testing.T) {
	own := registered{Program: "Łódź 🙂 '\\", Forwarders: map[string]Identity{"a/b": {Text: "é"}}}
	text := own.text()
	for _, c := range text {
		if c >= 0x80 {
			t.Errorf("%s is not ASCII", text)
		}
	}
	if got := parseRegistered(text); fmt.Sprint(got) != fmt.Sprint(own) {
		t.Errorf("read back %v, want %v", got, own)
	}
	if got := parseRegistered("[1"); len(got.Forwarders) > 0 {
		t.Errorf("of no JSON: %v", got)
	}
}

func TestRivals(t *testing.T) {
	one := func(process string, id Identity) *registered {
		return &registered{Process: process, Forwarders: map[string]Identity{"f": id}}
	}
	for name, test := range map[string]struct {
		own, other *registered
		want       int
	}{
		"same":                          {one("1", Identity{Text: "a"}), one("2", Identity{Text: "a"}), 0},
		"another":                       {one("1", Identity{Text: "a"}), one("2", Identity{Text: "b"}), 1},
		"says nothing":                  {one("1", Identity{Text: "a"}), one("2", Identity{}), 0},
		"is compared with nothing":      {one("1", Identity{}), one("2", Identity{Text: "a"}), 0},
		"has none":                      {one("1", Identity{Text: "a"}), &registered{}, 0},
		"other process":                 {one("1", Identity{"a", "1"}), one("2", Identity{"a", "2"}), 0},
		"another of the same process":   {one("1", Identity{"a", "1"}), one("1", Identity{"a", "2"}), 1},
		"the same of the same process":  {one("1", Identity{"a", "1"}), one("1", Identity{"a", "1"}), 0},
		"of a process without its name": {one("", Identity{"a", "1"}), one("", Identity{"a", "2"}), 0},
	} {
		if got := rivals(test.own, test.other); len(got) != test.want {
			t.Errorf("%s: %d, want %d", name, len(got), test.want)
		}
	}
}

// A rival is reported once, and not too many are.
func TestRivalsAreReportedOnce(t *testing.T) {
	n := 0
	r := newRelay(nil, sql.OpenDB(&watchers{}), Config{})
	r.cfg.Notify = func(hooks.Notice) { n++ }
	for _, rivals := range []int{10, 10, 200} {
		for i := range rivals {
			r.sayRival(rival{forwarder: fmt.Sprint(i)})
		}
		if want := min(rivals, 100); n != want {
			t.Errorf("%d notices, want %d", n, want)
		}
	}
}
