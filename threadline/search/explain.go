package search

import (
	"errors"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// Explain turns the QueryError of a store or a trail.Reader, to the query that the terms have made, into an [*Error] that
// points at its word and wraps it: that a table was never captured, say. (The three packages have one type of that name.)
// Other errors, and nil, are returned as they are.
func (t Terms) Explain(err error) error {
	var query *changes.QueryError
	if !errors.As(err, &query) {
		return err
	}
	for _, term := range t {
		if term.isAbout(query) {
			e := term.wrong(query.Reason)
			e.err = err
			return e
		}
	}
	return err
}

// isAbout reports whether an error is about what the term has asked for. Several terms may have the key field: the error
// quotes the field that it is about.
func (t Term) isAbout(query *changes.QueryError) bool {
	field, negated := strings.CutPrefix(query.Field, "-")
	switch {
	case t.Not != negated:
		return false
	case t.Key == "field":
		return field == "field" && strings.Contains(query.Reason, quote(t.Value))
	case t.Key == "target":
		return field == "table" || field == "key" || field == "target_type" || field == "target_id"
	}
	k, _ := find(t.Key)
	return field == t.Key || k.param != "" && field == k.param || t.Key == "" && field == "text"
}
