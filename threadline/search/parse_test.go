package search

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// said is t without its place.
func said(terms Terms) Terms {
	var out Terms
	for _, t := range terms {
		t.Pos, t.End = 0, 0
		out = append(out, t)
	}
	return out
}

func TestParse(t *testing.T) {
	for text, want := range map[string]Terms{
		"":      nil,
		" \t\n": nil,
		`actor:alice table:orders -op:delete field:status after:2d "refund"`: {
			{Key: "actor", Value: "alice"},
			{Key: "table", Value: "orders"},
			{Key: "op", Value: "delete", Not: true},
			{Key: "field", Value: "status"},
			{Key: "after", Value: "2d"},
			{Value: "refund"},
		},
		"actor:user:42":                     {{Key: "actor", Value: "user:42"}},
		`actor:user:"a b"c`:                 {{Key: "actor", Value: "user:a bc"}},
		`tenant:"Smith & \"Sons\" \\ \n"`:   {{Key: "tenant", Value: `Smith & "Sons" \ n`}},
		`tenant:"a:b" tenant\:c`:            {{Key: "tenant", Value: "a:b"}, {Value: "tenant:c"}},
		`-refund -"a b" \-5 "-5" -\-5`:      {{Value: "refund", Not: true}, {Value: "a b", Not: true}, {Value: "-5"}, {Value: "-5"}, {Value: "-5", Not: true}},
		`"OR" \AND or "(" a(b) \(`:          {{Value: "OR"}, {Value: "AND"}, {Value: "or"}, {Value: "("}, {Value: "a(b)"}, {Value: "("}},
		"old.status:new new.status:paid":    {{Key: "old.status", Value: "new"}, {Key: "new.status", Value: "paid"}},
		`old."unit: price":"" new.a.b:x=y`:  {{Key: "old.unit: price"}, {Key: "new.a.b", Value: "x=y"}},
		"field:a field:b -field:c -field:c": {{Key: "field", Value: "a"}, {Key: "field", Value: "b"}, {Key: "field", Value: "c", Not: true}, {Key: "field", Value: "c", Not: true}},
		"Łukasz\u00a0表 a=b actor! actor":    {{Value: "Łukasz"}, {Value: "表"}, {Value: "a=b"}, {Value: "actor!"}, {Value: "actor"}},
		"action:order.* outcome:error":      {{Key: "action", Value: "order.*"}, {Key: "outcome", Value: "error"}},
		"after:2026-11-30T10:00Z before:2026-12-01T10:00:00.5+01:00": {
			{Key: "after", Value: "2026-11-30T10:00Z"}, {Key: "before", Value: "2026-12-01T10:00:00.5+01:00"},
		},
	} {
		got, err := Parse(text)
		if err != nil || !reflect.DeepEqual(said(got), want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
		again, err := Parse(got.String())
		if err != nil || !reflect.DeepEqual(said(again), want) {
			t.Errorf("%s: as a string %s, parsed %+v, %v", text, got, again, err)
		}
	}
}

func TestTermsKnowTheirPlace(t *testing.T) {
	text := ` actor:"ä b"  -x `
	terms, err := Parse(text)
	if err != nil || len(terms) != 2 || text[terms[0].Pos:terms[0].End] != `actor:"ä b"` || text[terms[1].Pos:terms[1].End] != "-x" {
		t.Errorf("%+v, %v", terms, err)
	}
}

func TestErrorsPointAtTheWord(t *testing.T) {
	tests := []struct{ text, carets, says, near string }{
		{`a actr:b`, `  ^^^^`, "is no key (actor, action,", "actor"},
		{`a -actr:b`, `   ^^^^`, "is no key", "actor"},
		{`Actor:b`, `^^^^^`, "is no key", "actor"},
		{`since:2d`, `^^^^^`, "is no key", "after"},
		{`colour:red`, `^^^^^^`, `write "colour:red"`, ""},
		{`http://x`, `^^^^`, `write "http://x"`, ""},
		{`old.:x`, `^^^^`, "is no key", ""},
		{`:x`, `^`, "no key stands before the colon", ""},
		{`x actor:`, `  ^^^^^^`, "no value", ""},
		{`actor: alice`, `^^^^^^`, "right after the colon", ""},
		{`actor:""`, `^^^^^^^^`, "empty value", ""},
		{`actor:*`, `^^^^^^^`, "has no id", ""},
		{`actor:usr:7`, `^^^^^^^^^^^`, "use user, admin", "actor:user:7"},
		{`-actor:amdin:"a b"`, `^^^^^^^^^^^^^^^^^^`, "use user, admin", `-actor:"admin:a b"`},
		{`action:order`, `^^^^^^^^^^^^`, "write order.* for", "action:order.*"},
		{`action:*`, `^^^^^^^^`, "finds every action", ""},
		{`ä op:delte`, `  ^^^^^^^^`, "none of insert, update", "op:delete"},
		{`outcome:succes`, `^^^^^^^^^^^^^^`, "success, failure, error", "outcome:success"},
		{`after:yesteday`, `^^^^^^^^^^^^^^`, "is no time", "after:yesterday"},
		{`after:2x`, `^^^^^^^^`, "write 30s, 15m", ""},
		{`after:d`, `^^^^^^^`, "is no time", "after:1d"},
		{`after:-2d`, `^^^^^^^^^`, "is no time", ""},
		{`after:2026-13-01`, `^^^^^^^^^^^^^^^^`, "is no time", ""},
		{`after:99999999999999999999w`, `^^^^^^^^^^^^^^^^^^^^^^^^^^^`, "200 years", ""},
		{`after:20000w`, `^^^^^^^^^^^^`, "200 years", ""},
		{`-after:2d`, `^^^^^^^^^`, "write before:2d", ""},
		{`target::7`, `^^^^^^^^^`, "no type before its colon", ""},
		{`target:order:`, `^^^^^^^^^^^^^`, "no id after its colon", ""},
		{`actor:a x actor:b`, `          ^^^^^^^`, "actor:a is there already", ""},
		{`table:a target:b`, `        ^^^^^^^^`, "table:a is there already", ""},
		{`old.a:b old.a:c`, `        ^^^^^^^`, "already", ""},
		{`a "b c`, `  ^^^^`, "never closed", ""},
		{`actor:"b\"`, `      ^^^^`, "never closed", ""},
		{`a \`, `  ^`, "nothing follows the backslash", ""},
		{`a - b`, `  ^`, "nothing follows the minus sign", ""},
		{`a --b`, `   ^^`, `write "-b"`, ""},
		{`a OR b`, `  ^^`, "OR is not supported", ""},
		{`(a b)`, `^^`, "no parentheses", ""},
		{`a actor=bob`, `  ^^^^^^^^^`, "as in actor:bob", ""},
		{`after>=2d`, `^^^^^^^^^`, "as in after:2d", ""},
		{`""`, `^^`, "is empty", ""},
		{"a\t\xff", `  ^`, "not UTF-8", ""},
		{"a \\\xff", `   ^`, "not UTF-8", ""},
		{"a\x00", ` ^`, "NUL", ""},
		{"a \x1f", `  ^`, "U+001F", ""},
	}
	for _, tt := range tests {
		terms, err := Parse(tt.text)
		var wrong *Error
		if !errors.As(err, &wrong) {
			t.Errorf("%q: %+v, %v", tt.text, terms, err)
			continue
		}
		line, carets, _ := strings.Cut(wrong.Point(tt.text), "\n")
		if carets != tt.carets || wrong.Near != tt.near || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: %v\n%s\n%s\nwant %s, %q", tt.text, err, line, carets, tt.carets, tt.near)
		}
		if strings.ContainsAny(err.Error()+line, "\n\t") || terms != nil {
			t.Errorf("%q: %q, %q, %+v", tt.text, err, line, terms)
		}
	}
}

// TestPointOfAnything: an error may be shown beside a text that is not its own.
func TestPointOfAnything(t *testing.T) {
	for _, e := range []Error{{Pos: -1, End: -5}, {Pos: 9, End: 99}, {Pos: 2, End: 1}} {
		if got := e.Point("äb\n"); !strings.HasPrefix(got, "äb \n") || !strings.HasSuffix(got, "^") {
			t.Errorf("%+v: %q", e, got)
		}
	}
}

// TestDocumentation: the package's documentation has each key, and no other.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "// # Keys\n//\n")
	table, _, _ = strings.Cut(table, "\n//\n// A text")
	var got []string
	for line := range strings.Lines(table) {
		got = append(got, strings.Fields(line)[1])
	}
	want := append(names(), "old.status", "new.status")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// FuzzParse: what parses says so again, and what does not is an Error with a place in it.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`actor:alice table:orders -op:delete field:status after:2d "refund"`, `old."a b":"" new.x:\"`, `-"\\" \:a a\ b`, `"OR" -"(" "actor=1"`, "a\u0085b:\xff", `actor:user:"a b"c`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		terms, err := Parse(text)
		if err != nil {
			var wrong *Error
			if !errors.As(err, &wrong) || wrong.Pos < 0 || wrong.End <= wrong.Pos || wrong.End > len(text) || !utf8.ValidString(wrong.Point(text)) {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		again, err := Parse(terms.String())
		if err != nil || !reflect.DeepEqual(said(again), said(terms)) || again.String() != terms.String() {
			t.Fatalf("%q: %+v, as a string %q: %+v, %v", text, terms, terms, again, err)
		}
		for i, term := range terms {
			if one, err := Parse(text[term.Pos:term.End]); err != nil || !reflect.DeepEqual(said(one), said(terms[i:i+1])) {
				t.Fatalf("%q: %+v is not at its place: %+v, %v", text, term, one, err)
			}
		}
		_, _ = terms.Actions(noon)
		for cursor := range len(text) + 1 {
			for _, s := range Complete(text, cursor, nil) {
				if s.Start < 0 || s.Start > cursor || s.End < cursor || s.End > len(text) {
					t.Fatalf("%q at %d: %+v", text, cursor, s)
				}
			}
		}
	})
}
