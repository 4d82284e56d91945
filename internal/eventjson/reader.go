package eventjson

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/decimal"
)

// reader reads a document that isJSON has accepted, so that it can rely on the syntax.
// It is not encoding/json's decoder, because that one stops at the first member of a wrong
// type, and repairs silently what must be noted: half a surrogate pair, a member that is
// there twice.
//
// Others may write a document of 16 MiB. Reading it takes time and memory in proportion to its
// length, whatever it says.
type reader struct {
	doc []byte
	at  int
	lax bool // metadata may be what package hooks refuses

	// Of the metadata that is being read:
	last   int  // where a value may begin at the latest
	noted  bool // something in it
	longer int  // bytes by which its numbers are longer than in doc
}

// space passes white space, which the encoder does not write.
func (r *reader) space() {
	for r.at < len(r.doc) && (r.doc[r.at] == ' ' || r.doc[r.at] == '\n' || r.doc[r.at] == '\t' || r.doc[r.at] == '\r') {
		r.at++
	}
}

// begins reports whether the next value begins with c.
func (r *reader) begins(c byte) bool {
	r.space()
	return r.doc[r.at] == c
}

// next passes the bracket or comma before a member, or the closing bracket, and reports
// whether there is a member.
func (r *reader) next(closing byte) bool {
	r.space()
	c := r.doc[r.at]
	r.at++
	if c == closing {
		return false
	}
	if c == ',' {
		return true
	}
	if r.begins(closing) { // nothing between the brackets
		r.at++
		return false
	}
	return true
}

// skip passes a value, and returns it as it is written.
func (r *reader) skip() []byte {
	r.space()
	start, depth := r.at, 0
	for {
		switch r.doc[r.at] {
		case '"':
			r.literal()
		case '{', '[':
			depth++
			r.at++
		case '}', ']':
			depth--
			r.at++
		case ',', ':', ' ', '\n', '\t', '\r':
			r.at++
		default:
			for r.at < len(r.doc) && strings.IndexByte(",:]} \n\t\r", r.doc[r.at]) < 0 {
				r.at++
			}
		}
		if depth == 0 {
			return r.doc[start:r.at]
		}
	}
}

func (r *reader) isNull() bool {
	if !r.begins('n') {
		return false
	}
	r.at += len("null")
	return true
}

// object calls member with the name of each member that was not there before, to read its
// value; it returns false for one that it does not know. inside is the path of the object.
func (r *reader) object(d *Decoded, inside string, member func(name string) bool) {
	if !r.begins('{') {
		d.note(objectAt(inside), excerpt(string(r.skip()))+" is no JSON object")
		return
	}
	var seen memberSet
	tooMany := false
	for r.next('}') {
		r.space()
		name, times, full := seen.add(r.literal())
		r.space()
		r.at++ // the colon
		if times == 2 {
			d.note(inside+label(name), twice)
		}
		if full && !tooMany {
			d.note(objectAt(inside), fmt.Sprintf("has more than %d members that are not known", maxMembers))
			tooMany = true
		}
		if times > 1 || full || !member(name) {
			r.skip()
		}
	}
}

const twice = "is there twice"

// objectAt is what notes call the object whose path is inside.
func objectAt(inside string) string {
	return cmp.Or(strings.TrimSuffix(inside, "."), "event")
}

// literal passes a string, and returns it with its quotes.
func (r *reader) literal() []byte {
	start := r.at
	for r.at++; r.doc[r.at] != '"'; r.at++ {
		if r.doc[r.at] == '\\' {
			r.at++
		}
	}
	r.at++
	return r.doc[start:r.at]
}

// text reads a text. null is none.
func (r *reader) text(d *Decoded, field string, to *string) bool {
	if r.isNull() {
		return true
	}
	if !r.begins('"') {
		d.note(field, excerpt(string(r.skip()))+" is no text")
		return false
	}
	s, problem := unquote(r.literal())
	if problem != "" {
		d.note(field, problem)
	}
	*to = s
	return problem == ""
}

// unquote decodes a string, and says what no store can hold in it.
func unquote(literal []byte) (s, problem string) {
	raw := literal[1 : len(literal)-1]
	if !utf8.Valid(raw) {
		return strings.ToValidUTF8(string(raw), "\uFFFD"), "is not UTF-8"
	}
	first := bytes.IndexByte(raw, '\\')
	if first < 0 {
		return string(raw), ""
	}
	b := make([]byte, first, len(raw))
	copy(b, raw)
	for i := first; i < len(raw); {
		if raw[i] != '\\' {
			b = append(b, raw[i])
			i++
			continue
		}
		if raw[i+1] != 'u' {
			b = append(b, unescaped(raw[i+1]))
			i += 2
			continue
		}
		c, n, whole := unit(raw[i:])
		switch {
		case !whole:
			problem = `contains one half of a surrogate pair, such as \ud83d, which is no character`
		case c == 0:
			c, problem = utf8.RuneError, `contains \u0000, which no database stores as text`
		}
		b = utf8.AppendRune(b, c)
		i += n
	}
	return string(b), problem
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// unit decodes the character whose escape s begins with, and returns how many bytes that has.
// whole is false for half a surrogate pair.
func unit(s []byte) (c rune, n int, whole bool) {
	const length = len(`\uXXXX`)
	c = hexUnit(s)
	if !utf16.IsSurrogate(c) {
		return c, length, true
	}
	if len(s) >= 2*length && s[length] == '\\' && s[length+1] == 'u' {
		if pair := utf16.DecodeRune(c, hexUnit(s[length:])); pair != utf8.RuneError {
			return pair, 2 * length, true
		}
	}
	return utf8.RuneError, length, false
}

func hexUnit(s []byte) rune {
	n, _ := strconv.ParseUint(string(s[2:6]), 16, 16)
	return rune(n)
}

// value reads a value of metadata, which is at that depth.
func (r *reader) value(d *Decoded, path string, depth int) any {
	r.space()
	switch r.doc[r.at] {
	case '{', '[':
		if depth > hooks.MaxDepth {
			r.skip()
			r.wrong(d, "metadata", "is nested deeper than every store can read")
			return nil
		}
		if r.doc[r.at] == '[' {
			return r.elements(d, path, depth)
		}
		return r.members(d, path, depth)
	case '"':
		s, problem := unquote(r.literal())
		if problem != "" {
			r.wrong(d, path, problem)
		}
		return s
	case 't':
		r.at += len("true")
		return true
	case 'f':
		r.at += len("false")
		return false
	case 'n':
		r.at += len("null")
		return nil
	}
	return r.number(d, path)
}

// number reads a number as package hooks keeps it, without an exponent. What is longer than
// metadata may be it does not write out.
func (r *reader) number(d *Decoded, path string) json.Number {
	given := string(r.skip())
	if r.lax || r.longer > hooks.MaxMetadata {
		return json.Number(given)
	}
	n, ok := decimal.WrittenOut(given, hooks.MaxMetadata)
	if !ok {
		r.wrong(d, path, fmt.Sprintf("has a number of more than %d digits, written out as stores return it", hooks.MaxMetadata))
		return json.Number(given)
	}
	r.longer += len(n) - len(given)
	return json.Number(n)
}

// wrong notes what is wrong in metadata, of which the first thing is enough.
func (r *reader) wrong(d *Decoded, path, problem string) {
	if !r.noted {
		d.note(path, problem)
	}
	r.noted = true
}

func (r *reader) members(d *Decoded, path string, depth int) map[string]any {
	m := make(map[string]any)
	for r.next('}') {
		r.space()
		name, problem := unquote(r.literal())
		r.space()
		r.at++ // the colon
		if r.at > r.last {
			r.skip()
			continue
		}
		if _, is := m[name]; is {
			problem = twice
		}
		if problem != "" {
			r.wrong(d, path+"."+excerpt(name), problem)
		}
		m[name] = r.value(d, path, depth+1)
	}
	return m
}

func (r *reader) elements(d *Decoded, path string, depth int) []any {
	list := []any{}
	for r.next(']') {
		if r.at > r.last {
			r.skip()
			continue
		}
		list = append(list, r.value(d, path, depth+1))
	}
	return list
}

// excerpt quotes a value that may be of any length.
func excerpt(value string) string {
	const most = 64
	if len(value) <= most {
		return strconv.Quote(value)
	}
	return strconv.Quote(value[:most]) + "… (" + strconv.Itoa(len(value)) + " bytes)"
}
