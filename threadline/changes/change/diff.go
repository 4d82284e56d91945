package change

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

// Diff is a change, field by field, in a form for other programs. Its JSON only ever gets more members:
//
//	{
//	  "op": "update", "schema": "public", "table": "orders", "key": ["42"],
//	  "xid": "775", "tx_started_at": "2026-11-30T10:00:00.000001Z", "captured_at": "2026-11-30T10:00:00.000002Z",
//	  "by": {"state": "recorded", "actors": [{"type": "user", "id": "alice"}]},
//	  "fields": [
//	    {"name": "status", "type": "text", "old": {"kind": "value", "text": "new"}, "new": {"kind": "value", "text": "paid"}}
//	  ]
//	}
//
// Members that are empty or false are left out, except fields, text, and key, which is null where it is not known.
type Diff struct {
	Op        Op       `json:"op"`
	Schema    string   `json:"schema"`
	Table     string   `json:"table"`
	Key       []string `json:"key"`
	FormerKey []string `json:"former_key,omitempty"`
	// XID is in decimal, as a text: programs that read numbers as floating point lose digits above 2^53.
	XID         string      `json:"xid"`
	TxStartedAt string      `json:"tx_started_at"` // UTC, with six digits of a second, as are all times
	CapturedAt  string      `json:"captured_at"`
	By          *DiffBy     `json:"by,omitempty"` // left out if Change.By is nil
	Drifted     bool        `json:"drifted,omitempty"`
	Nested      bool        `json:"nested,omitempty"`
	ForeignKey  string      `json:"foreign_key,omitempty"`
	Fields      []DiffField `json:"fields"` // in the order of the columns
}

// DiffBy says who made the change's transaction. An actor of whom nothing is known is an empty object.
type DiffBy struct {
	State       State       `json:"state"`
	Actors      []DiffActor `json:"actors,omitempty"`
	Role        string      `json:"role,omitempty"` // this and the rest are those of the session
	Application string      `json:"application,omitempty"`
	Client      string      `json:"client,omitempty"`
}

// DiffActor is an actor of the transaction.
type DiffActor struct {
	Type       string `json:"type,omitempty"`
	ID         string `json:"id,omitempty"`
	Name       string `json:"name,omitempty"`
	OnBehalfOf string `json:"on_behalf_of,omitempty"`
}

// DiffField is a field before and after the change.
type DiffField struct {
	Name string    `json:"name"`
	Type string    `json:"type"` // as PostgreSQL prints it: numeric(10,2)
	Old  DiffValue `json:"old"`
	New  DiffValue `json:"new"`
}

// DiffValue is one value, or what is known of it. Its kind says which of the other members it has.
type DiffValue struct {
	Kind DiffKind `json:"kind"`
	// Text is that of KindValue, as PostgreSQL prints it. Base64 takes its place if it is not UTF-8, which
	// it can be in a database without an encoding.
	Text   *string `json:"text,omitempty"`
	Base64 []byte  `json:"base64,omitempty"`
	// Storage is the storage class of KindValue on SQLite.
	Storage string `json:"storage,omitempty"`
	// Hash is that of KindHashed, in hex.
	Hash string `json:"hash,omitempty"`
	// Length and SHA256 are those of the text of KindShortened, in bytes and in hex. Of the longest values only
	// Stored is known: how many bytes the table takes for them.
	Length int64  `json:"length,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Stored int64  `json:"stored,omitempty"`
}

// String returns the field for people.
func (f DiffField) String() string { return f.Name + ": " + f.Old.String() + " → " + f.New.String() }

// String returns the value for people.
func (v DiffValue) String() string {
	switch {
	case v.Kind == KindAbsent:
		return "(no row)"
	case v.Kind == KindNull:
		return "NULL"
	case v.Kind == KindHashed:
		return "(masked " + v.Hash + ")"
	case v.Kind == KindMasked:
		return "(masked)"
	case v.Kind == KindShortened && v.Stored > 0:
		return "(stored " + strconv.FormatInt(v.Stored, 10) + ")"
	case v.Kind == KindShortened:
		return "(" + strings.TrimSpace(strconv.FormatInt(v.Length, 10)+" "+v.SHA256) + ")" // SQLite has no digest
	case v.Text == nil:
		return string(v.Base64)
	}
	return *v.Text
}

// DiffKind says what a [DiffValue] is.
type DiffKind string

// The kinds of values.
const (
	// KindAbsent: there was no row before, or is none after.
	KindAbsent    DiffKind = "absent"
	KindValue     DiffKind = "value"
	KindNull      DiffKind = "null"
	KindHashed    DiffKind = "hashed"
	KindShortened DiffKind = "shortened"
	// KindMasked: nothing is kept of the value, or a hash should be, and could not be made.
	KindMasked DiffKind = "masked"
)

// Diff returns the change in a form for other programs. A TRUNCATE has no fields.
func (c *Change) Diff() Diff {
	d := Diff{
		Op: c.Op, Schema: c.Schema, Table: c.Table, Key: c.Key, FormerKey: c.FormerKey,
		XID: strconv.FormatInt(c.XID, 10), TxStartedAt: utc(c.TxStartedAt), CapturedAt: utc(c.CapturedAt),
		Drifted: c.Drifted, Nested: c.Nested, ForeignKey: c.ForeignKey, Fields: make([]DiffField, len(c.Fields)),
	}
	for i := range c.Fields {
		d.Fields[i] = c.Fields[i].Diff(c.Op)
	}
	if by := c.By; by != nil {
		d.By = &DiffBy{State: by.State, Role: by.Origin.Role, Application: by.Origin.Application, Client: by.Origin.Client}
		for _, a := range by.Actors() {
			d.By.Actors = append(d.By.Actors, DiffActor{Type: string(a.Type), ID: a.ID, Name: a.Name, OnBehalfOf: a.OnBehalfOf})
		}
	}
	return d
}

// Diff returns the field in a form for other programs. Where there was no row before, op is Insert, and where there is none
// after, Delete.
func (f *Field) Diff(op Op) DiffField {
	return DiffField{Name: f.Name, Type: f.Type, Old: f.Old.diff(op == Insert), New: f.New.diff(op == Delete)}
}

func utc(t time.Time) string { return t.UTC().Format(lenient.TimeForm) }

func (v Value) diff(absent bool) DiffValue {
	switch {
	case absent:
		return DiffValue{Kind: KindAbsent}
	case v.Masked && v.Text != nil:
		return DiffValue{Kind: KindHashed, Hash: *v.Text}
	case v.Masked:
		return DiffValue{Kind: KindMasked}
	case v.Text == nil:
		return DiffValue{Kind: KindNull}
	case v.Shortened:
		return shortened(*v.Text)
	case !utf8.ValidString(*v.Text):
		return DiffValue{Kind: KindValue, Base64: []byte(*v.Text), Storage: v.Storage}
	}
	return DiffValue{Kind: KindValue, Text: v.Text, Storage: v.Storage}
}

// shortened reads what takes the place of a long value.
func shortened(text string) DiffValue {
	d := DiffValue{Kind: KindShortened}
	first, second, _ := strings.Cut(text, " ")
	if first == "stored" {
		d.Stored, _ = strconv.ParseInt(second, 10, 64)
		return d
	}
	d.Length, _ = strconv.ParseInt(first, 10, 64)
	d.SHA256 = second
	return d
}
