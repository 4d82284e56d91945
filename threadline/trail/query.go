package trail

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/internal/paging"
)

// Limits of a page, in items.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

// Query says which items are wanted. Filters are joined by "and"; an empty field filters nothing. Those that both kinds
// have mean what they mean in [threadline.Query] and [changes.Query].
type Query struct {
	// ActorType alone means every actor of the type, with ActorID one actor. ActorID alone means that ID
	// whatever the type. A row change is found by each actor of its transaction.
	ActorType hooks.ActorType `json:"actor_type,omitempty"`
	ActorID   string          `json:"actor_id,omitempty"`
	// Unattributed means items without a known actor.
	Unattributed  bool   `json:"unattributed,omitempty"`
	TenantID      string `json:"tenant_id,omitempty"`
	CorrelationID string `json:"correlation_id,omitempty"`
	RequestID     string `json:"request_id,omitempty"`
	// Tx is a transaction, both its ID and its start ([Item.Tx]). On SQLite the ID alone identifies it, and the start may be
	// any time but the zero one.
	Tx journal.TxKey `json:"tx,omitzero"`

	// Tables are names of tables, alone or after the schema's: orders, shop.orders. Any will do. Actions are found by
	// their target's type. Other names in the Aliases of the two stores are the same name: give both the same.
	Tables []string `json:"tables,omitempty"`
	// Key is the key of a row, which the row has after the change or had before it; of actions it is the target's ID. It
	// needs Tables. A key of several columns leaves only row changes.
	Key []string `json:"key,omitempty"`
	// Text must occur, each of them: of an action in a name, an ID, the reason, the comment or the metadata; of a row
	// change in a table's name, a key or a value.
	Text []string `json:"text,omitempty"`

	// Action is a whole name, ActionPrefix its beginning. These and Outcome leave only actions.
	Action       string             `json:"action,omitempty"`
	ActionPrefix string             `json:"action_prefix,omitempty"`
	Outcome      hooks.EventOutcome `json:"outcome,omitempty"`

	// Schema is a table's, and together with Tables also that of a target's type. Alone it leaves only row changes,
	// as do operations, changed fields and values of fields.
	Schema string               `json:"schema,omitempty"`
	Ops    []changes.Op         `json:"ops,omitempty"`
	Fields []string             `json:"fields,omitempty"`
	Old    []changes.FieldValue `json:"old,omitempty"`
	New    []changes.FieldValue `json:"new,omitempty"`

	// Not leaves out what matches any of these. They have filters only: no times, limit, cursor or Not.
	Not []Query `json:"not,omitempty"`

	// From and To bound [Item.Time]: from From on, before To. A zero time is no bound.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`

	// Limit is the size of a page, [DefaultLimit] if zero and at most [MaxLimit]. For [Reader.Each] it is the
	// size of the whole, without a maximum, and zero means all.
	Limit int `json:"limit,omitempty"`
	// Cursor is the Next of the page before, and belongs to its filters. It stays good in a database
	// that was restored from a dump.
	Cursor string `json:"cursor,omitempty"`
}

// QueryError says which part of a query cannot be answered, and what to do. Its Field is the key of
// package search, where there is one.
type QueryError = paging.QueryError

func refuse(field, format string, args ...any) error {
	return paging.Refuse("trail", field, fmt.Sprintf(format, args...))
}

// kind says what items may be: actions, row changes or both.
type kind struct{ actions, changes bool }

func (k kind) none() bool { return !k.actions && !k.changes }

// kind returns what items the filters can match.
func (q *Query) kind() kind {
	onlyActions := q.Action != "" || q.ActionPrefix != "" || q.Outcome != ""
	onlyChanges := len(q.Ops)+len(q.Fields)+len(q.Old)+len(q.New) > 0 || q.Schema != "" && len(q.Tables) == 0 || len(q.Key) > 1
	return kind{actions: !onlyChanges, changes: !onlyActions}
}

func (q *Query) validate() error {
	if q.kind().none() {
		return refuse(q.ofActions(), "is of actions only, and other filters are of row changes only: no item matches both")
	}
	if len(q.Key) > 0 && len(q.Tables) == 0 {
		return refuse("key", "needs a table: rows of different tables may have the same")
	}
	if q.Limit < 0 {
		return refuse("limit", "%d is negative", q.Limit)
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return refuse("after", "%s is not before To, %s: swap them, or leave one out", q.From.Format(time.RFC3339Nano), q.To.Format(time.RFC3339Nano))
	}
	for i := range q.Not {
		n := &q.Not[i]
		switch {
		case !n.From.IsZero() || !n.To.IsZero() || n.Limit != 0 || n.Cursor != "" || n.Not != nil:
			return refuse("not", "has a time, limit, cursor or not of its own: only filters can be negated")
		case n.empty():
			return refuse("not", "is empty, and would leave out everything")
		}
		if err := n.validate(); err != nil {
			return negated(err)
		}
	}
	return nil
}

// ofActions names a filter that only actions have.
func (q *Query) ofActions() string {
	switch {
	case q.Action != "":
		return "action"
	case q.ActionPrefix != "":
		return "action_prefix"
	}
	return "outcome"
}

// ofChanges names a filter that only row changes have, "" if there is none.
func (q *Query) ofChanges() string {
	switch {
	case q.kind().actions:
		return ""
	case len(q.Ops) > 0:
		return "op"
	case len(q.Fields) > 0:
		return "field"
	case len(q.Old) > 0:
		return "old"
	case len(q.New) > 0:
		return "new"
	case len(q.Key) > 1:
		return "key"
	}
	return "schema"
}

func (q *Query) empty() bool {
	return q.ActorType == "" && q.ActorID == "" && !q.Unattributed && q.TenantID == "" && q.CorrelationID == "" && q.RequestID == "" &&
		q.Tx == journal.TxKey{} && len(q.Tables)+len(q.Key)+len(q.Text) == 0 && q.kind() == kind{true, true}
}

func negated(err error) error {
	var field *QueryError
	if errors.As(err, &field) {
		return refuse("-"+field.Field, "%s", field.Reason)
	}
	return err
}

// allFilters are the query but where its page begins and ends.
func (q *Query) allFilters() Query {
	f := *q
	f.Limit, f.Cursor = 0, ""
	f.From, f.To, f.Tx.StartedAt = f.From.UTC(), f.To.UTC(), f.Tx.StartedAt.UTC()
	return f
}

// actions returns the query for actions. names are the schemas and names of captured tables.
func (q *Query) actions(names [][2]string) threadline.Query {
	a := threadline.Query{
		ActorType: q.ActorType, ActorID: q.ActorID, Unattributed: q.Unattributed,
		Action: q.Action, ActionPrefix: q.ActionPrefix, TargetTypes: q.targetTypes(names),
		Tx: q.Tx, TenantID: q.TenantID, CorrelationID: q.CorrelationID, RequestID: q.RequestID, Outcome: q.Outcome,
		Text: q.Text, From: q.From.UTC(), To: q.To.UTC(),
	}
	if len(q.Key) == 1 {
		a.TargetID = q.Key[0]
	}
	for i := range q.Not {
		if n := &q.Not[i]; n.kind().actions {
			a.Not = append(a.Not, n.actions(names))
		}
	}
	return a
}

// targetTypes returns the types of targets that mean q.Tables: themselves, and what captured events call the tables.
func (q *Query) targetTypes(names [][2]string) (types []string) {
	for _, t := range q.Tables {
		if q.Schema != "" && !strings.Contains(t, ".") {
			types = append(types, targetType(q.Schema, t))
			continue
		}
		types = append(types, t)
		if schema, table, ok := strings.Cut(t, "."); ok {
			types = append(types, targetType(schema, table))
		}
		for _, n := range names {
			if n[1] == t {
				types = append(types, targetType(n[0], n[1]))
			}
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// targetType returns what captured events call a table: its name after the schema's, unless that is the default one.
func targetType(schema, table string) string {
	if schema == "public" || schema == "main" {
		return table
	}
	return schema + "." + table
}

// changes returns the query for row changes.
func (q *Query) changes() changes.Query {
	c := changes.Query{
		Tables: q.Tables, Schema: q.Schema, Key: q.Key, XID: q.Tx.ID, TxStartedAt: q.Tx.StartedAt.UTC(),
		Ops: q.Ops, Fields: q.Fields, Old: q.Old, New: q.New, Text: q.Text,
		ActorType: q.ActorType, ActorID: q.ActorID, Unattributed: q.Unattributed,
		TenantID: q.TenantID, CorrelationID: q.CorrelationID, RequestID: q.RequestID,
		From: q.From.UTC(), To: q.To.UTC(),
	}
	for i := range q.Not {
		if n := &q.Not[i]; n.kind().changes {
			c.Not = append(c.Not, n.changes())
		}
	}
	return c
}
