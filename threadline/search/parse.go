package search

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Parse reads a search. Its error is an [*Error] at the first word that is wrong. No
// words are no terms, which find everything.
func Parse(text string) (Terms, error) {
	var terms Terms
	for pos := 0; ; {
		w, wrong := scan(text, pos)
		switch {
		case wrong != nil:
			return nil, wrong
		case w == nil:
			if err := terms.check(); err != nil {
				return nil, err
			}
			return terms, nil
		}
		t, wrong := w.term(text)
		if wrong != nil {
			return nil, wrong
		}
		terms = append(terms, t)
		pos = w.end
	}
}

// word is a word as it was read.
type word struct {
	pos, end int // of all of it
	start    int // of what follows the minus sign
	value    int // of what follows the colon, -1 without
	not      bool
	key      string
	text     string // of the value
	quoted   bool   // the value, or a part of it, was
}

// scan reads the word at pos or after it, nil if there is none. It returns what it has of
// one that has no end.
func scan(text string, pos int) (*word, *Error) {
	rest := strings.TrimLeftFunc(text[pos:], unicode.IsSpace)
	if rest == "" {
		return nil, nil
	}
	pos = len(text) - len(rest)
	w := &word{pos: pos, start: pos, value: -1}
	if rest[0] == '-' {
		w.not = true
		w.start++
	}
	var b strings.Builder
	opened := -1 // where a quotation mark was
	i := w.start
	for i < len(text) {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1, r == 0:
			return w, &Error{Pos: i, End: i + 1, Reason: "is not UTF-8 text without NUL"}
		case r == '\\':
			i += size
			if i == len(text) {
				w.end, w.text = i, b.String()
				return w, &Error{Pos: i - 1, End: i, Word: `\`, Reason: `nothing follows the backslash: for a backslash, write \\`}
			}
			if r, size = utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 || r == 0 {
				return w, &Error{Pos: i, End: i + 1, Reason: "is not UTF-8 text without NUL"}
			}
			w.quoted = true
			b.WriteRune(r)
		case r == '"' && opened < 0:
			opened, w.quoted = i, true
		case r == '"':
			opened = -1
		case opened >= 0:
			b.WriteRune(r)
		case unicode.IsSpace(r):
			w.end, w.text = i, b.String()
			return w, nil
		case r == ':' && w.value < 0:
			w.key, w.value, w.quoted = b.String(), i+1, false
			b.Reset()
		default:
			b.WriteRune(r)
		}
		i += size
	}
	w.end, w.text = i, b.String()
	if opened >= 0 {
		return w, &Error{Pos: opened, End: i, Word: text[opened:i], Reason: `the quotation mark is never closed: add one, or write \" for the character`}
	}
	return w, nil
}

// term checks a word by itself.
func (w *word) term(text string) (Term, *Error) {
	t := Term{Key: w.key, Value: w.text, Not: w.not, Pos: w.pos, End: w.end}
	raw := text[w.start:w.end]
	switch {
	case raw == "":
		return t, &Error{Pos: w.pos, End: w.end, Word: "-", Reason: `nothing follows the minus sign: to find one, write "-"`}
	case w.value < 0:
		if reason := misread(raw); reason != "" {
			return t, &Error{Pos: w.start, End: w.end, Word: raw, Reason: reason}
		}
	case w.key == "":
		return t, &Error{Pos: w.start, End: w.value, Word: ":", Reason: "no key stands before the colon: to find the text, write " + quote(raw)}
	case w.text == "" && !w.quoted:
		return t, &Error{Pos: w.pos, End: w.end, Word: text[w.pos:w.end], Reason: "the key has no value: write one right after the colon, or leave the key out"}
	default:
		if _, ok := find(w.key); !ok {
			return t, &Error{
				Pos: w.start, End: w.value - 1, Word: text[w.start : w.value-1], Near: nearKey(w.key),
				Reason: "is no key (" + strings.Join(names(), ", ") + ", old.…, new.…): to find the text, write " + quote(raw),
			}
		}
	}
	return t, nil
}
