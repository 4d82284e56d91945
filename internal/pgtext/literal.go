package pgtext

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Literal returns an expression of s. The form E'…' means the same under both
// settings of standard_conforming_strings (PostgreSQL manual, section 4.1.2.2).
// The server refuses what its encoding lacks (SQLSTATE 22P05 or 22021).
func Literal(s string) string {
	if IsASCII(s) {
		return "E'" + escapes.Replace(s) + "'"
	}
	return "pg_catalog.convert_from(pg_catalog.decode('" + hex.EncodeToString([]byte(s)) + "', 'hex'), 'UTF8')"
}

var escapes = strings.NewReplacer(`\`, `\\`, `'`, `''`)

// Storable returns an expression of s that every server can store. Where the server's
// encoding may lack characters of s, each that is not ASCII is written as <U+1F600>. The
// server decides that, so that it stores a text in one form whatever the session's
// encoding is. NUL and bytes that are not UTF-8 are replaced by U+FFFD.
func Storable(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
	if IsASCII(s) {
		return Literal(s)
	}
	return "CASE WHEN pg_catalog.getdatabaseencoding() IN ('UTF8', 'SQL_ASCII') THEN " + Literal(s) + " ELSE " + Literal(Written(s)) + " END"
}

// Written returns s with each character that is not ASCII as <U+0141>.
func Written(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteByte(byte(r))
		} else {
			fmt.Fprintf(&b, "<U+%04X>", r)
		}
	}
	return b.String()
}

// IsASCII reports whether s is ASCII.
func IsASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
