package changes

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func TestQueriesThatMakeNoSense(t *testing.T) {
	for _, tt := range []struct {
		field, says string
		q           Query
	}{
		{"actor", "use user, admin", Query{ActorType: "human"}},
		{"actor", "excludes every actor", Query{ActorID: "7", Unattributed: true}},
		{"actor", "excludes every actor", Query{ActorType: hooks.User, Unattributed: true}},
		{"key", "needs a table", Query{Key: []string{"7"}}},
		{"table", "is empty", Query{Tables: []string{"orders", ""}}},
		{"transaction", "needs both", Query{XID: 7}},
		{"transaction", "needs both", Query{TxStartedAt: noon}},
		{"transaction", "years", Query{XID: 7, TxStartedAt: noon.AddDate(9000, 0, 0)}},
		{"after", "is not before", Query{From: noon, To: noon}},
		{"after", "is not before", Query{From: noon.Add(1), To: noon}},
		{"before", "years", Query{To: noon.AddDate(9000, 0, 0)}},
		{"limit", "negative", Query{Limit: -1}},
		{"op", "use insert", Query{Ops: []Op{Insert, "upsert"}}},
		{"field", "is empty", Query{Fields: []string{""}}},
		{"old", "no field", Query{Old: []FieldValue{{Text: "a"}}}},
		{"new.status", "leave out one", Query{New: []FieldValue{{Field: "status", Text: "a", Null: true}}}},
		{"text", "is empty", Query{Text: []string{"a", ""}}},
		{"text", "UTF-8", Query{Text: []string{"\xff"}}},
		{"table", "NUL", Query{Tables: []string{"a\x00"}}},
		{"table", "NUL", Query{Schema: "a\x00"}},
		{"key", "NUL", Query{Tables: []string{"a"}, Key: []string{"a\x00"}}},
		{"field", "NUL", Query{Fields: []string{"a\x00"}}},
		{"old", "NUL", Query{Old: []FieldValue{{Field: "a", Text: "\x00"}}}},
		{"new", "NUL", Query{New: []FieldValue{{Field: "\x00"}}}},
		{"actor", "NUL", Query{ActorID: "\x00"}},
		{"tenant", "NUL", Query{TenantID: "\x00"}},
		{"correlation", "NUL", Query{CorrelationID: "\x00"}},
		{"request", "NUL", Query{RequestID: "\x00"}},
		{"not", "is empty", Query{Not: []Query{{}}}},
		{"not", "only filters", Query{Not: []Query{{From: noon}}}},
		{"not", "only filters", Query{Not: []Query{{To: noon}}}},
		{"not", "only filters", Query{Not: []Query{{OldestFirst: true}}}},
		{"not", "only filters", Query{Not: []Query{{Limit: 1}}}},
		{"not", "only filters", Query{Not: []Query{{Cursor: "x"}}}},
		{"not", "only filters", Query{Not: []Query{{Ops: []Op{Insert}, Not: []Query{{Ops: []Op{Insert}}}}}}},
		{"-op", "use insert", Query{Not: []Query{{Schema: "a"}, {Ops: []Op{"x"}}}}},
	} {
		var wrong *QueryError
		if err := tt.q.validate(); !errors.As(err, &wrong) || wrong.Field != tt.field || !strings.Contains(wrong.Reason, tt.says) {
			t.Errorf("%+v: %v, want %s: … %s", tt.q, err, tt.field, tt.says)
		}
	}
}

func TestQueriesThatMakeSense(t *testing.T) {
	for _, q := range []Query{
		{},
		{From: noon},
		{To: noon},
		{From: noon, To: noon.Add(time.Microsecond)},
		{Tables: []string{"a"}, Key: []string{""}},
		{Old: []FieldValue{{Field: "a"}}, New: []FieldValue{{Field: "a", Null: true}}},
		{ActorID: "7", Not: []Query{{Unattributed: true}, {Schema: "a"}, {XID: 1, TxStartedAt: noon}}},
	} {
		if err := q.validate(); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestCursor(t *testing.T) {
	for _, p := range []position{
		{},
		{captured: noon.Add(time.Microsecond), lsn: 1<<63 + 5, xid: 1 << 40},
		{captured: noon, lsn: 5, until: 9, top: noon.Add(time.Microsecond)},
		{until: 9, top: noon},
		{lsn: 9, commits: true},
		{commits: true},
	} {
		q := Query{Schema: "a", Limit: 10}
		q.Cursor = q.cursor(p)
		q.Limit = 20 // a page may have another size than the one before
		if got, err := q.after(); err != nil || *got != p {
			t.Errorf("%v, %v; want %v", got, err, p)
		}
	}
	if at, err := (&Query{}).after(); at != nil || err != nil {
		t.Errorf("without a cursor: %v, %v", at, err)
	}
}

// TestCursorOfAnotherQuery changes each field after the cursor was made.
func TestCursorOfAnotherQuery(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Query]()) {
		if slices.Contains([]string{"Limit", "Cursor"}, f.Name) {
			continue
		}
		q := Query{Cursor: (&Query{}).cursor(position{captured: noon})}
		switch v := reflect.ValueOf(&q).Elem().FieldByIndex(f.Index); v.Kind() {
		case reflect.String:
			v.SetString("x")
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int64:
			v.SetInt(1)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		default:
			v.Set(reflect.ValueOf(noon))
		}
		var wrong *QueryError
		if _, err := q.after(); !errors.As(err, &wrong) || wrong.Field != "cursor" || !strings.Contains(wrong.Reason, "other filters") {
			t.Errorf("%s changed: %v", f.Name, err)
		}
	}
	same := Query{From: noon, TxStartedAt: noon}
	same.Cursor = same.cursor(position{captured: noon})
	same.From, same.TxStartedAt = noon.In(time.FixedZone("", 3600)), noon.In(time.FixedZone("", 60))
	if _, err := same.after(); err != nil {
		t.Errorf("the same times in another zone: %v", err)
	}
}

func TestPosition(t *testing.T) {
	r := &reading.Row{Captured: "2026-03-14T12:00:00.000001Z", LSN: "1A/2B", XID: "77"}
	p, err := positionOf(r, nil)
	if want := (position{captured: noon.Add(time.Microsecond), lsn: 0x1A<<32 | 0x2B, xid: 77}); err != nil || p != want {
		t.Errorf("%v, %v; want %v", p, err, want)
	}
	if args := p.args(); !reflect.DeepEqual(args, []any{"2026-03-14T12:00:00.000001Z", "1A/2B", "77"}) {
		t.Errorf("%v", args)
	}
}

// TestQueryErrorNames: the error of a query names its fields as a program writes them.
func TestQueryErrorNames(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for want, q := range map[string]Query{
		"changes: query: From: 2026-01-01T12:00:00Z is not before To, 2026-01-01T12:00:00Z: swap them, or leave one out": {From: noon, To: noon},
		"changes: query: Ops: ":                   {Ops: []Op{"x"}},
		"changes: query: Old, field a: ":          {Old: []FieldValue{{Field: "a", Text: "x", Null: true}}},
		"changes: query: New: ":                   {New: []FieldValue{{}}},
		"changes: query: To: ":                    {To: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
		"changes: query: Not: Tables: ":           {Not: []Query{{Tables: []string{""}}}},
		"changes: query: ActorType and ActorID: ": {ActorType: "x"},
	} {
		if err := q.validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", q, err, want)
		}
	}
}
