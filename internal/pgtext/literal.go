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
	s = valid(s)
	if IsASCII(s) {
		return Literal(s)
	}
	return "CASE WHEN pg_catalog.getdatabaseencoding() IN ('UTF8', 'SQL_ASCII') THEN " + Literal(s) + " ELSE " + Literal(Written(s)) + " END"
}

// Written returns s as [Storable] writes it where the server's encoding may lack
// characters: each that is not ASCII as <U+0141>. It is for texts that others store, in
// whatever encodings of client and server.
func Written(s string) string {
	var b strings.Builder
	for _, r := range valid(s) {
		if r < utf8.RuneSelf {
			b.WriteByte(byte(r))
		} else {
			fmt.Fprintf(&b, "<U+%04X>", r)
		}
	}
	return b.String()
}

// valid returns s with U+FFFD for NUL, which no text of PostgreSQL has, and for bytes that
// are not UTF-8.
func valid(s string) string {
	const unknown = "\uFFFD"
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", unknown), unknown)
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
