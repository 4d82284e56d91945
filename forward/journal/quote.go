package journal

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// appendLiteral appends doc, valid UTF-8, as a PostgreSQL string literal.
//
// The form E'…' means the same under both settings of
// standard_conforming_strings (PostgreSQL manual, section 4.1.2.2). With ascii
// set, doc is JSON, and what is outside ASCII becomes \u escapes: then not even
// a client_encoding whose characters may contain the bytes of ' or \ (SJIS,
// BIG5, GBK) can end the literal early.
func appendLiteral(dst, doc []byte, ascii bool) ([]byte, error) {
	if i := bytes.IndexByte(doc, 0); i >= 0 {
		return dst, fmt.Errorf("journal: a NUL byte at offset %d, which no literal can hold", i)
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
			dst = appendRune(dst, r)
			i += n
			continue
		}
		i++
	}
	return append(dst, '\''), nil
}

// appendRune appends the JSON escapes of r, with the backslash doubled for the
// literal.
func appendRune(dst []byte, r rune) []byte {
	const surrogates, high, low = 0x10000, 0xD800, 0xDC00
	if r >= surrogates {
		r -= surrogates
		return appendRune(appendRune(dst, high+r>>10), low+r&0x3FF)
	}
	dst = append(dst, '\\', '\\', 'u')
	const digits = 4
	hex := strconv.FormatInt(int64(r), 16)
	for range digits - len(hex) {
		dst = append(dst, '0')
	}
	return append(dst, hex...)
}
