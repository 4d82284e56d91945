package threadline_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// filters pairs each filter with an entry that it finds among the rest, and with
// near misses that it must not find.
var filters = []struct {
	name   string
	q      threadline.Query
	match  func(e *journal.Entry)
	misses []func(e *journal.Entry)
}{
	{
		"actor",
		threadline.Query{ActorType: hooks.User, ActorID: "42"},
		func(e *journal.Entry) { e.Actor = hooks.Actor{Type: hooks.User, ID: "42", Name: "Ada"} },
		[]func(e *journal.Entry){
			func(e *journal.Entry) { e.Actor = hooks.Actor{Type: hooks.Admin, ID: "42"} },
			func(e *journal.Entry) { e.Actor = hooks.Actor{Type: hooks.User, ID: "421"} },
		},
	},
	{
		"actor type",
		threadline.Query{ActorType: hooks.Anonymous},
		func(e *journal.Entry) { e.Actor = hooks.Actor{Type: hooks.Anonymous} },
		[]func(e *journal.Entry){
			func(*journal.Entry) {}, // unattributed is not anonymous
			func(e *journal.Entry) { e.Actor = hooks.Actor{Type: hooks.System} },
		},
	},
	{
		"unattributed",
		threadline.Query{Unattributed: true, TenantID: "acme"},
		func(e *journal.Entry) { e.TenantID = "acme" },
		[]func(e *journal.Entry){
			func(e *journal.Entry) { e.TenantID = "acme"; e.Actor = hooks.Actor{Type: hooks.Anonymous} },
		},
	},
	{
		"action",
		threadline.Query{Action: "order.sent"},
		func(e *journal.Entry) { e.Action = "order.sent" },
		[]func(e *journal.Entry){
			func(e *journal.Entry) { e.Action = "order.sent.twice" },
			func(e *journal.Entry) { e.Action = "xorder.sent" },
		},
	},
	{
		"prefix",
		threadline.Query{ActionPrefix: "orders."},
		func(e *journal.Entry) { e.Action = "orders.zzz" },
		[]func(e *journal.Entry){
			func(e *journal.Entry) { e.Action = "orders_a.zzz" },
			func(e *journal.Entry) { e.Action = "ordersx.zzz" },
			func(e *journal.Entry) { e.Action = "orders0.zzz" },
			func(e *journal.Entry) { e.Action = "old.orders.zzz" },
		},
	},
	{
		"target",
		threadline.Query{TargetType: "order", TargetID: "7"},
		func(e *journal.Entry) { e.Target = hooks.Target{Type: "order", ID: "7", Name: "n"} },
		[]func(e *journal.Entry){
			func(e *journal.Entry) { e.Target = hooks.Target{Type: "order", ID: "70"} },
			func(e *journal.Entry) { e.Target = hooks.Target{Type: "user", ID: "7"} },
			func(e *journal.Entry) { e.Target = hooks.Target{Type: "order"} },
		},
	},
	{
		"target type",
		threadline.Query{TargetType: "lorry"},
		func(e *journal.Entry) { e.Target = hooks.Target{Type: "lorry"} },
		[]func(e *journal.Entry){func(e *journal.Entry) { e.Target = hooks.Target{Type: "lorr"} }},
	},
	{
		"tenant",
		threadline.Query{TenantID: "T"},
		func(e *journal.Entry) { e.TenantID = "T" },
		[]func(e *journal.Entry){func(e *journal.Entry) { e.TenantID = "t" }},
	},
	{
		"correlation",
		threadline.Query{CorrelationID: "c-1"},
		func(e *journal.Entry) { e.CorrelationID = "c-1" },
		[]func(e *journal.Entry){func(e *journal.Entry) { e.RequestID = "c-1" }},
	},
	{
		"request",
		threadline.Query{RequestID: "r-1"},
		func(e *journal.Entry) { e.RequestID = "r-1" },
		[]func(e *journal.Entry){func(e *journal.Entry) { e.CorrelationID = "r-1" }},
	},
	{
		"outcome",
		threadline.Query{Outcome: hooks.Errored},
		func(e *journal.Entry) { e.Outcome = hooks.Errored },
		[]func(e *journal.Entry){func(e *journal.Entry) { e.Outcome = hooks.Failure }},
	},
	{
		"actor of any type",
		threadline.Query{ActorID: "42"},
		func(e *journal.Entry) { e.Actor = hooks.Actor{Type: hooks.Admin, ID: "42"} },
		[]func(e *journal.Entry){
			func(e *journal.Entry) { e.Actor = hooks.Actor{Type: hooks.Admin, ID: "421"} },
			func(e *journal.Entry) { e.Actor = hooks.Actor{Type: hooks.Admin, Name: "42"} },
			func(*journal.Entry) {},
		},
	},
	{
		"any type and a target with aliases",
		threadline.Query{ActorID: "42", TargetType: "basket", TargetID: "7"},
		func(e *journal.Entry) {
			e.Actor, e.Target = hooks.Actor{Type: hooks.User, ID: "42"}, hooks.Target{Type: "cart", ID: "7"}
		},
		[]func(e *journal.Entry){
			func(e *journal.Entry) { e.Target = hooks.Target{Type: "cart", ID: "7"} },
			func(e *journal.Entry) { e.Actor = hooks.Actor{Type: hooks.User, ID: "42"} },
		},
	},
	{
		"text",
		threadline.Query{Text: []string{"100% PAID_late's", "?$1"}},
		func(e *journal.Entry) { e.Reason, e.Target.Name = "was 100% paid_Late's", "?$1" },
		[]func(e *journal.Entry){
			func(e *journal.Entry) { e.Reason = "was 100% paid_late's" },
			func(e *journal.Entry) { e.Reason, e.Target.Name = "was 1000 paidxlate's", "?$1" },
			func(e *journal.Entry) { e.Reason, e.Comment, e.Target.Name = "was 100% paid", "_late's", "?$1" },
		},
	},
	{
		"text in metadata",
		threadline.Query{Text: []string{"refund"}},
		func(e *journal.Entry) { e.Metadata = map[string]any{"a": []any{map[string]any{"b": "a Refund"}}} },
		[]func(e *journal.Entry){
			func(e *journal.Entry) {
				e.Metadata = map[string]any{"refund": "x", "a": map[string]any{"refund": true}}
			},
			func(e *journal.Entry) { e.Metadata = map[string]any{"a": []any{"ref", "und"}} },
		},
	},
	{
		"number in metadata",
		threadline.Query{Text: []string{"1234"}},
		func(e *journal.Entry) { e.Metadata = map[string]any{"cents": 91234} },
		[]func(e *journal.Entry){func(e *journal.Entry) { e.Metadata = map[string]any{"cents": 1243} }},
	},
	{
		"number beside what is none",
		threadline.Query{Text: []string{"1"}},
		func(e *journal.Entry) { e.Metadata = map[string]any{"n": 1} },
		[]func(e *journal.Entry){
			func(e *journal.Entry) { e.Metadata = map[string]any{"n": true, "1": []any{nil, false}} },
			func(*journal.Entry) {},
		},
	},
	{
		"true as a text",
		threadline.Query{Text: []string{"true"}},
		func(e *journal.Entry) { e.Metadata = map[string]any{"said": "True"} },
		[]func(e *journal.Entry){func(e *journal.Entry) { e.Metadata = map[string]any{"said": true} }},
	},
	{
		"text as it is written",
		threadline.Query{Text: []string{"Łukasz 表"}},
		func(e *journal.Entry) { e.Comment = "for Łukasz 表ソ" },
		[]func(e *journal.Entry){func(e *journal.Entry) { e.Comment = "for Łukas 表ソ" }},
	},
	{
		"not",
		threadline.Query{TenantID: "acme", Not: []threadline.Query{
			{Action: "a.b"},
			{ActionPrefix: "c."},
			{ActorType: hooks.System},
			{ActorID: "8"},
			{Outcome: hooks.Failure, RequestID: "r"},
			{TargetType: "basket", TargetID: "7"},
			{TargetType: "Łódź"},
			{CorrelationID: "x"},
			{Text: []string{"spam", "egg"}},
		}},
		func(e *journal.Entry) { e.TenantID, e.Outcome, e.Comment = "acme", hooks.Failure, "spam" },
		[]func(e *journal.Entry){
			func(e *journal.Entry) { e.TenantID, e.Action = "acme", "a.b" },
			func(e *journal.Entry) { e.TenantID, e.Action = "acme", "c.b" },
			func(e *journal.Entry) { e.TenantID, e.Actor = "acme", hooks.Actor{Type: hooks.System} },
			func(e *journal.Entry) { e.TenantID, e.Actor = "acme", hooks.Actor{Type: hooks.User, ID: "8"} },
			func(e *journal.Entry) { e.TenantID, e.Outcome, e.RequestID = "acme", hooks.Failure, "r" },
			func(e *journal.Entry) { e.TenantID, e.Target = "acme", hooks.Target{Type: "basket", ID: "7"} },
			func(e *journal.Entry) { e.TenantID, e.Target = "acme", hooks.Target{Type: "cart", ID: "7"} },
			func(e *journal.Entry) { e.TenantID, e.Target = "acme", hooks.Target{Type: "Łódź", ID: "7"} },
			func(e *journal.Entry) { e.TenantID, e.CorrelationID = "acme", "x" },
			func(e *journal.Entry) { e.TenantID, e.Comment, e.Reason = "acme", "spam", "EGGS" },
		},
	},
	{
		"not unattributed",
		threadline.Query{Not: []threadline.Query{{Unattributed: true}}},
		func(e *journal.Entry) { e.Actor = hooks.Actor{Type: hooks.Anonymous} },
		[]func(e *journal.Entry){func(*journal.Entry) {}},
	},
	{
		"all at once",
		threadline.Query{
			ActorType: hooks.Job, ActorID: "9", Action: "a.b", ActionPrefix: "a.", TargetType: "x", TargetID: "y",
			TenantID: "m", CorrelationID: "n", RequestID: "o", Outcome: hooks.Failure, From: start.Add(-time.Hour), To: start.Add(time.Hour),
		},
		every,
		[]func(e *journal.Entry){
			func(e *journal.Entry) { every(e); e.Actor.ID = "8" },
			func(e *journal.Entry) { every(e); e.Action = "a.c" },
			func(e *journal.Entry) { every(e); e.Target.ID = "z" },
			func(e *journal.Entry) { every(e); e.TenantID = "" },
			func(e *journal.Entry) { every(e); e.CorrelationID = "" },
			func(e *journal.Entry) { every(e); e.RequestID = "" },
			func(e *journal.Entry) { every(e); e.Outcome = hooks.Success },
			func(e *journal.Entry) { every(e); e.RecordedAt = start.Add(time.Hour) },
			func(e *journal.Entry) { every(e); e.RecordedAt = start.Add(-time.Hour - time.Microsecond) },
		},
	},
}

func every(e *journal.Entry) {
	e.Actor, e.Action, e.Target = hooks.Actor{Type: hooks.Job, ID: "9"}, "a.b", hooks.Target{Type: "x", ID: "y"}
	e.TenantID, e.CorrelationID, e.RequestID, e.Outcome = "m", "n", "o", hooks.Failure
}

func TestFilters(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		for i, f := range filters {
			t.Run(f.name, func(t *testing.T) {
				s := threadline.NewStore(db, e.Dialect, &threadline.Options{
					Schema: fmt.Sprintf("f%d", i), Aliases: map[string][]string{"basket": {"cart", "carts"}},
				})
				if err := s.Migrate(context.Background()); err != nil {
					t.Fatal(err)
				}
				var entries []journal.Entry
				for i, change := range append(f.misses, f.match, f.match, func(*journal.Entry) {}) {
					e := entry(i)
					if f.name == "unattributed" {
						e.Actor = hooks.Actor{Type: hooks.System}
					}
					if i == len(f.misses) || i == len(f.misses)+1 {
						e.Actor = hooks.Actor{}
					}
					change(&e)
					entries = append(entries, e)
				}
				record(t, s, entries...)
				n := len(f.misses)
				want := []uuid.UUID{entries[n+1].ID, entries[n].ID}
				if got := ids(timeline(t, s, f.q).Actions); !slices.Equal(got, want) {
					t.Errorf("got %v, want %v of %v", got, want, entries)
				}
				q := f.q
				q.Limit = 1
				if got := walk(t, s, q, nil); !slices.Equal(got, want) {
					t.Errorf("in pages of one: got %v, want %v", got, want)
				}
			})
		}
	})
}
