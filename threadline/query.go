package threadline

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Limits of a page, in actions.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

// Query says which actions are wanted. Filters are joined by "and"; an empty
// field filters nothing.
type Query struct {
	// ActorType alone means every actor of the type, with ActorID one actor.
	ActorType hooks.ActorType
	ActorID   string
	// Unattributed means the actions without a known actor.
	Unattributed bool
	// Action is a whole name, "order.refunded"; ActionPrefix its beginning,
	// "order.".
	Action       string
	ActionPrefix string
	// TargetType alone means every target of the type, with TargetID one target.
	TargetType string
	TargetID   string

	TenantID      string
	CorrelationID string
	RequestID     string
	Outcome       hooks.EventOutcome

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

// QueryError says which part of a query cannot be answered, and what to do.
type QueryError struct {
	Field  string // as in the query string that [ParseQuery] takes
	Reason string
}

// Error names the field.
func (e *QueryError) Error() string { return "threadline: query: " + e.Field + ": " + e.Reason }

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
		return &QueryError{"outcome", fmt.Sprintf("%q: use success, failure or error", q.Outcome)}
	}
	switch {
	case q.TargetID != "" && q.TargetType == "":
		return &QueryError{"target_id", "needs target_type: ids of different types may be equal"}
	case !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To):
		return &QueryError{"from", fmt.Sprintf("%s is not before to, %s: swap them, or leave one out",
			q.From.Format(time.RFC3339Nano), q.To.Format(time.RFC3339Nano))}
	case q.Limit < 0:
		return &QueryError{"limit", fmt.Sprintf("%d is negative", q.Limit)}
	}
	for _, f := range []struct{ name, value string }{
		{"actor", q.ActorID},
		{"target_type", q.TargetType},
		{"target_id", q.TargetID},
		{"tenant", q.TenantID},
		{"correlation_id", q.CorrelationID},
		{"request_id", q.RequestID},
	} {
		if strings.IndexByte(f.value, 0) >= 0 || !utf8.ValidString(f.value) {
			return &QueryError{f.name, "is not UTF-8 text without NUL, which no event contains"}
		}
	}
	return nil
}

func (q Query) validateActor() error {
	switch q.ActorType {
	case "":
		if q.ActorID != "" {
			return &QueryError{"actor", "an id needs a type, as in user:" + q.ActorID}
		}
		return nil
	case hooks.User, hooks.Admin, hooks.ServiceAccount, hooks.Job, hooks.System, hooks.Anonymous:
	default:
		return &QueryError{"actor", fmt.Sprintf("type %q: use user, admin, service_account, job, system, anonymous or %s", q.ActorType, Unattributed)}
	}
	if q.Unattributed {
		return &QueryError{"actor", Unattributed + " excludes every actor: leave out one of the two"}
	}
	return nil
}

func (q Query) validateAction() error {
	if q.Action != "" {
		e := hooks.Event{ID: uuid.Max, Action: q.Action, Outcome: hooks.Success}
		if hooks.Validate(e) != nil {
			return &QueryError{"action", fmt.Sprintf("%q is no action's whole name, such as order.refunded: use action_prefix for its beginning", q.Action)}
		}
	}
	outside := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '.'
	}
	switch {
	case strings.ContainsFunc(q.ActionPrefix, outside):
		return &QueryError{"action_prefix", fmt.Sprintf("%q: actions are of lower case letters, digits, _ and dots only", q.ActionPrefix)}
	case q.Action != "" && !strings.HasPrefix(q.Action, q.ActionPrefix):
		return &QueryError{"action_prefix", fmt.Sprintf("%q does not begin %q: leave out one of the two", q.ActionPrefix, q.Action)}
	}
	return nil
}

// condition is one filter, with a column on its left.
type condition struct {
	sql string // with ? for each argument
	arg []any
}

// conditions are the query's filters without its cursor. Times are as the
// dialect compares them.
func (q Query) conditions(at func(time.Time) any) []condition {
	var c []condition
	equal := func(column, value string) {
		if value != "" {
			c = append(c, condition{column + " = ?", []any{value}})
		}
	}
	switch {
	case q.ActorID != "":
		equal("actor_ref", ActorRef(hooks.Actor{Type: q.ActorType, ID: q.ActorID}))
	case q.Unattributed:
		c = append(c, condition{"actor_type IS NULL", nil})
	default:
		equal("actor_type", string(q.ActorType))
	}
	equal("name", q.Action)
	if p := q.ActionPrefix; p != "" {
		// Names sort by bytes, so a prefix is a range: up to the prefix with its
		// last byte raised by one, which is still ASCII.
		end := p[:len(p)-1] + string(rune(p[len(p)-1]+1))
		c = append(c, condition{"name >= ? AND name < ?", []any{p, end}})
	}
	equal("target_type", q.TargetType)
	equal("target_id", q.TargetID)
	equal("tenant_id", q.TenantID)
	equal("correlation_id", q.CorrelationID)
	equal("request_id", q.RequestID)
	equal("outcome", string(q.Outcome))
	if !q.From.IsZero() {
		c = append(c, condition{"recorded_at >= ?", []any{at(q.From)}})
	}
	if !q.To.IsZero() {
		c = append(c, condition{"recorded_at < ?", []any{at(q.To)}})
	}
	return c
}

// ceil rounds a bound up to what the table resolves, microseconds: a row is at
// or after t exactly if it is at or after ceil(t).
func ceil(t time.Time) time.Time {
	if f := t.Truncate(time.Microsecond); !f.Equal(t) {
		return f.Add(time.Microsecond).UTC()
	}
	return t.UTC()
}
