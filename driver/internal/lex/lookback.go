package lex

import "strings"

// LooksBack reports whether a query of MySQL mentions ROW_COUNT or FOUND_ROWS, which
// are about the statement before it: nothing else may be sent in between.
func LooksBack(query string) bool {
	for rest, at := query, 0; ; {
		n := strings.IndexByte(rest, '_')
		if n < 0 {
			return false
		}
		at += n
		if hasAround(query, at, "row", "count") || hasAround(query, at, "found", "rows") {
			return true
		}
		at++
		rest = query[at:]
	}
}

// hasAround reports whether s has these words before and behind the byte at i, in
// either case.
func hasAround(s string, i int, before, behind string) bool {
	from, to := i-len(before), i+1+len(behind)
	return from >= 0 && to <= len(s) && strings.EqualFold(s[from:i], before) && strings.EqualFold(s[i+1:to], behind)
}
