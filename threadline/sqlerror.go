package threadline

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// isMismatch reports whether err says that the tables are not there, or not as
// this package needs them.
func isMismatch(err error) bool {
	var schema *SchemaError
	if errors.As(err, &schema) {
		return true
	}
	switch hooks.SQLState(err) {
	case "42P01", // undefined_table
		"42703", // undefined_column
		"42883", // undefined_function
		"3F000": // invalid_schema_name
		return true
	case "":
		return says(err, "no such table", "no such column", "has no column named", "no such function")
	}
	return false
}

// isData reports whether err is about what an entry contains, so that the same
// entry would fail again and another need not.
func isData(err error) bool {
	var entry *entryError
	if errors.As(err, &entry) {
		return true
	}
	state := hooks.SQLState(err)
	if state == "" {
		return says(err, "constraint failed", "malformed JSON", "string or blob too big", "JSON path error")
	}
	return strings.HasPrefix(state, "22") || // data exception
		strings.HasPrefix(state, "23") || // integrity constraint violation
		state == "54000" // program_limit_exceeded: a text too long for an index
}

// isRefused reports whether err says that this role, or this server, may not
// make tables.
func isRefused(err error) bool {
	switch hooks.SQLState(err) {
	case "42501", // insufficient_privilege
		"25006": // read_only_sql_transaction, as on a standby
		return true
	case "":
		return says(err, "readonly database")
	}
	return false
}

// isBusy reports whether SQLite refused to wait for another writer.
func isBusy(err error) bool {
	return says(err, "database is locked", "SQLITE_BUSY", "database table is locked")
}

func says(err error, parts ...string) bool {
	if err == nil {
		return false
	}
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(err.Error(), p) })
}
