package search

import (
	"errors"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// Explain puts an error at its word: what a store answers to the query that the terms have made, such as
// that a table was never captured. Such a [changes.QueryError] becomes an [*Error], which wraps it. Other errors are
// returned as they are.
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

// isAbout reports whether an error is about what the term has asked for. Several may ask for fields, and
// the error has the field's name.
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
