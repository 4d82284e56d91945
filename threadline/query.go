package threadline

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/internal/alias"
	"github.com/go-aftercommit/aftercommit/threadline/internal/paging"
)

// Limits of a page, in actions.
const (
	DefaultLimit = 50
	MaxLimit     = 500
	// MaxLooked is how many actions a page of a query with Text or Not looks at,
	// since no index knows which of them match. Such a page may have fewer actions
	// than its limit, or none, and yet a Next.
	MaxLooked = 2000
)

// Query says which actions are wanted. Filters are joined by "and"; an empty
// field filters nothing.
type Query struct {
	// ActorType alone means every actor of the type, with ActorID one actor.
	// ActorID alone means that ID whatever the type.
	ActorType hooks.ActorType
	ActorID   string
	// Unattributed means the actions without a known actor.
	Unattributed bool
	// Action is a whole name, "order.refunded"; ActionPrefix its beginning,
	// "order.".
	Action       string
	ActionPrefix string
	// TargetType alone means every target of the type, with TargetID one target.
	// The other names of the type in [Options.Aliases] are the same type.
	TargetType string
	TargetID   string
	// TargetTypes are several types, of which any will do. TargetType is another one.
	TargetTypes []string `json:",omitempty"`

	// Tx is a transaction, both its ID and its start. Its events are found by its contexts
	// (audit_contexts): not if they were delivered before the timeline had that table.
	Tx journal.TxKey `json:",omitzero"`

	TenantID      string
	CorrelationID string
	RequestID     string
	Outcome       hooks.EventOutcome

	// Text must occur, each of them, in the action's name, in the ID or name of its
	// actor or target, in whom it was for, in its reason or comment, or in a text or
	// number of its metadata. Upper and lower case are the same, on PostgreSQL as
	// the database's locale has it, on SQLite for the letters of ASCII.
	Text []string `json:",omitempty"`
	// Not leaves out what matches any of these. They have filters only: no times,
	// limit, cursor or Not.
	Not []Query `json:",omitempty"`

	// From and To bound RecordedAt: from From on, before To. A zero time is no
	// bound.
	From time.Time
	To   time.Time

	// Limit is the size of a page, [DefaultLimit] if zero and at most
	// [MaxLimit]. For [Store.Each] it is the size of the whole, without a
	// maximum, and zero means all.
	Limit int
	// Cursor is the Next of the page before, and belongs to its filters.
	Cursor string
}

// QueryError says which part of a query cannot be answered, and what to do. Its Field is as in the
// query string that [ParseQuery] takes.
type QueryError = paging.QueryError

// validate refuses what could only return nothing, or not what was meant.
func (q Query) validate() error {
	if err := q.validateActor(); err != nil {
		return err
	}
	if err := q.validateAction(); err != nil {
		return err
	}
	switch q.Outcome {
	case "", hooks.Success, hooks.Failure, hooks.Errored:
	default:
		return &QueryError{Field: "outcome", Reason: fmt.Sprintf("%q: use success, failure or error", q.Outcome)}
	}
	switch {
	case q.TargetID != "" && q.TargetType == "" && len(q.TargetTypes) == 0:
		return &QueryError{Field: "target_id", Reason: "needs target_type: ids of different types may be equal"}
	case slices.Contains(q.TargetTypes, ""):
		return &QueryError{Field: "target_type", Reason: "is empty: leave it out"}
	case (q.Tx.ID != 0) == q.Tx.StartedAt.IsZero():
		return &QueryError{Field: "transaction", Reason: "needs both its ID and its start: a restored database counts IDs anew"}
	case !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To):
		return &QueryError{Field: "from", Reason: fmt.Sprintf("%s is not before to, %s: swap them, or leave one out",
			q.From.Format(time.RFC3339Nano), q.To.Format(time.RFC3339Nano))}
	case q.Limit < 0:
		return &QueryError{Field: "limit", Reason: fmt.Sprintf("%d is negative", q.Limit)}
	}
	for _, f := range []struct{ name, value string }{
		{"actor", q.ActorID},
		{"target_type", strings.Join(append([]string{q.TargetType}, q.TargetTypes...), " ")},
		{"target_id", q.TargetID},
		{"tenant", q.TenantID},
		{"correlation_id", q.CorrelationID},
		{"request_id", q.RequestID},
	} {
		if strings.IndexByte(f.value, 0) >= 0 || !utf8.ValidString(f.value) {
			return &QueryError{Field: f.name, Reason: "is not UTF-8 text without NUL, which no event contains"}
		}
	}
	if err := q.validateText(); err != nil {
		return err
	}
	return q.validateNot()
}

func (q Query) validateText() error {
	for _, text := range q.Text {
		switch {
		case text == "":
			return &QueryError{Field: "text", Reason: "is empty, and would be found in every action"}
		case strings.ContainsAny(text, "\x00"+between) || !utf8.ValidString(text):
			return &QueryError{Field: "text", Reason: "is not UTF-8 text without NUL and U+001F"}
		}
	}
	return nil
}

func (q Query) validateNot() error {
	for _, n := range q.Not {
		switch {
		case !n.From.IsZero() || !n.To.IsZero() || n.Limit != 0 || n.Cursor != "" || n.Not != nil:
			return &QueryError{Field: "not", Reason: "has a time, limit, cursor or not of its own: only filters can be negated"}
		case len(n.conditions(sqlite{}, alias.Names{})) == 0:
			return &QueryError{Field: "not", Reason: "is empty, and would leave out every action"}
		}
		if err := n.validate(); err != nil {
			var field *QueryError
			if errors.As(err, &field) {
				return &QueryError{Field: "-" + field.Field, Reason: field.Reason}
			}
			return err
		}
	}
	return nil
}

func (q Query) validateActor() error {
	switch q.ActorType {
	case "":
		if q.ActorID != "" && q.Unattributed {
			return &QueryError{Field: "actor", Reason: Unattributed + " excludes every actor: leave out one of the two"}
		}
		return nil
	case hooks.User, hooks.Admin, hooks.ServiceAccount, hooks.Job, hooks.System, hooks.Anonymous:
	default:
		return &QueryError{Field: "actor", Reason: fmt.Sprintf("type %q: use user, admin, service_account, job, system, anonymous or %s", q.ActorType, Unattributed)}
	}
	if q.Unattributed {
		return &QueryError{Field: "actor", Reason: Unattributed + " excludes every actor: leave out one of the two"}
	}
	return nil
}

func (q Query) validateAction() error {
	if q.Action != "" {
		e := hooks.Event{ID: uuid.Max, Action: q.Action, Outcome: hooks.Success}
		if hooks.Validate(e) != nil {
			return &QueryError{Field: "action", Reason: fmt.Sprintf("%q is no action's whole name, such as order.refunded: use action_prefix for its beginning", q.Action)}
		}
	}
	outside := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '.'
	}
	switch {
	case strings.ContainsFunc(q.ActionPrefix, outside):
		return &QueryError{Field: "action_prefix", Reason: fmt.Sprintf("%q: actions are of lower case letters, digits, _ and dots only", q.ActionPrefix)}
	case q.Action != "" && !strings.HasPrefix(q.Action, q.ActionPrefix):
		return &QueryError{Field: "action_prefix", Reason: fmt.Sprintf("%q does not begin %q: leave out one of the two", q.ActionPrefix, q.Action)}
	}
	return nil
}

// between is what separates the texts that Text is looked for in.
const between = "\x1f"

// actorTypes are all there are, for an ID without a type.
var actorTypes = [...]hooks.ActorType{hooks.User, hooks.Admin, hooks.ServiceAccount, hooks.Job, hooks.System, hooks.Anonymous}

// condition is one filter, with a column on its left.
type condition struct {
	sql string // with ? for each argument
	arg []any
	// column is set where sql is "column IN (?, …)" and an index has the rows of each
	// argument in order.
	column string
}

// filters are what the query wants, without its times and its cursor.
func (q Query) filters(d dialect, names alias.Names) []condition {
	var c []condition
	equal := func(column, value string) {
		if value != "" {
			c = append(c, condition{sql: column + " = ?", arg: []any{value}})
		}
	}
	if types := q.targetTypes(names); len(types) > 0 {
		c = append(c, oneOf("target_type", types))
		if q.TargetID == "" {
			c[0].column = "" // the index's order within a type is that of the ids
		}
	}
	equal("target_id", q.TargetID)
	switch {
	case q.ActorID != "" && q.ActorType == "":
		refs := make([]string, len(actorTypes))
		for i, t := range actorTypes {
			refs[i] = ActorRef(hooks.Actor{Type: t, ID: q.ActorID})
		}
		c = append(c, oneOf("actor_ref", refs))
	case q.ActorID != "":
		equal("actor_ref", ActorRef(hooks.Actor{Type: q.ActorType, ID: q.ActorID}))
	case q.Unattributed:
		c = append(c, condition{sql: "actor_type IS NULL"})
	default:
		equal("actor_type", string(q.ActorType))
	}
	equal("name", q.Action)
	if p := q.ActionPrefix; p != "" {
		// Names sort by bytes, so a prefix is a range: up to the prefix with its
		// last byte raised by one, which is still ASCII.
		end := p[:len(p)-1] + string(rune(p[len(p)-1]+1))
		c = append(c, condition{sql: "name >= ? AND name < ?", arg: []any{p, end}})
	}
	equal("tenant_id", q.TenantID)
	equal("correlation_id", q.CorrelationID)
	equal("request_id", q.RequestID)
	equal("outcome", string(q.Outcome))
	if q.Tx.ID != 0 {
		c = append(c, d.ofTx(q.Tx))
	}
	if !q.From.IsZero() {
		c = append(c, condition{sql: "recorded_at >= ?", arg: []any{d.moment(q.From)}})
	}
	if !q.To.IsZero() {
		c = append(c, condition{sql: "recorded_at < ?", arg: []any{d.moment(q.To)}})
	}
	return c
}

// targetTypes are all names of the types that the query means.
func (q Query) targetTypes(names alias.Names) (types []string) {
	for _, t := range append([]string{q.TargetType}, q.TargetTypes...) {
		if t != "" {
			types = append(types, names.As(t)...)
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// looked are the filters that must look at the action.
func (q Query) looked(d dialect, names alias.Names) []condition {
	var c []condition
	for _, text := range q.Text {
		sql := d.contains()
		c = append(c, condition{sql: sql, arg: slices.Repeat([]any{text}, strings.Count(sql, "?"))})
	}
	for _, n := range q.Not {
		var not condition
		for _, part := range n.conditions(d, names) {
			if not.sql != "" {
				not.sql += " AND "
			}
			not.sql += part.sql
			not.arg = append(not.arg, part.arg...)
		}
		not.sql = "(" + not.sql + ") IS NOT TRUE" // also where a column is null
		c = append(c, not)
	}
	return c
}

// conditions are all filters of the query, without its cursor.
func (q Query) conditions(d dialect, names alias.Names) []condition {
	return append(q.filters(d, names), q.looked(d, names)...)
}

// oneOf selects the rows whose column has one of the values.
func oneOf(column string, values []string) condition {
	c := condition{sql: column + " = ?"}
	if len(values) > 1 {
		c = condition{sql: column + " IN (?" + strings.Repeat(", ?", len(values)-1) + ")", column: column}
	}
	for _, v := range values {
		c.arg = append(c.arg, v)
	}
	return c
}

// texts are the texts of all filters, one after the other.
func (q Query) texts() string {
	all := q.ActorID + q.TargetType + strings.Join(q.TargetTypes, "") + q.TargetID + q.TenantID + q.CorrelationID + q.RequestID + strings.Join(q.Text, "")
	for _, n := range q.Not {
		all += n.texts()
	}
	return all
}

// ceil rounds a bound up to what the table resolves, microseconds: a row is at
// or after t exactly if it is at or after ceil(t).
func ceil(t time.Time) time.Time {
	if f := t.Truncate(time.Microsecond); !f.Equal(t) {
		return f.Add(time.Microsecond).UTC()
	}
	return t.UTC()
}
