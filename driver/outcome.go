package driver

import (
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// judge says what the answer to a COMMIT proves. Only a server that answered
// with an error of its own, and lived on, has surely rolled back.
func judge(err error) hooks.Outcome {
	if err == nil {
		return hooks.Committed
	}
	state := hooks.SQLState(err)
	if len(state) != 5 {
		return hooks.Unknown
	}
	switch state[:2] {
	case "08", "57", "58", "XX", "F0":
		if state == "57014" { // query_canceled
			return hooks.RolledBack
		}
		return hooks.Unknown
	}
	if state == "40003" { // statement_completion_unknown
		return hooks.Unknown
	}
	return hooks.RolledBack
}

// refuses reports whether err may be that of a COMMIT: an integrity constraint
// that was deferred, or a serialization failure.
func refuses(err error) bool {
	state := hooks.SQLState(err)
	return strings.HasPrefix(state, "23") || strings.HasPrefix(state, "40")
}
