package lent

import "strings"

// sessionWords are in the names by which a statement for data leaves something behind that
// outlasts its transaction: a temporary table, a setting, a lock, the seed of random numbers.
// What U&"…" names may be any of them.
var sessionWords = []string{
	"temp", "pg_settings", "set_config", "setseed", "advisory", "pg_replication_origin_session",
	"get_lock", "release_lock", "release_all_locks", `u&"`,
}

var byFirst = func() (words [256][]string) {
	for _, w := range sessionWords {
		words[w[0]] = append(words[w[0]], w)
	}
	return words
}()

// MentionsSession reports whether query has one of the words in it by which a statement for
// data leaves something behind in its session. It does not parse: they count in a literal, too.
// Statements that are for the session (SET, LISTEN, PREPARE) have others, at their beginning.
func MentionsSession(query string) bool {
	for i := range len(query) {
		for _, w := range byFirst[query[i]|0x20] { // lower case
			if len(query)-i >= len(w) && strings.EqualFold(query[i:i+len(w)], w) {
				return true
			}
		}
	}
	return false
}
