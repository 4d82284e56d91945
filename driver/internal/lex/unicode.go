package lex

import (
	"strconv"
	"strings"
)

// unicode decodes U&"name", whose quote p has just passed, with the UESCAPE
// that may follow it (PostgreSQL manual, section 4.1.2.3).
func (p *parser) unicode(t token) (string, bool) {
	escape := byte('\\')
	if p.accept("UESCAPE") {
		if p.tok.kind != str || len(p.tok.text) != 1 {
			return "", false
		}
		escape = p.tok.text[0]
		p.advance()
	}
	s := t.text
	if t.doubled {
		s = undouble(s, t.quote)
	}
	s, ok := decodeUnicode(s, escape)
	return clip(s), ok
}

// decodeUnicode replaces \XXXX and \+XXXXXX. Surrogate pairs are refused; nobody
// writes them here.
func decodeUnicode(s string, escape byte) (string, bool) {
	if strings.IndexByte(s, escape) < 0 {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		switch {
		case s[i] != escape:
			b.WriteByte(s[i])
			i++
			continue
		case i+1 < len(s) && s[i+1] == escape:
			b.WriteByte(escape)
			i += 2
			continue
		}
		from, to := i+1, i+5
		if i+1 < len(s) && s[i+1] == '+' {
			from, to = i+2, i+8
		}
		if to > len(s) {
			return "", false
		}
		r, err := strconv.ParseUint(s[from:to], 16, 32)
		if err != nil || r == 0 || r > 0x10FFFF || 0xD800 <= r && r < 0xE000 {
			return "", false
		}
		b.WriteRune(rune(r))
		i = to
	}
	return b.String(), true
}
