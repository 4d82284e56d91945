package search

import (
	"errors"
	"maps"
	"net/url"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline"
)

// Actions returns the query for the timeline's actions. Times are relative to now, and
// days, dates and times without a zone are in its zone: give time.Now().UTC() for UTC.
//
// A term that only row changes can answer, such as field:status, is an [*Error] that
// wraps [ErrChangesOnly], also with a minus sign.
func (t Terms) Actions(now time.Time) (threadline.Query, error) {
	if err := t.check(); err != nil {
		return threadline.Query{}, err
	}
	all, owner := url.Values{}, map[string]Term{}
	for _, term := range t {
		k, _ := find(term.Key)
		if term.Key == "" {
			k = text
		}
		if k.param == "" {
			e := term.wrong("asks for what no action has")
			e.err = ErrChangesOnly
			e.Reason += ": " + e.err.Error()
			return threadline.Query{}, e
		}
		values, err := term.values(k, now)
		if err != nil {
			return threadline.Query{}, err
		}
		for param := range maps.Keys(values) {
			all[param] = append(all[param], values[param]...)
			owner[param] = term
		}
	}
	q, err := threadline.ParseQuery(all)
	var wrong *threadline.QueryError
	if errors.As(err, &wrong) {
		return threadline.Query{}, owner[wrong.Field].explain(err)
	}
	return q, err
}
