package search

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

func TestChanges(t *testing.T) {
	seen := map[string]bool{}
	for text, want := range map[string]changes.Query{
		"":                              {},
		"actor:alice":                   {ActorID: "alice"},
		"actor:job:a:b":                 {ActorType: hooks.Job, ActorID: "a:b"},
		"actor:unattributed":            {Unattributed: true},
		"table:shop.orders":             {Tables: []string{"shop.orders"}},
		"target:order":                  {Tables: []string{"order"}},
		"target:order:4:2":              {Tables: []string{"order"}, Key: []string{"4:2"}},
		"tenant:t":                      {TenantID: "t"},
		"correlation:c request:r":       {CorrelationID: "c", RequestID: "r"},
		"refund \"100%  late\"":         {Text: []string{"refund", "100%  late"}},
		"after:2d before:30s":           {From: noon.AddDate(0, 0, -2), To: noon.Add(-30 * time.Second)},
		"op:delete":                     {Ops: []changes.Op{changes.Delete}},
		"field:status field:\"a b\"":    {Fields: []string{"status", "a b"}},
		`old.status:paid new."a b":"c"`: {Old: []changes.FieldValue{{Field: "status", Text: "paid"}}, New: []changes.FieldValue{{Field: "a b", Text: "c"}}},
		`new.note:""`:                   {New: []changes.FieldValue{{Field: "note"}}},
		"-op:delete -field:a -old.a:b -actor:alice -target:order:42 -text -tenant:t": {Not: []changes.Query{
			{Ops: []changes.Op{changes.Delete}},
			{Fields: []string{"a"}},
			{Old: []changes.FieldValue{{Field: "a", Text: "b"}}},
			{ActorID: "alice"},
			{Tables: []string{"order"}, Key: []string{"42"}},
			{TenantID: "t"},
			{Text: []string{"text"}},
		}},
	} {
		terms, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := terms.Changes(noon)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
		for _, f := range reflect.VisibleFields(reflect.TypeFor[changes.Query]()) {
			if !reflect.ValueOf(want).FieldByIndex(f.Index).IsZero() {
				seen[f.Name] = true
			}
		}
	}
	// What no search says: how many, and what comes from a change that is shown.
	for _, name := range []string{"Schema", "XID", "TxStartedAt", "OldestFirst", "Limit", "Cursor"} {
		seen[name] = true
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[changes.Query]()) {
		if !seen[f.Name] {
			t.Errorf("no search has %s", f.Name)
		}
	}
}

// TestChangesOfActionsOnly: an error points at the word that no change can answer.
func TestChangesOfActionsOnly(t *testing.T) {
	for _, word := range []string{"action:order.placed", "action:order.*", "outcome:failure", "-outcome:success", "-action:a.b"} {
		terms, err := Parse("table:orders " + word)
		if err != nil {
			t.Fatal(err)
		}
		_, err = terms.Changes(noon)
		var wrong *Error
		if !errors.As(err, &wrong) || !errors.Is(err, ErrActionsOnly) || wrong.Pos != 13 || wrong.End != 13+len(word) || wrong.Word != word {
			t.Errorf("%s: %v", word, err)
		}
	}
}

func TestChangesThatMakeNoSense(t *testing.T) {
	for text, says := range map[string]string{
		"op:upsert":                 "is none of insert",
		"after:1d before:2d":        "is not before",
		"table:a target:b":          "is there already",
		"op:insert op:delete":       "is there already",
		"old.status:a old.status:b": "is there already",
		"field:":                    "no value",
	} {
		terms, err := Parse(text)
		if err == nil {
			_, err = terms.Changes(noon)
		}
		var wrong *Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %s", text, err, says)
		}
	}
}
