package search

import (
	"errors"
	"net/url"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// Changes returns the query for row changes, as [Terms.Actions] does for actions. A target is a table, by any of the
// names in changes.Options.Aliases, and its ID the key of a row whose key is one column.
//
// A term that only actions can answer, such as outcome:failure, is an [*Error] that wraps [ErrActionsOnly], also with a
// minus sign.
func (t Terms) Changes(now time.Time) (changes.Query, error) {
	if err := t.check(); err != nil {
		return changes.Query{}, err
	}
	for _, term := range t {
		if k, _ := find(term.Key); term.Key != "" && k.actions {
			e := term.wrong("asks for what no row change has")
			e.err = ErrActionsOnly
			e.Reason += ": " + e.err.Error()
			return changes.Query{}, e
		}
	}
	own, q, err := t.both(now)
	if err != nil {
		return changes.Query{}, err
	}
	sharedWithActions(&own, &q)
	for i := range q.Not {
		var not changes.Query
		sharedWithActions(&not, &q.Not[i])
		own.Not = append(own.Not, not)
	}
	return own, nil
}

// both splits terms that were checked into what only row changes have, and the rest.
func (t Terms) both(now time.Time) (own changes.Query, shared threadline.Query, err error) {
	all, owner := url.Values{}, map[string]Term{}
	for _, term := range t {
		k, _ := find(term.Key)
		switch {
		case term.Key == "":
			k = text
		case k.param == "" && term.Not:
			var not changes.Query
			term.onlyOfChanges(&not)
			own.Not = append(own.Not, not)
			continue
		case k.param == "":
			term.onlyOfChanges(&own)
			continue
		}
		values, wrong := term.values(k, now)
		if wrong != nil {
			return own, shared, wrong
		}
		for param := range values {
			all[param] = append(all[param], values[param]...)
			owner[param] = term
		}
	}
	shared, err = threadline.ParseQuery(all)
	var wrong *threadline.QueryError
	if errors.As(err, &wrong) {
		err = owner[wrong.Field].explain(err)
	}
	return own, shared, err
}

// onlyOfChanges adds a term that only row changes have.
func (t Term) onlyOfChanges(q *changes.Query) {
	switch t.Key {
	case "op":
		q.Ops = append(q.Ops, changes.Op(t.Value))
		return
	case "field":
		q.Fields = append(q.Fields, t.Value)
		return
	}
	side, field, _ := cutImage(t.Key)
	value := changes.FieldValue{Field: field, Text: t.Value}
	if side == "old" {
		q.Old = append(q.Old, value)
	} else {
		q.New = append(q.New, value)
	}
}

// sharedWithActions adds the filters that actions have, too.
func sharedWithActions(q *changes.Query, of *threadline.Query) {
	q.ActorType, q.ActorID, q.Unattributed = of.ActorType, of.ActorID, of.Unattributed
	q.TenantID, q.CorrelationID, q.RequestID = of.TenantID, of.CorrelationID, of.RequestID
	q.Text, q.From, q.To = of.Text, of.From, of.To
	if of.TargetType != "" {
		q.Tables = []string{of.TargetType}
	}
	if of.TargetID != "" {
		q.Key = []string{of.TargetID}
	}
}
