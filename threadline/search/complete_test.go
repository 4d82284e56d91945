package search

import (
	"slices"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	known := func(key, begun string) []string {
		return map[string][]string{
			"table": {"orders", "order lines", "users"}, "field": {"status", "unit price", "a:b"}, "old.status": {"paid", "new"},
			"actor": {"user:alice", "user:bob", "user"}, "tenant": {"Smith & Sons"}, "after": {"2026-11-30"},
		}[key]
	}
	for _, tt := range []struct{ text, want string }{ // | is the cursor; the answers are the texts that come of it
		{"ac|", "actor:| action:|"},
		{"Ac|", "actor:| action:|"},
		{"x -ac|", "x -actor:| x -action:|"},
		{"x ac|tx", "x actor:| x action:|"},
		{"x ta| y", "x target:| y x table:| y"},
		{"-bef|", ""},
		{"o|", "outcome:| op:| old.|"},
		{"old.|", `old.status:| old."unit price":| old."a:b":|`},
		{"new.S|", "new.status:|"},
		{"table:or|", `table:orders| table:"order lines"|`},
		{"table:ord|x op:insert", `table:orders| op:insert table:"order lines"| op:insert`},
		{`table:"order l|`, `table:"order lines"|`},
		{`tenant:"smith & |Sons" x`, `tenant:"Smith & Sons"| x`},
		{"old.status:|", "old.status:paid| old.status:new|"},
		{"op:|", "op:insert| op:update| op:delete| op:truncate|"},
		{"actor:us|", "actor:user| actor:user:alice| actor:user:bob|"},
		{"after:2|", "after:2026-11-30|"},
		{"after:y|", "after:yesterday|"},
		{"-after:y|", ""},
		{"colour:|", ""},
		{`"ac|`, ""},
		{"refund zz|", ""},
		{"\xffac|", ""},
	} {
		cursor := strings.IndexByte(tt.text, '|')
		text := tt.text[:cursor] + tt.text[cursor+1:]
		var got []string
		for _, s := range Complete(text, cursor, known) {
			got = append(got, text[:s.Start]+s.Text+"|"+text[s.End:])
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %s", tt.text, got, tt.want)
		}
	}
}

// TestCompleteOfNothing offers every key, and what it offers is taken.
func TestCompleteOfNothing(t *testing.T) {
	for _, cursor := range []int{-1, 0, 7} {
		var got []string
		for _, s := range Complete("", cursor, nil) {
			got = append(got, strings.TrimRight(s.Text, ":."))
			if s.Doc == "" {
				t.Errorf("%s has no documentation", s.Text)
			}
		}
		if want := append(names(), "old", "new"); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, k := range keys {
		for _, s := range Complete(k.name+":", len(k.name)+1, nil) {
			if _, err := Parse(k.name + ":" + s.Text); err != nil {
				t.Errorf("suggested %s: %v", s.Text, err)
			}
		}
	}
}
