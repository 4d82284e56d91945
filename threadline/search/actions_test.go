package search

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func TestActions(t *testing.T) {
	seen := map[string]bool{}
	for text, want := range map[string]threadline.Query{
		"":                             {},
		"actor:alice":                  {ActorID: "alice"},
		"actor:*:user":                 {ActorID: "user"},
		"actor:user":                   {ActorType: hooks.User},
		"actor:job:a:b":                {ActorType: hooks.Job, ActorID: "a:b"},
		"actor:unattributed":           {Unattributed: true},
		"action:order.placed":          {Action: "order.placed"},
		"action:order.*":               {ActionPrefix: "order."},
		"action:ord*":                  {ActionPrefix: "ord"},
		"target:order":                 {TargetType: "order"},
		"target:order:4:2":             {TargetType: "order", TargetID: "4:2"},
		"table:shop.orders":            {TargetType: "shop.orders"},
		`tenant:"a b"`:                 {TenantID: "a b"},
		"correlation:c request:r":      {CorrelationID: "c", RequestID: "r"},
		"outcome:error":                {Outcome: hooks.Errored},
		"refund \"100%  late\"":        {Text: []string{"refund", "100%  late"}},
		"after:2d":                     {From: noon.AddDate(0, 0, -2)},
		"before:90m":                   {To: noon.Add(-90 * time.Minute)},
		"after:1w before:30s":          {From: noon.AddDate(0, 0, -7), To: noon.Add(-30 * time.Second)},
		"after:yesterday before:today": {From: noon.Add(-36 * time.Hour), To: noon.Add(-12 * time.Hour)},
		"before:now":                   {To: noon},
		"after:2026-03-01 before:2026-03-01T10:00+01:00": {From: noon.Add(-13*24*time.Hour - 12*time.Hour), To: noon.Add(-13*24*time.Hour - 3*time.Hour)},
		"after:2026-03-14T11:00:00.25":                   {From: noon.Add(-time.Hour + 250*time.Millisecond)},
		"-actor:alice -actor:system -target:order:42 -text": {Not: []threadline.Query{
			{ActorID: "alice"}, {ActorType: hooks.System}, {TargetType: "order", TargetID: "42"}, {Text: []string{"text"}},
		}},
		"-action:order.* -table:a -outcome:failure tenant:t -tenant:u -request:r -correlation:c -action:a.b": {
			TenantID: "t", Not: []threadline.Query{
				{Action: "a.b"}, {ActionPrefix: "order."}, {CorrelationID: "c"}, {Outcome: hooks.Failure}, {RequestID: "r"}, {TargetType: "a"}, {TenantID: "u"},
			},
		},
	} {
		terms, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := terms.Actions(noon)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
		for _, f := range reflect.VisibleFields(reflect.TypeFor[threadline.Query]()) {
			if !reflect.ValueOf(got).FieldByIndex(f.Index).IsZero() {
				seen[f.Name] = true
			}
		}
	}
	// What no search says: how many, and what comes from what is shown.
	for _, name := range []string{"Limit", "Cursor", "Tx", "TargetTypes"} {
		seen[name] = true
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[threadline.Query]()) {
		if !seen[f.Name] {
			t.Errorf("nothing asks for Query.%s", f.Name)
		}
	}
}

// TestNoTermIsLost: each term by itself makes the query another, or is refused.
func TestNoTermIsLost(t *testing.T) {
	sample := map[string]string{"action": "order.placed", "outcome": "error", "op": "insert", "after": "2d", "before": "2d"}
	all := append(names(), "old.status", "new.status", "")
	for _, name := range all {
		for _, not := range []bool{false, true} {
			term := Term{Key: name, Value: "x", Not: not}
			if v := sample[name]; v != "" {
				term.Value = v
			}
			q, err := Terms{term}.Actions(noon)
			k, _ := find(name)
			switch {
			case name != "" && k.param == "":
				if !errors.Is(err, ErrChangesOnly) || !strings.Contains(err.Error(), term.String()) {
					t.Errorf("%s: %v", term, err)
				}
			case k.time && not:
				if err == nil {
					t.Errorf("%s: %+v", term, q)
				}
			case err != nil || reflect.DeepEqual(q, threadline.Query{}):
				t.Errorf("%s: %+v, %v", term, q, err)
			}
		}
	}
}

func TestActionsThatMakeNoSense(t *testing.T) {
	for _, tt := range []struct{ text, says string }{
		{"before:2d actor:a after:1d", `at byte 18: "after:1d": is not before the time of before`},
		{"a -op:delete", `at byte 2: "-op:delete": asks for what no action has: only row changes`},
		{"field:a", "only row changes"},
		{"old.a:b", "only row changes"},
		{"new.a:b", "only row changes"},
	} {
		terms, err := Parse(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if q, err := terms.Actions(noon); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %+v, %v", tt.text, q, err)
		}
	}
	for _, terms := range []Terms{{{}}, {{Key: "colour", Value: "red"}}, {{Key: "actor"}}, {{Value: "\xff"}}, {{Key: "old.\xff", Value: "a"}}, {{Key: "actor", Value: "a"}, {Key: "actor", Value: "a"}}} {
		var wrong *Error
		if q, err := terms.Actions(noon); !errors.As(err, &wrong) {
			t.Errorf("%q: %+v, %v", terms, q, err)
		}
	}
}

// TestZones: days and times without a zone are in that of now, on either side of a change
// of the clock.
func TestZones(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	now := time.Date(2026, 3, 14, 0, 30, 0, 0, berlin) // in UTC the day before
	for text, want := range map[string]time.Time{
		"after:today":             time.Date(2026, 3, 13, 23, 0, 0, 0, time.UTC),
		"after:yesterday":         time.Date(2026, 3, 12, 23, 0, 0, 0, time.UTC),
		"after:2026-03-14":        time.Date(2026, 3, 13, 23, 0, 0, 0, time.UTC),
		"after:2026-03-14T10:00":  time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC),
		"after:2026-03-14T10:00Z": time.Date(2026, 3, 14, 10, 0, 0, 0, time.UTC),
		"after:1d":                time.Date(2026, 3, 12, 23, 30, 0, 0, time.UTC),
	} {
		terms, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if q, err := terms.Actions(now); err != nil || !q.From.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", text, q.From, err, want)
		}
	}
}
