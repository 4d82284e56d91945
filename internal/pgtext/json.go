package pgtext

import (
	"strconv"
	"unicode/utf8"
)

// ASCII returns a JSON document, valid UTF-8, with \u escapes for what is not ASCII.
func ASCII(doc []byte) string {
	dst := make([]byte, 0, len(doc))
	for _, r := range string(doc) {
		if r < utf8.RuneSelf {
			dst = append(dst, byte(r))
		} else {
			dst = appendRune(dst, r)
		}
	}
	return string(dst)
}

// appendRune appends the JSON escapes of r.
func appendRune(dst []byte, r rune) []byte {
	const surrogates, high, low = 0x10000, 0xD800, 0xDC00
	if r >= surrogates {
		r -= surrogates
		return appendRune(appendRune(dst, high+r>>10), low+r&0x3FF)
	}
	dst = append(dst, '\\', 'u')
	const digits = 4
	hex := strconv.FormatInt(int64(r), 16)
	for range digits - len(hex) {
		dst = append(dst, '0')
	}
	return append(dst, hex...)
}
