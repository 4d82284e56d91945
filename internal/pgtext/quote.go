package pgtext

import "bytes"

// Quote turns what b has from start on, ASCII without NUL, into a string literal, in the same
// buffer. The form E'…' means the same under both settings of standard_conforming_strings
// (PostgreSQL manual, section 4.1.2.2).
func Quote(b []byte, start int) []byte {
	text := b[start:]
	double := bytes.Count(text, []byte{'\''}) + bytes.Count(text, []byte{'\\'})
	n := len(text)
	b = append(b, `E''`...)
	for range double {
		b = append(b, 0)
	}
	text = b[start:]
	to := len(text) - 1
	text[to] = '\''
	for from := n - 1; double > 0; from-- { // from the end, since what is doubled moves back
		c := text[from]
		to--
		text[to] = c
		if c == '\'' || c == '\\' {
			to--
			text[to] = c
			double--
		}
		n = from
	}
	copy(text[len(`E'`):], text[:n])
	text[0], text[1] = 'E', '\''
	return b
}
