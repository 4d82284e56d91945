package threadline

import (
	"errors"
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
	"target":         (*Query).parseTarget,
	"target_type":    func(q *Query, s string) error { q.TargetType = s; return nil },
	"target_id":      func(q *Query, s string) error { q.TargetID = s; return nil },
	"tenant":         func(q *Query, s string) error { q.TenantID = s; return nil },
	"correlation_id": func(q *Query, s string) error { q.CorrelationID = s; return nil },
	"request_id":     func(q *Query, s string) error { q.RequestID = s; return nil },
	"outcome":        func(q *Query, s string) error { q.Outcome = hooks.EventOutcome(s); return nil },
	"text":           func(q *Query, s string) error { q.Text = append(q.Text, s); return nil },
	"from":           func(q *Query, s string) error { return parseTime(&q.From, s) },
	"to":             func(q *Query, s string) error { return parseTime(&q.To, s) },
	"limit":          (*Query).parseLimit,
	"cursor":         func(q *Query, s string) error { q.Cursor = s; return nil },
}

// negatable are the keys that may have a minus sign before them.
var negatable = map[string]bool{
	"actor": true, "action": true, "action_prefix": true, "target": true, "target_type": true,
	"tenant": true, "correlation_id": true, "request_id": true, "outcome": true, "text": true,
}

// ParseQuery reads a query from a URL's query string. Its keys are actor
// ("user:42", "user", "*:42" for any type, "unattributed"), action, action_prefix,
// target ("order:42", "order"), or target_type and target_id, tenant,
// correlation_id, request_id, outcome, text, from and to (RFC 3339, or a date, which
// means its first moment in UTC), limit and cursor. A filter with a minus sign,
// -outcome=success, is one of Query.Not.
//
// It is strict, since a filter that is lost shows more than was asked for: an
// unknown key, a key without a value, one that is given twice (except text and
// those with a minus sign) and a query that makes no sense are each a [*QueryError].
func ParseQuery(values url.Values) (Query, error) {
	var q Query
	for _, key := range slices.Sorted(maps.Keys(values)) {
		name, negated := strings.CutPrefix(key, "-")
		parse, ok := parsers[name]
		switch {
		case !ok:
			return Query{}, &QueryError{Field: key, Reason: "is not known: use " + strings.Join(slices.Sorted(maps.Keys(parsers)), ", ")}
		case negated && !negatable[name]:
			return Query{}, &QueryError{Field: key, Reason: "cannot be negated: use " + strings.Join(slices.Sorted(maps.Keys(negatable)), ", ")}
		case len(values[key]) == 0 || len(values[key]) > 1 && !negated && name != "text":
			return Query{}, &QueryError{Field: key, Reason: fmt.Sprintf("is given %d times: give it once", len(values[key]))}
		case name == "target" && !negated && (values.Has("target_type") || values.Has("target_id")):
			return Query{}, &QueryError{Field: key, Reason: "is given beside target_type or target_id: leave out one of the two"}
		}
		for _, value := range values[key] {
			if err := q.parse(parse, negated, value); err != nil {
				return Query{}, &QueryError{Field: key, Reason: err.Error()}
			}
		}
	}
	if q.Limit > MaxLimit {
		return Query{}, &QueryError{Field: "limit", Reason: fmt.Sprintf("%d is above %d", q.Limit, MaxLimit)}
	}
	return q, q.validate()
}

func (q *Query) parse(parse func(*Query, string) error, negated bool, value string) error {
	if value == "" {
		return errors.New("has no value: give one, or leave the key out")
	}
	if !negated {
		return parse(q, value)
	}
	var not Query
	if err := parse(&not, value); err != nil {
		return err
	}
	q.Not = append(q.Not, not)
	return nil
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
	switch {
	case kind == "":
		return fmt.Errorf("an id needs a type, as in user:%s, or *%s for any", id, s)
	case kind == "*" && !colon:
		return errors.New("* has no id after it: leave the actor out for any")
	case kind == "*":
		kind = ""
	}
	q.ActorType, q.ActorID = hooks.ActorType(kind), id
	return nil
}

func (q *Query) parseTarget(s string) error {
	kind, id, colon := strings.Cut(s, ":")
	switch {
	case kind == "":
		return fmt.Errorf("%q has no type before its colon: ids of different types may be equal", s)
	case colon && id == "":
		return fmt.Errorf("%q has no id after its colon", s)
	}
	q.TargetType, q.TargetID = kind, id
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
