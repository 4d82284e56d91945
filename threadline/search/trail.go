package search

import (
	"time"

	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// Trail returns the query for actions and row changes together, as [Terms.Actions] does for actions. With a term that only
// one kind can match, all items are of that kind; with a minus sign it leaves the other kind in: outcome:failure finds only
// actions, -outcome:failure also all row changes. Two terms that no item can match together are an [*Error].
func (t Terms) Trail(now time.Time) (trail.Query, error) {
	if err := t.check(); err != nil {
		return trail.Query{}, err
	}
	var ofActions, ofChanges *Term
	for i := range t {
		k, _ := find(t[i].Key)
		switch {
		case t[i].Key == "" || t[i].Not:
			continue
		case k.actions:
			ofActions = &t[i]
		case k.param == "":
			ofChanges = &t[i]
		default:
			continue
		}
		if ofActions != nil && ofChanges != nil {
			other := ofActions
			if other == &t[i] {
				other = ofChanges
			}
			return trail.Query{}, t[i].wrong("finds nothing beside " + other.String() + ": no row change has an action or an outcome, and no action an operation or a field: leave out one of the two")
		}
	}
	own, shared, err := t.both(now)
	if err != nil {
		return trail.Query{}, err
	}
	q := together(&own, &shared)
	for i := range shared.Not {
		q.Not = append(q.Not, together(&changes.Query{}, &shared.Not[i]))
	}
	for i := range own.Not {
		q.Not = append(q.Not, together(&own.Not[i], &threadline.Query{}))
	}
	return q, nil
}

// together joins what only row changes have with the rest.
func together(own *changes.Query, shared *threadline.Query) trail.Query {
	q := trail.Query{
		ActorType: shared.ActorType, ActorID: shared.ActorID, Unattributed: shared.Unattributed,
		TenantID: shared.TenantID, CorrelationID: shared.CorrelationID, RequestID: shared.RequestID,
		Action: shared.Action, ActionPrefix: shared.ActionPrefix, Outcome: shared.Outcome,
		Text: shared.Text, From: shared.From, To: shared.To,
		Ops: own.Ops, Fields: own.Fields, Old: own.Old, New: own.New,
	}
	if shared.TargetType != "" {
		q.Tables = []string{shared.TargetType}
	}
	if shared.TargetID != "" {
		q.Key = []string{shared.TargetID}
	}
	return q
}
