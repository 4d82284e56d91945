package eventjson

import (
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// quote appends a JSON string. Bytes that are not UTF-8 become U+FFFD, as in encoding/json.
func (o *Object) quote(s string) {
	o.b = append(o.b, '"')
	plain := 0 // from here to i nothing needs an escape
	for i := 0; i < len(s); {
		c, n := rune(s[i]), 1
		switch {
		case c >= utf8.RuneSelf:
			c, n = utf8.DecodeRuneInString(s[i:])
			if o.utf8 && (c != utf8.RuneError || n > 1) {
				i += n
				continue
			}
		case c >= ' ' && c != '"' && c != '\\':
			i++
			continue
		}
		o.b = appendEscape(append(o.b, s[plain:i]...), c)
		i += n
		plain = i
	}
	o.b = append(append(o.b, s[plain:]...), '"')
}

// appendEscape escapes a quote, a backslash, a control character, or what is not ASCII.
func appendEscape(b []byte, c rune) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', byte(c))
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return pgtext.AppendUnicode(b, c)
}
