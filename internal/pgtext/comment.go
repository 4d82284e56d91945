package pgtext

import "strings"

// Comment returns a text as a line of SQL that is a comment. Names and values in the text may have line ends: what comes behind one
// would be executed.
func Comment(text string) string {
	return "-- " + strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(text) + "\n"
}
