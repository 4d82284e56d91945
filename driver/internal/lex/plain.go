package lex

import "strings"

// Plain reports whether query is certainly one statement that only reads, from
// its first keyword alone, so that there is no need to [Parse] it. It costs a
// few nanoseconds and a search for a semicolon.
//
// A SELECT counts as reading, though SELECT … INTO makes a table and a function
// may write: neither is seen. One that begins with set_config is left to Parse,
// as SET is.
func Plain(query string) bool {
	if startsSelect(query) {
		// Most often one byte answers for callsConfig.
		plain := query[len("select")] == ' ' && !beginsConfig[query[len("select")+1]]
		return (plain || !callsConfig(query[len("select"):])) && strings.IndexByte(query, ';') < 0
	}
	return startsPlain(query) && strings.IndexByte(query, ';') < 0
}

// MayCall reports whether a query that is [Plain] may do more than read: it may call a function, or be a
// SELECT … INTO.
func MayCall(query string) bool {
	return strings.IndexByte(query, '(') >= 0 || mentions(query, "into")
}

// beginsConfig has the bytes with which what callsConfig looks for may begin.
var beginsConfig = func() (t [256]bool) {
	for _, c := range " \t\n\r\f\v(\"-/sSpPuUaAdD" {
		t[c] = true
	}
	return t
}()

// startsSelect is the quick answer for what most statements are. The compiler
// makes one load of the eight bytes.
func startsSelect(s string) bool {
	const (
		caseBits = 0x2020_2020_2020
		selects  = 's' | 'e'<<8 | 'l'<<16 | 'e'<<24 | 'c'<<32 | 't'<<40
		six      = 1<<48 - 1
	)
	if len(s) < 8 {
		return false
	}
	w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	return (w|caseBits)&six == selects && classes[s[6]]&isPart == 0 && s[6] != '$'
}

// startsPlain looks for the first keyword behind white space and comments.
func startsPlain(s string) bool {
	for s != "" {
		switch s[0] {
		case ' ', '\n', '\t', '\r':
			s = s[1:]
		case '-', '/':
			n := commentEnd(s)
			if n == 0 {
				return false
			}
			s = s[n:]
		default:
			return reads(s)
		}
	}
	return false
}

// commentEnd returns the length of the comment that s begins with, and 0 if
// there is none, or if the dialects differ on where it ends.
func commentEnd(s string) int {
	switch {
	case strings.HasPrefix(s, "--"):
		n := strings.IndexByte(s, '\n')
		if n < 0 || strings.IndexByte(s[:n], '\r') >= 0 || s[2] > ' ' { // which is no comment on MySQL
			return 0
		}
		return n + 1
	case strings.HasPrefix(s, "/*"):
		n := strings.Index(s[2:], "*/")
		if n < 0 || strings.Contains(s[2:2+n+1], "/*") || s[2] == '!' || s[2] == 'M' { // which MySQL executes
			return 0
		}
		return 2 + n + 2
	}
	return 0
}

// reads reports whether s begins with a keyword of statements that only read,
// on every dialect that has it.
func reads(s string) bool {
	switch s[0] | 0x20 {
	case 's':
		return begins(s, "select") && !callsConfig(s[len("select"):]) || begins(s, "show")
	case 'v':
		return begins(s, "values")
	case 't':
		return begins(s, "table")
	case 'f':
		return begins(s, "fetch")
	case 'p':
		return begins(s, "pragma") && !mentions(s, "query_only")
	}
	return false
}

// mentions reports whether s has the lower-case word in it, in either case.
func mentions(s, word string) bool {
	for ; len(s) >= len(word); s = s[1:] {
		if s[0]|0x20 == word[0] && strings.EqualFold(s[:len(word)], word) {
			return true
		}
	}
	return false
}

// begins reports whether s begins with the keyword, as a whole word. Setting
// the bit for lower case makes no other byte a letter of a keyword than its
// upper case.
func begins(s, keyword string) bool {
	if len(s) < len(keyword) {
		return false
	}
	for i := range len(keyword) {
		if s[i]|0x20 != keyword[i] {
			return false
		}
	}
	return len(s) == len(keyword) || classes[s[len(keyword)]]&isPart == 0 && s[len(keyword)] != '$'
}
