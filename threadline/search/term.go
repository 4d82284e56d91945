package search

import (
	"slices"
	"strings"
	"unicode"
)

// Terms are the words of a search, in their order.
type Terms []Term

// Term is one word of a search.
type Term struct {
	Key   string // "" for a text to be found
	Value string // without quotation marks and backslashes
	Not   bool   // leaves out what the word finds

	// Pos and End are where the word is in what was parsed, in bytes.
	Pos, End int
}

// String returns the terms so that they parse as they are.
func (t Terms) String() string {
	words := make([]string, len(t))
	for i, term := range t {
		words[i] = term.String()
	}
	return strings.Join(words, " ")
}

// String returns the term so that it parses as it is.
func (t Term) String() string {
	var b strings.Builder
	if t.Not {
		b.WriteByte('-')
	}
	if t.Key == "" {
		if misread(t.Value) != "" || strings.ContainsRune(t.Value, ':') {
			b.WriteString(quote(t.Value))
		} else {
			b.WriteString(quoteIfNeeded(t.Value))
		}
		return b.String()
	}
	if side, field, ok := cutImage(t.Key); ok {
		b.WriteString(side + ".")
		if strings.ContainsRune(field, ':') {
			b.WriteString(quote(field))
		} else {
			b.WriteString(quoteIfNeeded(field))
		}
	} else {
		b.WriteString(t.Key)
	}
	b.WriteByte(':')
	b.WriteString(quoteIfNeeded(t.Value))
	return b.String()
}

func quoteIfNeeded(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == '"' || r == '\\' }) {
		return quote(s)
	}
	return s
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func quote(s string) string { return `"` + escaper.Replace(s) + `"` }

// cutImage splits old.status and new.status.
func cutImage(key string) (side, field string, ok bool) {
	side, field, dot := strings.Cut(key, ".")
	return side, field, dot && (side == "old" || side == "new")
}

// misread says why a text without quotation marks is not taken for one, or "".
func misread(raw string) string {
	switch {
	case raw == "OR" || raw == "AND" || raw == "NOT":
		return raw + " is not supported: words are joined by and, and a minus sign negates; to find the text, write " + quote(raw)
	case strings.HasPrefix(raw, "("):
		return "there are no parentheses: to find the text, write " + quote(raw)
	case strings.HasPrefix(raw, "-"):
		return "begins with a minus sign: to find the text, write " + quote(raw)
	}
	if i := strings.IndexAny(raw, "=<>!"); i > 0 && slices.Contains(names(), raw[:i]) {
		if value := strings.TrimLeft(raw[i:], "=<>!"); value != "" {
			return "a key is followed by a colon, as in " + raw[:i] + ":" + value + ": to find the text, write " + quote(raw)
		}
	}
	return ""
}
