// Package otherdialect recognises errors of a database that speaks another dialect than
// the one it was asked in, because the caller has named the wrong one.
package otherdialect

import (
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Shows reports whether an error, of which state is the SQLSTATE, comes from a database of
// another dialect than d. SQLite, which has no SQLSTATEs, takes PostgreSQL's schemas for
// attached files and its casts for errors.
func Shows(d hooks.Dialect, state, text string) bool {
	if d == hooks.SQLite {
		return state != ""
	}
	return state == "" && (strings.Contains(text, "no such table") || strings.Contains(text, "syntax error") || strings.Contains(text, "unrecognized token"))
}
