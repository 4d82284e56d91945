package pgtext

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends doc, valid UTF-8, as a PostgreSQL string literal. With ascii
// set, doc is JSON, and what is outside ASCII becomes \u escapes, which cost less
// than [Literal]'s digits. Servers whose encoding is SQL_ASCII cannot decode those.
func AppendJSON(dst, doc []byte, ascii bool) ([]byte, error) {
	if i := bytes.IndexByte(doc, 0); i >= 0 {
		return dst, fmt.Errorf("a NUL byte at offset %d, which no literal can hold", i)
	}
	if !ascii {
		doc = unescapeSeparators(doc)
	}
	dst = append(dst, 'E', '\'')
	for i := 0; i < len(doc); {
		switch c := doc[i]; {
		case c == '\'' || c == '\\':
			dst = append(dst, c, c)
		case c < utf8.RuneSelf || !ascii:
			dst = append(dst, c)
		default:
			r, n := utf8.DecodeRune(doc[i:])
			dst = appendRune(dst, r, `\\u`)
			i += n
			continue
		}
		i++
	}
	return append(dst, '\''), nil
}

// ASCII returns a JSON document, valid UTF-8, with \u escapes for what is not ASCII.
func ASCII(doc []byte) string {
	dst := make([]byte, 0, len(doc))
	for _, r := range string(doc) {
		if r < utf8.RuneSelf {
			dst = append(dst, byte(r))
		} else {
			dst = appendRune(dst, r, `\u`)
		}
	}
	return string(dst)
}

// appendRune appends the JSON escapes of r, which begin with escape: \u, or with the
// backslash doubled for a literal.
func appendRune(dst []byte, r rune, escape string) []byte {
	const surrogates, high, low = 0x10000, 0xD800, 0xDC00
	if r >= surrogates {
		r -= surrogates
		return appendRune(appendRune(dst, high+r>>10, escape), low+r&0x3FF, escape)
	}
	dst = append(dst, escape...)
	const digits = 4
	hex := strconv.FormatInt(int64(r), 16)
	for range digits - len(hex) {
		dst = append(dst, '0')
	}
	return append(dst, hex...)
}

// unescapeSeparators undoes the only escapes outside ASCII that encoding/json
// makes unasked: those of U+2028 and U+2029.
func unescapeSeparators(doc []byte) []byte {
	if !bytes.Contains(doc, []byte(`\u202`)) {
		return doc
	}
	plain := make([]byte, 0, len(doc))
	for i := 0; i < len(doc); i++ {
		switch {
		case doc[i] != '\\':
			plain = append(plain, doc[i])
		case bytes.HasPrefix(doc[i:], []byte(`\u2028`)), bytes.HasPrefix(doc[i:], []byte(`\u2029`)):
			plain = utf8.AppendRune(plain, 0x2020+rune(doc[i+5]-'0'))
			i += len(`u2028`)
		default: // both bytes, so that the second is not read as the start of an escape
			plain = append(plain, doc[i], doc[i+1])
			i++
		}
	}
	return plain
}
