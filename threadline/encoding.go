package threadline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// A PostgreSQL server, and a session, may have another encoding than UTF-8.
// Texts therefore travel as ASCII in both directions where it matters, and what
// the server's encoding lacks is written as <U+1F600>: by the function record, or here if that
// is an older one.

// isLacking reports whether a text had a character that the server's encoding
// lacks.
func isLacking(err error) bool {
	switch hooks.SQLState(err) {
	case "22P05", "22021": // untranslatable_character, character_not_in_repertoire
		return true
	}
	return false
}

// maxLacking is how many characters of a text are asked for one by one.
const maxLacking = 64

// lacking returns those characters of text that the server's encoding lacks. It
// asks for all at once, then for halves; beyond maxLacking a half that has one
// counts as a whole.
func (s *Store) lacking(ctx context.Context, text string) (map[rune]bool, error) {
	lacks := make(map[rune]bool)
	for _, r := range "\u2028\u2029\ufffd" { // which encoding/json may have escaped
		if strings.Contains(text, fmt.Sprintf(`\u%x`, r)) {
			text += string(r)
		}
	}
	chars := slices.DeleteFunc([]rune(text), func(r rune) bool { return r < utf8.RuneSelf })
	slices.Sort(chars)
	return lacks, s.sieve(ctx, slices.Compact(chars), lacks)
}

func (s *Store) sieve(ctx context.Context, chars []rune, lacks map[rune]bool) error {
	if len(chars) == 0 {
		return nil
	}
	_, err := s.db.ExecContext(ctx, "SELECT "+pgtext.Literal(string(chars)))
	switch {
	case !isLacking(err):
		return err
	case len(chars) == 1 || len(lacks) >= maxLacking:
		for _, r := range chars {
			lacks[r] = true
		}
		return nil
	}
	half := len(chars) / 2
	if err := s.sieve(ctx, chars[:half], lacks); err != nil {
		return err
	}
	return s.sieve(ctx, chars[half:], lacks)
}

// written returns text with each character of lacks written as <U+0141>, and a <
// before U+ as <U+003C>, so that the original can be restored.
func written(text string, lacks map[rune]bool) string {
	var b strings.Builder
	for i, r := range text {
		if lacks[r] || r == '<' && strings.HasPrefix(text[i:], "<U+") {
			fmt.Fprintf(&b, "<U+%04X>", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// storable returns an array of documents with what is lacking written, and the
// fields that had some noted under altered in their metadata.
func storable(docs string, lacks map[rune]bool) (string, error) {
	dec := json.NewDecoder(strings.NewReader(docs))
	dec.UseNumber()
	var list []map[string]any
	if err := dec.Decode(&list); err != nil {
		return "", err
	}
	for _, doc := range list {
		var altered []string
		for name, value := range doc {
			if !hasAny(value, lacks) {
				continue
			}
			after := writtenIn(value, lacks)
			if text, ok := after.(string); ok && name != "comment" {
				after = cut(text, hooks.MaxText) // an index has no place for more
			}
			doc[name], altered = after, append(altered, name)
		}
		if len(altered) > 0 {
			slices.Sort(altered)
			doc["metadata"] = noted(doc["metadata"], altered)
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(list)
	return b.String(), err
}

func noted(metadata any, altered []string) any {
	m, _ := metadata.(map[string]any)
	if m == nil {
		m = make(map[string]any)
	}
	if _, own := m["altered"]; !own {
		m["altered"] = altered
	}
	return m
}

// hasAny reports whether a JSON value has one of those characters.
func hasAny(value any, chars map[rune]bool) bool {
	switch v := value.(type) {
	case string:
		return strings.ContainsFunc(v, func(r rune) bool { return chars[r] })
	case []any:
		return slices.ContainsFunc(v, func(w any) bool { return hasAny(w, chars) })
	case map[string]any:
		for k, w := range v {
			if hasAny(k, chars) || hasAny(w, chars) {
				return true
			}
		}
	}
	return false
}

// writtenIn is written for all texts in a JSON value.
func writtenIn(value any, lacks map[rune]bool) any {
	switch v := value.(type) {
	case string:
		return written(v, lacks)
	case []any:
		for i := range v {
			v[i] = writtenIn(v[i], lacks)
		}
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, w := range v {
			m[written(k, lacks)] = writtenIn(w, lacks)
		}
		return m
	}
	return value
}

// cut shortens text to at most n bytes, between characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
