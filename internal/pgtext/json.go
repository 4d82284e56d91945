package pgtext

import "unicode/utf8"

// ASCII returns a JSON document, valid UTF-8, with \u escapes for what is not ASCII.
func ASCII(doc []byte) string {
	dst := make([]byte, 0, len(doc))
	for _, r := range string(doc) {
		if r < utf8.RuneSelf {
			dst = append(dst, byte(r))
		} else {
			dst = AppendUnicode(dst, r)
		}
	}
	return string(dst)
}

// AppendUnicode appends the JSON escapes of r.
func AppendUnicode(b []byte, r rune) []byte {
	const surrogates, high, low = 0x10000, 0xD800, 0xDC00
	if r >= surrogates {
		r -= surrogates
		return appendUnit(appendUnit(b, high+r>>10), low+r&0x3FF)
	}
	return appendUnit(b, r)
}

func appendUnit(b []byte, u rune) []byte {
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', digits[u>>12&0xF], digits[u>>8&0xF], digits[u>>4&0xF], digits[u&0xF])
}
