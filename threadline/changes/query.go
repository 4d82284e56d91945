package changes

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/internal/paging"
)

// Limits of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 500
	// MaxLooked is how many changes a page looks at, since no index knows which of them match. Only
	// Tables, Schema, Key, From, To and the transaction have indexes, and on PostgreSQL, with the newest first, ActorID,
	// CorrelationID and RequestID. A page of a query with other filters may have fewer changes than its limit, or none,
	// and yet a Next.
	MaxLooked = 2000
	// MaxBytes is how many bytes of keys and values a page looks at before it ends, whatever its limit. It may
	// have up to twice as many.
	MaxBytes = 8 << 20
)

// Query says which changes are wanted. Filters are joined by "and"; an empty field filters nothing.
type Query struct {
	// Tables are names, as they are and without quotation marks, alone or after the schema's:
	// orders, shop.orders. Any will do. A table is found by each name under which it was captured, so
	// that its changes from before a rename are among them, and so are those of another table that
	// had the name earlier. The other names in [Options.Aliases] are the same name. One that no captured
	// table ever had is an error, but not in Not.
	Tables []string
	// Schema is one that the table has, or had.
	Schema string
	// Key is that of a row, which the row has after the change or had before it. Its values may be written in other forms than
	// PostgreSQL prints them, as for [Store.History]; on SQLite a number may be written in any way. It needs Tables: rows of different
	// tables may have the same. TRUNCATEs, and changes whose key is not known, are not found; [Store.History] has them, and follows the
	// row to its former keys. A key that no row of the tables can have is an error ([ErrKey], [ErrNoKey]), but not in Not.
	Key []string
	// XID and TxStartedAt are a transaction's, as in [Change]. On SQLite the XID alone identifies it, and TxStartedAt may
	// be any time but the zero one.
	XID         int64
	TxStartedAt time.Time

	// Ops are operations. Any will do.
	Ops []Op
	// Fields must all have changed: an insert gives a field its first value, an update another one, and a delete removes
	// the last one. Masked fields are found, too.
	Fields []string
	// Old are values that fields had before the change, and New values that they have since; all must match. Of an
	// update only the fields that have changed are known. A text is compared byte by byte with [Value.Text], which is
	// what PostgreSQL prints: a boolean is t or f. What was masked, hashed or shortened matches nothing. If Tables have always masked the
	// field, that is a [*QueryError].
	Old, New []FieldValue
	// Text are texts of which each must occur: in a name of the table, in the row's key or former key, or in a value. Case
	// does not matter. Values that were masked, hashed or shortened are not searched.
	Text []string

	// ActorType alone means every actor of the type, with ActorID one actor. ActorID alone means that ID
	// whatever the type. A transaction of several actors is found by each.
	ActorType hooks.ActorType
	ActorID   string
	// Unattributed means the changes of transactions without a known actor: see [State].
	Unattributed bool
	// TenantID, CorrelationID and RequestID are those of the transaction's events. One of [Attribution.Contexts] has to
	// have them all, and the actor.
	TenantID, CorrelationID, RequestID string

	// Not leaves out what matches any of these. They have filters only: no times, order, limit, cursor or Not.
	Not []Query

	// From and To bound Change.CapturedAt: from From on, before To. A zero time is no bound.
	From, To time.Time
	// OldestFirst turns the order around, and leaves out, at the end, what is not settled: see [Page].
	OldestFirst bool

	// Limit is the size of a page, [DefaultLimit] if zero and at most [MaxLimit]. For [Store.Each] it is the
	// size of the whole, without a maximum, and zero means all.
	Limit int
	// Cursor is the Next or Follow of the page before, and belongs to its filters. It stays good in a database
	// that was restored from a dump.
	Cursor string
}

// FieldValue is a field with a value.
type FieldValue struct {
	Field string `json:"field"`
	Text  string `json:"text"`
	Null  bool   `json:"null,omitempty"` // the value is NULL, and Text is ""
}

// QueryError says which part of a query cannot be answered, and what to do. Its Field is the key of
// package search, where there is one.
type QueryError = paging.QueryError

func refuse(field, format string, args ...any) *QueryError {
	return paging.Refuse("changes", field, fmt.Sprintf(format, args...))
}

// validate refuses what could only return nothing, or not what was meant.
func (q *Query) validate() error {
	if err := errors.Join(q.validateWho(), q.validatePlace()); err != nil {
		return firstOf(err)
	}
	for _, op := range q.Ops {
		if !slices.Contains([]Op{Insert, Update, Delete, Truncate}, op) {
			return refuse("op", "%q: use insert, update, delete or truncate", op)
		}
	}
	for _, field := range q.Fields {
		if field == "" {
			return refuse("field", "is empty: leave it out")
		}
	}
	for side, values := range map[string][]FieldValue{"old": q.Old, "new": q.New} {
		for _, v := range values {
			switch {
			case v.Field == "":
				return refuse(side, "has a value of no field: name it")
			case v.Null && v.Text != "":
				return refuse(side+"."+v.Field, "is NULL and %q: leave out one of the two", v.Text)
			}
		}
	}
	for _, text := range q.Text {
		if text == "" {
			return refuse("text", "is empty, and would be found in every change")
		}
	}
	for field, texts := range q.texts() {
		for _, text := range texts {
			if strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text) {
				return refuse(field, "is not UTF-8 text without NUL, which no change contains")
			}
		}
	}
	return q.validateNot()
}

// texts are all texts of the filters, by the part of the query.
func (q *Query) texts() map[string][]string {
	texts := map[string][]string{
		"table": append([]string{q.Schema}, q.Tables...), "key": q.Key, "field": q.Fields, "text": q.Text,
		"actor": {q.ActorID}, "tenant": {q.TenantID}, "correlation": {q.CorrelationID}, "request": {q.RequestID},
	}
	for side, values := range map[string][]FieldValue{"old": q.Old, "new": q.New} {
		for _, v := range values {
			texts[side] = append(texts[side], v.Field, v.Text)
		}
	}
	return texts
}

// validatePlace is about where to look.
func (q *Query) validatePlace() error {
	switch {
	case len(q.Key) > 0 && len(q.Tables) == 0:
		return refuse("key", "needs a table: rows of different tables may have the same")
	case slices.Contains(q.Tables, ""):
		return refuse("table", "is empty: leave it out")
	case (q.XID != 0) == q.TxStartedAt.IsZero():
		return refuse("transaction", "needs both XID and TxStartedAt: a restored database counts XIDs anew")
	case !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To):
		return refuse("after", "%s is not before To, %s: swap them, or leave one out", q.From.Format(time.RFC3339Nano), q.To.Format(time.RFC3339Nano))
	case q.Limit < 0:
		return refuse("limit", "%d is negative", q.Limit)
	}
	for field, t := range map[string]time.Time{"after": q.From, "before": q.To, "transaction": q.TxStartedAt} {
		if year := t.UTC().Year(); year < 1 || year > 9998 {
			return refuse(field, "%s is outside the years 1 to 9998", t)
		}
	}
	return nil
}

func (q *Query) validateWho() error {
	if q.Unattributed && (q.ActorType != "" || q.ActorID != "") {
		return refuse("actor", "unattributed excludes every actor: leave out one of the two")
	}
	switch q.ActorType {
	case "", hooks.User, hooks.Admin, hooks.ServiceAccount, hooks.Job, hooks.System, hooks.Anonymous:
		return nil
	}
	return refuse("actor", "type %q: use user, admin, service_account, job, system, anonymous or unattributed", q.ActorType)
}

func (q *Query) validateNot() error {
	for i := range q.Not {
		n := &q.Not[i]
		switch {
		case !n.From.IsZero() || !n.To.IsZero() || n.OldestFirst || n.Limit != 0 || n.Cursor != "" || n.Not != nil:
			return refuse("not", "has a time, order, limit, cursor or not of its own: only filters can be negated")
		case !n.filters():
			return refuse("not", "is empty, and would leave out every change")
		}
		if err := negated(n.validate()); err != nil {
			return err
		}
	}
	return nil
}

// negated is an error of a query in Not.
func negated(err error) error {
	var field *QueryError
	if errors.As(err, &field) {
		return refuse("-"+field.Field, "%s", field.Reason)
	}
	return err
}

// firstOf is the first of joined errors.
func firstOf(err error) error {
	var one *QueryError
	if errors.As(err, &one) {
		return one
	}
	return err
}

// asksWho reports whether the query's own filters need the transaction's attribution.
func (q *Query) asksWho() bool {
	return q.ActorType != "" || q.ActorID != "" || q.Unattributed || q.TenantID != "" || q.CorrelationID != "" || q.RequestID != ""
}

// looks reports whether there are filters that no index has, so that they have to look at each change.
func (q *Query) looks() bool {
	return q.asksWho() || len(q.Ops)+len(q.Fields)+len(q.Old)+len(q.New)+len(q.Text)+len(q.Not) > 0
}

// filters reports whether there are any.
func (q *Query) filters() bool {
	return q.looks() || len(q.Tables)+len(q.Key) > 0 || q.Schema != "" || q.XID != 0
}
