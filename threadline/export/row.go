package export

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// Row is an item as a row of a table, for CSV and Parquet. An empty text means that the item has no such value. The JSON names are
// those of the columns.
type Row struct {
	Kind       Kind       `json:"kind"`
	ID         string     `json:"id"`
	Time       time.Time  `json:"time"`        // when it was recorded, or captured, by the database's clock: the order
	OccurredAt *time.Time `json:"occurred_at"` // of an action, by the app's clock
	// Who is the actor, for people: user:42. For a row change it is all actors of its transaction, or else what is known of the session.
	Who string `json:"who"`
	// ActorType to UserAgent are an action's own. For a row change they come from the events of its transaction, each if all events
	// that have a value have the same.
	ActorType     string `json:"actor_type"`
	ActorID       string `json:"actor_id"`
	ActorName     string `json:"actor_name"`
	OnBehalfOf    string `json:"on_behalf_of"`
	TenantID      string `json:"tenant_id"`
	RequestID     string `json:"request_id"`
	CorrelationID string `json:"correlation_id"`
	CausationID   string `json:"causation_id"`
	JobID         string `json:"job_id"`
	IPAddress     string `json:"ip_address"`
	UserAgent     string `json:"user_agent"`
	// Action to Unreadable are only set for actions.
	Action     string `json:"action"`
	Outcome    string `json:"outcome"`
	TargetType string `json:"target_type"`
	TargetID   string `json:"target_id"`
	TargetName string `json:"target_name"`
	Reason     string `json:"reason"`
	Comment    string `json:"comment"`
	Metadata   string `json:"metadata"` // JSON
	Captured   bool   `json:"captured"` // the driver has made it from a statement
	Unreadable string `json:"unreadable"`
	// Op to ForeignKey are only set for row changes.
	Op         string `json:"op"`
	Schema     string `json:"schema"`
	Table      string `json:"table"`
	Key        string `json:"key"`        // a list in JSON: ["42"]
	FormerKey  string `json:"former_key"` // a list in JSON, if the change has changed the key
	Changed    string `json:"changed"`    // for people: status: new → paid; total: 1.00 → 2.00
	Fields     string `json:"fields"`     // in JSON, as in changes.Diff
	State      string `json:"state"`      // what is known of the transaction's events: changes.State
	Drifted    bool   `json:"drifted"`
	Nested     bool   `json:"nested"`
	ForeignKey string `json:"foreign_key"`
	// The session, and the transaction.
	Application string     `json:"application"`
	Host        string     `json:"host"`
	Role        string     `json:"role"`
	Client      string     `json:"client"`
	TxID        string     `json:"tx_id"` // in decimal
	TxStartedAt *time.Time `json:"tx_started_at"`
}

// RowOf returns the item as a row.
func RowOf(e Entry) (Row, error) {
	r := Row{Kind: e.kind(), ID: e.ID.String(), Time: e.Time().UTC(), Who: e.Who()}
	if tx := e.Tx(); tx.ID != 0 {
		r.TxID, r.TxStartedAt = strconv.FormatInt(tx.ID, 10), timeOf(tx.StartedAt)
	}
	if e.Action != nil {
		return r, r.action(e)
	}
	return r, r.change(e.Change)
}

func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (r *Row) action(e Entry) (err error) {
	a := e.Action
	r.OccurredAt = timeOf(a.OccurredAt)
	r.ActorType, r.ActorID, r.ActorName, r.OnBehalfOf = string(a.Actor.Type), a.Actor.ID, a.Actor.Name, a.Actor.OnBehalfOf
	r.TenantID, r.RequestID, r.CorrelationID, r.CausationID, r.JobID = a.TenantID, a.RequestID, a.CorrelationID, a.CausationID, a.JobID
	r.IPAddress, r.UserAgent = a.IPAddress, a.UserAgent
	r.Action, r.Outcome = a.Action, string(a.Outcome)
	r.TargetType, r.TargetID, r.TargetName = a.Target.Type, a.Target.ID, a.Target.Name
	r.Reason, r.Comment, r.Captured, r.Unreadable = a.Reason, a.Comment, a.Captured, a.Unreadable
	r.Application, r.Host, r.Role = a.Application, a.Host, a.Role
	if a.Metadata != nil {
		r.Metadata, err = text(a.Metadata)
	}
	return err
}

func (r *Row) change(c *changes.Change) (err error) {
	d := c.Diff()
	r.Op, r.Schema, r.Table = string(d.Op), d.Schema, d.Table
	r.Drifted, r.Nested, r.ForeignKey = d.Drifted, d.Nested, d.ForeignKey
	parts := make([]string, len(d.Fields))
	for i, f := range d.Fields {
		parts[i] = f.String()
	}
	r.Changed = strings.Join(parts, "; ")
	by := c.By
	r.State, r.Role, r.Application, r.Client = string(by.State), by.Origin.Role, by.Origin.Application, by.Origin.Client
	r.who(by)
	if d.Key != nil {
		if r.Key, err = text(d.Key); err != nil {
			return err
		}
	}
	if d.FormerKey != nil {
		if r.FormerKey, err = text(d.FormerKey); err != nil {
			return err
		}
	}
	r.Fields, err = text(d.Fields)
	return err
}

func (r *Row) who(by *changes.Attribution) {
	if actors := by.Actors(); len(actors) == 1 {
		a := actors[0]
		r.ActorType, r.ActorID, r.ActorName, r.OnBehalfOf = string(a.Type), a.ID, a.Name, a.OnBehalfOf
	}
	for to, of := range map[*string]func(*changes.Context) string{
		&r.TenantID:      func(c *changes.Context) string { return c.TenantID },
		&r.RequestID:     func(c *changes.Context) string { return c.RequestID },
		&r.CorrelationID: func(c *changes.Context) string { return c.CorrelationID },
		&r.JobID:         func(c *changes.Context) string { return c.JobID },
		&r.IPAddress:     func(c *changes.Context) string { return c.IPAddress },
		&r.UserAgent:     func(c *changes.Context) string { return c.UserAgent },
		&r.Host:          func(c *changes.Context) string { return c.Host },
	} {
		*to = commonValue(by, of)
	}
}

// commonValue returns the value that all contexts which have one share, "" if they differ.
func commonValue(by *changes.Attribution, of func(*changes.Context) string) (one string) {
	for i := range by.Contexts {
		switch value := of(&by.Contexts[i]); {
		case value == "" || value == one:
		case one == "":
			one = value
		default:
			return ""
		}
	}
	return one
}

func text(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}
