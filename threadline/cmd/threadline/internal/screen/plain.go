package screen

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Plain returns text from a database so that it can neither move the cursor nor change the order of what
// is read: control characters, marks of direction and bytes that are not UTF-8 are written as SQL or Go
// would escape them. Line breaks are, too.
func Plain(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			b.WriteString(`\x` + strconv.FormatUint(0x100|uint64(s[0]), 16)[1:])
		} else if shown(r) {
			b.WriteRune(r)
		} else {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[n:]
	}
	return b.String()
}

func plain(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || !shown(r) {
			return false
		}
	}
	return true
}

func shown(r rune) bool { return unicode.IsPrint(r) || r == '\u00a0' }

// Lines is [Plain] of a text of several lines, which stay lines.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Plain(line)
	}
	return strings.Join(lines, "\n")
}
