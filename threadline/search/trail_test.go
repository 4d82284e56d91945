package search

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

func TestTrail(t *testing.T) {
	seen := map[string]bool{}
	for text, want := range map[string]trail.Query{
		"":                                   {},
		"actor:job:a":                        {ActorType: hooks.Job, ActorID: "a"},
		"actor:unattributed":                 {Unattributed: true},
		"tenant:t correlation:c":             {TenantID: "t", CorrelationID: "c"},
		"request:r late":                     {RequestID: "r", Text: []string{"late"}},
		"target:order:42":                    {Tables: []string{"order"}, Key: []string{"42"}},
		"table:shop.orders":                  {Tables: []string{"shop.orders"}},
		"after:2d before:30s":                {From: noon.AddDate(0, 0, -2), To: noon.Add(-30 * time.Second)},
		"action:order.paid outcome:failure":  {Action: "order.paid", Outcome: hooks.Failure},
		"action:order.*":                     {ActionPrefix: "order."},
		"op:delete field:a":                  {Ops: []changes.Op{changes.Delete}, Fields: []string{"a"}},
		"old.a:b new.a:c":                    {Old: []changes.FieldValue{{Field: "a", Text: "b"}}, New: []changes.FieldValue{{Field: "a", Text: "c"}}},
		"outcome:failure -op:delete":         {Outcome: hooks.Failure, Not: []trail.Query{{Ops: []changes.Op{changes.Delete}}}},
		"-actor:a -outcome:success -field:b": {Not: []trail.Query{{ActorID: "a"}, {Outcome: hooks.Success}, {Fields: []string{"b"}}}},
	} {
		terms, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := terms.Trail(noon)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
		for _, f := range reflect.VisibleFields(reflect.TypeFor[trail.Query]()) {
			if !reflect.ValueOf(got).FieldByIndex(f.Index).IsZero() {
				seen[f.Name] = true
			}
		}
	}
	// What no search says: how many, and what comes from an item that is shown.
	for _, name := range []string{"Schema", "Tx", "Limit", "Cursor"} {
		seen[name] = true
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[trail.Query]()) {
		if !seen[f.Name] {
			t.Errorf("no search has %s", f.Name)
		}
	}
}

// TestTrailOfNothing: an error points at the word that leaves nothing to find.
func TestTrailOfNothing(t *testing.T) {
	for text, word := range map[string]string{
		"outcome:failure field:a":                  "field:a",
		"op:insert actor:a action:order.*":         "action:order.*",
		"new.status:paid -op:insert outcome:error": "outcome:error",
	} {
		terms, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		_, err = terms.Trail(noon)
		var wrong *Error
		if !errors.As(err, &wrong) || wrong.Word != word || text[wrong.Pos:wrong.End] != word || !strings.Contains(wrong.Reason, "leave out one") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
