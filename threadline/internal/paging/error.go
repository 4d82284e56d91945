// Package paging is what the queries of actions and of row changes share: how they say what is
// wrong with them, and how a page names the place where the next one begins.
package paging

// QueryError says which part of a query cannot be answered, and what to do.
type QueryError struct {
	Field  string // as in the query string of package threadline, or the search of package search
	Reason string
}

// Error names the field.
func (e *QueryError) Error() string { return "threadline: query: " + e.Field + ": " + e.Reason }
