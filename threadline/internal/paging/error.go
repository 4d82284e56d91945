// Package paging is what the queries of actions and of row changes share: how they say what is
// wrong with them, and how a page names the place where the next one begins.
package paging

import (
	"cmp"
	"strings"
)

// QueryError says which part of a query cannot be answered, and what to do.
type QueryError struct {
	Field  string // as in the query string of package threadline, or the search of package search
	Reason string

	by string // the package whose Query it is about, "" for threadline's
}

// Refuse returns an error about a part of the Query of a package, whose fields have other names than those of a search.
func Refuse(by, field, reason string) *QueryError {
	return &QueryError{Field: field, Reason: reason, by: by}
}

// Error names the field as the program has written it.
func (e *QueryError) Error() string {
	if e.by == "" {
		return "threadline: query: " + e.Field + ": " + e.Reason
	}
	return e.by + ": query: " + fieldOf(e.Field) + ": " + e.Reason
}

// fields are those of changes.Query and trail.Query, by the keys of package search.
var fields = map[string]string{
	"after": "From", "before": "To", "table": "Tables", "key": "Key", "op": "Ops", "field": "Fields", "text": "Text", "not": "Not",
	"action": "Action", "action_prefix": "ActionPrefix", "outcome": "Outcome", "actor": "ActorType and ActorID", "tenant": "TenantID",
	"correlation": "CorrelationID", "request": "RequestID", "limit": "Limit", "cursor": "Cursor", "oldest_first": "OldestFirst",
}

func fieldOf(key string) string {
	if name, negated := strings.CutPrefix(key, "-"); negated {
		return "Not: " + fieldOf(name)
	}
	for side, field := range map[string]string{"old": "Old", "new": "New"} {
		if name, is := strings.CutPrefix(key, side+"."); is {
			return field + ", field " + name
		}
		if key == side {
			return field
		}
	}
	return cmp.Or(fields[key], key)
}
