package driver

import (
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// SQLSTATEs, by their names in the PostgreSQL manual, appendix A.
const (
	featureNotSupported    = "0A000"
	readOnlySQLTransaction = "25006"
	noActiveSQLTransaction = "25P01"
	inFailedSQLTransaction = "25P02"
	insufficientPrivilege  = "42501"
)

// judge returns the outcome that the answer to a COMMIT proves. Only an error from a server
// that went on running proves a rollback.
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

// mayBeOfCommit reports whether err may be that of a COMMIT: an integrity constraint that
// was deferred, or a serialization failure.
func mayBeOfCommit(err error) bool {
	state := hooks.SQLState(err)
	return strings.HasPrefix(state, "23") || strings.HasPrefix(state, "40")
}

// refusals are the SQLSTATEs of a server that has no such catalog, or does not let
// the app's role read it. Others of their classes say nothing about the catalog:
// 42P05 and 0A000 are about the statements that a session has prepared.
var refusals = []string{
	insufficientPrivilege,
	"42601", // syntax_error
	"42703", // undefined_column
	"42704", // undefined_object
	"42883", // undefined_function
	"42P01", // undefined_table
	"3F000", // invalid_schema_name
}
