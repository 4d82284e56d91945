// Package sqlitetext writes texts into statements for SQLite.
package sqlitetext

import "strings"

// Literal returns text as a string literal. SQLite reads it up to a NUL, which text must not
// have.
func Literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
