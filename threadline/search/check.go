package search

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/internal/near"
)

// check refuses terms that make no sense, each by itself and together.
func (t Terms) check() error {
	given := map[string]Term{}
	for _, term := range t {
		if err := term.check(); err != nil {
			return err
		}
		k, _ := find(term.Key)
		if term.Key == "" || term.Not || k.many {
			continue
		}
		what := term.Key
		if what == "table" {
			what = "target" // a table is one
		}
		if first, ok := given[what]; ok {
			return term.wrong(fmt.Sprintf("%s is there already: leave out one of the two", first))
		}
		given[what] = term
	}
	return nil
}

func (t Term) wrong(reason string) *Error {
	return &Error{Pos: t.Pos, End: t.End, Word: t.String(), Reason: reason}
}

// check refuses a term that makes no sense by itself.
func (t Term) check() error {
	k, ok := find(t.Key)
	switch {
	case t.Key == "":
		if t.Value == "" {
			return t.wrong("is empty, and would be found everywhere")
		}
		k = text
	case !ok:
		e := t.wrong("has no key that is known")
		e.Near = nearKey(t.Key)
		return e
	case k.time && t.Not:
		opposite := map[string]string{"after": "before", "before": "after"}[t.Key]
		return t.wrong("a time is not negated: write " + Term{Key: opposite, Value: t.Value}.String())
	case k.closed && !slices.Contains(k.values, t.Value):
		e := t.wrong("is none of " + strings.Join(k.values, ", "))
		if meant := near.Of(t.Value, k.values); meant != "" {
			e.Near = Term{Key: t.Key, Value: meant, Not: t.Not}.String()
		}
		return e
	case t.Value == "" && !isImage(t.Key):
		return t.wrong("has an empty value: leave the key out")
	case strings.ContainsRune(t.Key+t.Value, 0), !utf8.ValidString(t.Key + t.Value):
		return t.wrong("is not UTF-8 text without NUL")
	}
	if k.param == "" {
		return nil
	}
	values, err := t.values(k, time.Unix(0, 0).UTC())
	if err != nil {
		return err
	}
	_, err = threadline.ParseQuery(values)
	return t.explain(err)
}

func isImage(name string) bool {
	_, _, ok := cutImage(name)
	return ok
}

// text is the key of a text to be found.
var text = key{param: "text"}

// explain puts an error of the query at the term.
func (t Term) explain(err error) error {
	var query *threadline.QueryError
	if !errors.As(err, &query) {
		return err
	}
	e := t.wrong(query.Reason)
	switch kind, id, colon := strings.Cut(t.Value, ":"); {
	case t.Key == "after":
		e.Reason = "is not before the time of before: swap them, or leave one out"
	case t.Key == "action":
		e.Reason = "is no action's name, such as order.refunded, in lower case: write order.* for those that begin so"
		if !t.Not && !strings.ContainsAny(t.Value, ".*") {
			e.Near = Term{Key: "action", Value: strings.ToLower(t.Value) + ".*"}.String()
		}
	case t.Key == "actor" && colon && id != "":
		k, _ := find("actor")
		if meant := near.Of(kind, k.values); meant != "" && meant != threadline.Unattributed {
			e.Near = Term{Key: "actor", Value: meant + ":" + id, Not: t.Not}.String()
		}
	}
	return e
}

// values are what the term is to threadline.ParseQuery. Times are relative to now.
func (t Term) values(k key, now time.Time) (url.Values, error) {
	param, value := k.param, t.Value
	switch {
	case k.time:
		at, err := ParseTime(value, now)
		if err != nil {
			e := t.wrong(err.Error())
			if meant := near.Of(value, times); meant != "" {
				e.Near = Term{Key: t.Key, Value: meant}.String()
			}
			return nil, e
		}
		value = at.UTC().Format(time.RFC3339Nano)
	case t.Key == "actor" && !slices.Contains(k.values, value) && !strings.ContainsRune(value, ':') && value != "*":
		value = "*:" + value
	case t.Key == "action" && strings.HasSuffix(value, "*"):
		param, value = "action_prefix", strings.TrimSuffix(value, "*")
		if value == "" {
			return nil, t.wrong("finds every action: leave it out")
		}
	}
	if t.Not {
		param = "-" + param
	}
	return url.Values{param: {value}}, nil
}
