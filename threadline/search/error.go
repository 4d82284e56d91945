package search

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrChangesOnly means that a term asks for what only row changes have, so that no action
// can match. [Terms.Trail] accepts such a term.
var ErrChangesOnly = errors.New("only row changes can answer it")

// ErrActionsOnly means that a term asks for what only actions have, so that no row change can match. [Terms.Trail] accepts
// such a term.
var ErrActionsOnly = errors.New("only actions can answer it")

// Error says what is wrong with a word of a search.
type Error struct {
	Pos, End int    // where the trouble is, in bytes of the text
	Word     string // what stands there
	Reason   string
	Near     string // what may have been meant, or ""

	err error
}

// Error is one line. Its place is in bytes from the start, which is 0.
func (e *Error) Error() string {
	s := fmt.Sprintf("search: at byte %d: ", e.Pos)
	if e.Word != "" {
		s += fmt.Sprintf("%q: ", e.Word)
	}
	s += e.Reason
	if e.Near != "" {
		s += fmt.Sprintf("; did you mean %s?", e.Near)
	}
	return s
}

// Unwrap returns [ErrChangesOnly], [ErrActionsOnly], the error of [Terms.Explain], or nil.
func (e *Error) Unwrap() error { return e.err }

// Point returns the text that was parsed and a second line with carets under the trouble,
// for a terminal: one column for each character.
func (e *Error) Point(text string) string {
	line := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	before := min(max(e.Pos, 0), len(text))
	within := min(max(e.End, before), len(text))
	columns := func(s string) int { return utf8.RuneCountInString(strings.ToValidUTF8(s, "\ufffd")) }
	return line + "\n" + strings.Repeat(" ", columns(text[:before])) + strings.Repeat("^", max(columns(text[before:within]), 1))
}
