package search

import "strings"

// Suggestion is what may stand in the place of a part of the text.
type Suggestion struct {
	Text  string `json:"text"`
	Start int    `json:"start"` // what it replaces, in bytes of the text
	End   int    `json:"end"`
	Doc   string `json:"doc,omitempty"`
}

// Complete returns what may be written at the cursor, a byte offset: keys where a word
// begins, and values after a key. What values the data has is for values to say: it is
// called with a key, and what of the value is before the cursor, and its answers that do
// not begin so (in either case) are left out. For old.… and new.… it is asked for the names
// of fields by the key "field". It may be nil.
func Complete(text string, cursor int, values func(key, begun string) []string) []Suggestion {
	cursor = min(max(cursor, 0), len(text))
	w := wordAt(text[:cursor])
	if w == nil {
		return nil
	}
	end := cursor
	if w.end > w.pos {
		if whole, wrong := scan(text, w.pos); wrong == nil {
			end = whole.end
		}
	}
	c := completion{start: w.start, end: end}
	if values == nil {
		values = func(string, string) []string { return nil }
	}
	if w.value < 0 {
		if !w.quoted {
			c.keys(w, values)
		}
		return c.list
	}
	k, ok := find(w.key)
	if !ok || k.time && w.not {
		return nil
	}
	c.start = w.value
	for _, v := range append(append([]string(nil), k.values...), values(w.key, w.text)...) {
		c.add(v, w.text, quoteIfNeeded(v), "")
	}
	return c.list
}

type completion struct {
	start, end int
	list       []Suggestion
	seen       map[string]bool
}

func (c *completion) keys(w *word, values func(key, begun string) []string) {
	for _, k := range keys {
		if !w.not || !k.time {
			c.add(k.name, w.text, k.name+":", k.doc)
		}
	}
	side, field, ok := cutImage(w.text)
	if !ok {
		for _, side := range []string{"old", "new"} {
			c.add(side, w.text, side+".", images[side].doc)
		}
		return
	}
	for _, name := range values("field", field) {
		if t := (Term{Key: side + "." + name, Value: "x"}); name != "" {
			c.add(name, field, strings.TrimSuffix(t.String(), "x"), images[side].doc)
		}
	}
}

func (c *completion) add(name, begun, text, doc string) {
	if len(name) < len(begun) || !strings.EqualFold(name[:len(begun)], begun) || c.seen[text] {
		return
	}
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[text] = true
	c.list = append(c.list, Suggestion{Text: text, Start: c.start, End: c.end, Doc: doc})
}

// wordAt returns the word that ends with the text, an empty one if none does, and nil for
// what is no text.
func wordAt(text string) *word {
	for pos := 0; ; {
		w, wrong := scan(text, pos)
		switch {
		case w == nil:
			return &word{pos: len(text), start: len(text), end: len(text), value: -1}
		case wrong != nil && w.end == 0: // no text
			return nil
		case w.end == len(text):
			return w
		}
		pos = w.end
	}
}
