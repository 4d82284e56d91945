package threadline

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// parsers are the keys of a query string.
var parsers = map[string]func(q *Query, s string) error{
	"actor":          (*Query).parseActor,
	"action":         func(q *Query, s string) error { q.Action = s; return nil },
	"action_prefix":  func(q *Query, s string) error { q.ActionPrefix = s; return nil },
	"target_type":    func(q *Query, s string) error { q.TargetType = s; return nil },
	"target_id":      func(q *Query, s string) error { q.TargetID = s; return nil },
	"tenant":         func(q *Query, s string) error { q.TenantID = s; return nil },
	"correlation_id": func(q *Query, s string) error { q.CorrelationID = s; return nil },
	"request_id":     func(q *Query, s string) error { q.RequestID = s; return nil },
	"outcome":        func(q *Query, s string) error { q.Outcome = hooks.EventOutcome(s); return nil },
	"from":           func(q *Query, s string) error { return parseTime(&q.From, s) },
	"to":             func(q *Query, s string) error { return parseTime(&q.To, s) },
	"limit":          (*Query).parseLimit,
	"cursor":         func(q *Query, s string) error { q.Cursor = s; return nil },
}

// ParseQuery reads a query from a URL's query string. Its keys are actor
// ("user:42", "user", "unattributed"), action, action_prefix, target_type,
// target_id, tenant, correlation_id, request_id, outcome, from and to (RFC 3339,
// or a date, which means its first moment in UTC), limit and cursor.
//
// It is strict, since a filter that is lost shows more than was asked for: an
// unknown key, a key without a value, one that is given twice and a query that
// makes no sense are each a [*QueryError].
func ParseQuery(values url.Values) (Query, error) {
	var q Query
	for _, key := range slices.Sorted(maps.Keys(values)) {
		parse, ok := parsers[key]
		switch {
		case !ok:
			return Query{}, &QueryError{key, "is not known: use " + strings.Join(slices.Sorted(maps.Keys(parsers)), ", ")}
		case len(values[key]) != 1:
			return Query{}, &QueryError{key, fmt.Sprintf("is given %d times: give it once", len(values[key]))}
		case values[key][0] == "":
			return Query{}, &QueryError{key, "has no value: give one, or leave the key out"}
		}
		if err := parse(&q, values[key][0]); err != nil {
			return Query{}, &QueryError{key, err.Error()}
		}
	}
	if q.Limit > MaxLimit {
		return Query{}, &QueryError{"limit", fmt.Sprintf("%d is above %d", q.Limit, MaxLimit)}
	}
	return q, q.validate()
}

func (q *Query) parseActor(s string) error {
	if s == Unattributed {
		q.Unattributed = true
		return nil
	}
	kind, id, colon := strings.Cut(s, ":")
	if colon && id == "" {
		return fmt.Errorf("%q has no id after its colon", s)
	}
	q.ActorType, q.ActorID = hooks.ActorType(kind), id
	return nil
}

func (q *Query) parseLimit(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is not a number from 1 to %d", s, MaxLimit)
	}
	q.Limit = n
	return nil
}

func parseTime(dst *time.Time, s string) error {
	for _, form := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(form, s); err == nil {
			*dst = t.UTC()
			return nil
		}
	}
	return fmt.Errorf("%q is neither a time such as 2006-01-02T15:04:05Z nor a date such as 2006-01-02", s)
}
