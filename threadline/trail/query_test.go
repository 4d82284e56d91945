package trail

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/internal/paging"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// TestCursorOfOtherFilters changes each filter after the cursor was made.
func TestCursorOfOtherFilters(t *testing.T) {
	at := &place{kind: paging.ByCapture}
	at.at.SetTime(noon)
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Query]()) {
		if f.Name == "Limit" || f.Name == "Cursor" {
			continue
		}
		q := Query{}
		q.Cursor = q.cursor(at)
		switch v := reflect.ValueOf(&q).Elem().FieldByIndex(f.Index); v.Kind() {
		case reflect.String:
			v.SetString("x")
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		default:
			if f.Name == "Tx" {
				v = v.FieldByName("StartedAt")
			}
			v.Set(reflect.ValueOf(noon))
		}
		var wrong *QueryError
		if _, err := q.begins(); !errors.As(err, &wrong) || wrong.Field != "cursor" || !strings.Contains(err.Error(), "other filters") {
			t.Errorf("%s changed: %v", f.Name, err)
		}
	}
	same := Query{From: noon, Limit: 7}
	same.Cursor = same.cursor(at)
	same.From, same.Limit = noon.In(time.FixedZone("", 3600)), 8
	if got, err := same.begins(); err != nil || *got != *at {
		t.Errorf("the same time in another zone: %v, %v", got, err)
	}
}

// TestFiltersArrive: each filter is in the query for actions or in that for row changes, or leaves that kind out.
func TestFiltersArrive(t *testing.T) {
	value := []changes.FieldValue{{Field: "a", Text: "b"}}
	both := kind{true, true}
	for _, c := range []struct {
		q       Query
		kind    kind
		actions threadline.Query
		changes changes.Query
	}{
		{Query{ActorType: hooks.User, ActorID: "7"}, both, threadline.Query{ActorType: hooks.User, ActorID: "7"}, changes.Query{ActorType: hooks.User, ActorID: "7"}},
		{Query{Unattributed: true}, both, threadline.Query{Unattributed: true}, changes.Query{Unattributed: true}},
		{Query{TenantID: "t", CorrelationID: "c", RequestID: "r"}, both, threadline.Query{TenantID: "t", CorrelationID: "c", RequestID: "r"}, changes.Query{TenantID: "t", CorrelationID: "c", RequestID: "r"}},
		{Query{Tx: journal.TxKey{ID: 7, StartedAt: noon}}, both, threadline.Query{Tx: journal.TxKey{ID: 7, StartedAt: noon}}, changes.Query{XID: 7, TxStartedAt: noon}},
		{Query{Text: []string{"a"}}, both, threadline.Query{Text: []string{"a"}}, changes.Query{Text: []string{"a"}}},
		{Query{From: noon, To: noon.Add(1)}, both, threadline.Query{From: noon, To: noon.Add(1)}, changes.Query{From: noon, To: noon.Add(1)}},
		{Query{Tables: []string{"t"}, Key: []string{"1"}}, both, threadline.Query{TargetTypes: []string{"other.t", "t"}, TargetID: "1"}, changes.Query{Tables: []string{"t"}, Key: []string{"1"}}},
		{Query{Tables: []string{"t"}, Key: []string{"1", "2"}}, kind{changes: true}, threadline.Query{}, changes.Query{Tables: []string{"t"}, Key: []string{"1", "2"}}},
		{Query{Tables: []string{"public.t"}}, both, threadline.Query{TargetTypes: []string{"public.t", "t"}}, changes.Query{Tables: []string{"public.t"}}},
		{Query{Tables: []string{"t"}, Schema: "s"}, both, threadline.Query{TargetTypes: []string{"s.t"}}, changes.Query{Tables: []string{"t"}, Schema: "s"}},
		{Query{Schema: "s"}, kind{changes: true}, threadline.Query{}, changes.Query{Schema: "s"}},
		{Query{Ops: []changes.Op{changes.Delete}}, kind{changes: true}, threadline.Query{}, changes.Query{Ops: []changes.Op{changes.Delete}}},
		{Query{Fields: []string{"a"}}, kind{changes: true}, threadline.Query{}, changes.Query{Fields: []string{"a"}}},
		{Query{Old: value}, kind{changes: true}, threadline.Query{}, changes.Query{Old: value}},
		{Query{New: value}, kind{changes: true}, threadline.Query{}, changes.Query{New: value}},
		{Query{Action: "a.b"}, kind{actions: true}, threadline.Query{Action: "a.b"}, changes.Query{}},
		{Query{ActionPrefix: "a."}, kind{actions: true}, threadline.Query{ActionPrefix: "a."}, changes.Query{}},
		{Query{Outcome: hooks.Failure}, kind{actions: true}, threadline.Query{Outcome: hooks.Failure}, changes.Query{}},
		{
			Query{Not: []Query{{Outcome: hooks.Failure}, {Fields: []string{"a"}}, {ActorID: "7"}}},
			both,
			threadline.Query{Not: []threadline.Query{{Outcome: hooks.Failure}, {ActorID: "7"}}},
			changes.Query{Not: []changes.Query{{Fields: []string{"a"}}, {ActorID: "7"}}},
		},
	} {
		if err := c.q.validate(); err != nil {
			t.Errorf("%+v: %v", c.q, err)
		}
		k := c.q.kind()
		if k != c.kind {
			t.Errorf("%+v: items are %+v, want %+v", c.q, k, c.kind)
		}
		if got := c.q.actions([][2]string{{"other", "t"}, {"public", "u"}}); k.actions && !reflect.DeepEqual(got, c.actions) {
			t.Errorf("%+v: actions %+v, want %+v", c.q, got, c.actions)
		}
		if got := c.q.changes(); k.changes && !reflect.DeepEqual(got, c.changes) {
			t.Errorf("%+v: changes %+v, want %+v", c.q, got, c.changes)
		}
	}
}

// TestRefused: what can match nothing, or not what was meant, is an error that names the filter.
func TestRefused(t *testing.T) {
	for field, q := range map[string]Query{
		"outcome":       {Outcome: hooks.Failure, Ops: []changes.Op{changes.Insert}},
		"action":        {Action: "a.b", Fields: []string{"a"}},
		"action_prefix": {ActionPrefix: "a.", Schema: "s"},
		"key":           {Key: []string{"1"}},
		"limit":         {Limit: -1},
		"after":         {From: noon, To: noon},
		"not":           {Not: []Query{{}}},
		"-outcome":      {Not: []Query{{Outcome: hooks.Failure, Ops: []changes.Op{changes.Insert}}}},
	} {
		var wrong *QueryError
		if err := q.validate(); !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%+v: %v, want %s", q, err, field)
		}
	}
	for name, n := range map[string]Query{"a time": {ActorID: "a", From: noon}, "a limit": {ActorID: "a", Limit: 1}, "a cursor": {ActorID: "a", Cursor: "x"}, "not": {ActorID: "a", Not: []Query{{ActorID: "b"}}}} {
		q := Query{Not: []Query{n}}
		if err := q.validate(); err == nil || !strings.Contains(err.Error(), "of its own") {
			t.Errorf("%s in Not: %v", name, err)
		}
	}
}

// TestQueryErrorNames: the error of a query names its fields as a program writes them, also one that a store has found.
func TestQueryErrorNames(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	q := Query{From: noon, To: noon}
	if err := q.validate(); err == nil || !strings.HasPrefix(err.Error(), "trail: query: From: 2026-01-01T12:00:00Z is not before To, ") {
		t.Errorf("%v", err)
	}
	if err := searchable(&QueryError{Field: "target_id", Reason: "is wrong"}); err.Error() != "trail: query: Key: is wrong" {
		t.Errorf("%v", err)
	}
}
