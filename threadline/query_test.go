package threadline

import (
	"errors"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func TestQueriesThatMakeNoSense(t *testing.T) {
	tests := []struct {
		field, says string
		q           Query
	}{
		{"actor", "use user, admin", Query{ActorType: "human", ActorID: "7"}},
		{"actor", "use user, admin", Query{ActorType: "human"}},
		{"actor", "excludes every actor", Query{ActorType: hooks.User, ActorID: "7", Unattributed: true}},
		{"actor", "excludes every actor", Query{ActorID: "7", Unattributed: true}},
		{"action", "use action_prefix", Query{Action: "order"}},
		{"action", "use action_prefix", Query{Action: "order."}},
		{"action", "use action_prefix", Query{Action: "Order.placed"}},
		{"action_prefix", "lower case", Query{ActionPrefix: "Order."}},
		{"action_prefix", "lower case", Query{ActionPrefix: "order.%"}},
		{"action_prefix", "leave out one", Query{Action: "order.placed", ActionPrefix: "user."}},
		{"target_id", "needs target_type", Query{TargetID: "7"}},
		{"outcome", "use success", Query{Outcome: "ok"}},
		{"from", "is not before", Query{From: noon.Add(1), To: noon}},
		{"from", "is not before", Query{From: noon, To: noon}},
		{"limit", "negative", Query{Limit: -1}},
		{"text", "is empty", Query{Text: []string{"a", ""}}},
		{"text", "NUL", Query{Text: []string{"\x00"}}},
		{"text", "U+001F", Query{Text: []string{"a\x1fb"}}},
		{"text", "UTF-8", Query{Text: []string{"\xff"}}},
		{"not", "is empty", Query{Not: []Query{{}}}},
		{"not", "only filters", Query{Not: []Query{{From: noon}}}},
		{"not", "only filters", Query{Not: []Query{{To: noon, TenantID: "a"}}}},
		{"not", "only filters", Query{Not: []Query{{Limit: 1, TenantID: "a"}}}},
		{"not", "only filters", Query{Not: []Query{{Cursor: "x", TenantID: "a"}}}},
		{"not", "only filters", Query{Not: []Query{{TenantID: "a", Not: []Query{{TenantID: "a"}}}}}},
		{"-outcome", "use success", Query{Not: []Query{{TenantID: "a"}, {Outcome: "ok"}}}},
		{"-text", "is empty", Query{Not: []Query{{Text: []string{""}}}}},
		{"tenant", "NUL", Query{TenantID: "a\x00"}},
		{"request_id", "UTF-8", Query{RequestID: "\xff"}},
		{"correlation_id", "UTF-8", Query{CorrelationID: "\xff"}},
		{"target_type", "UTF-8", Query{TargetType: "\xff"}},
		{"target_id", "UTF-8", Query{TargetType: "t", TargetID: "\xff"}},
		{"actor", "UTF-8", Query{ActorType: hooks.User, ActorID: "\xff"}},
	}
	for _, tt := range tests {
		var queryErr *QueryError
		if err := tt.q.validate(); !errors.As(err, &queryErr) || queryErr.Field != tt.field || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: %v, want %s: … %s", tt.q, err, tt.field, tt.says)
		}
	}
}

func TestQueriesThatMakeSense(t *testing.T) {
	for _, q := range []Query{
		{},
		{ActorType: hooks.System},
		{Unattributed: true},
		{Action: "order.placed", ActionPrefix: "order."},
		{ActionPrefix: "order"},
		{TargetType: "order"},
		{From: noon},
		{To: noon},
		{From: noon, To: noon.Add(1)},
		{ActorID: "7"},
		{Text: []string{"a", "b"}, Not: []Query{{ActorID: "7", Text: []string{"c"}}, {Unattributed: true}}},
	} {
		if err := q.validate(); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestParseQuery(t *testing.T) {
	tests := map[string]Query{
		"":                                     {},
		"actor=user:42":                        {ActorType: hooks.User, ActorID: "42"},
		"actor=user:a:b":                       {ActorType: hooks.User, ActorID: "a:b"},
		"actor=system":                         {ActorType: hooks.System},
		"actor=unattributed":                   {Unattributed: true},
		"actor=anonymous":                      {ActorType: hooks.Anonymous},
		"action=order.placed&action_prefix=or": {Action: "order.placed", ActionPrefix: "or"},
		"target_type=order&target_id=%27":      {TargetType: "order", TargetID: "'"},
		"tenant=a&correlation_id=b&request_id=c&outcome=error": {TenantID: "a", CorrelationID: "b", RequestID: "c", Outcome: hooks.Errored},
		"from=2026-03-14&to=2026-03-14T14:00:00.5%2B02:00":     {From: noon.Add(-12 * time.Hour), To: noon.Add(500 * time.Millisecond)},
		"limit=500&cursor=abc":                                 {Limit: 500, Cursor: "abc"},
		"actor=*:4:2":                                          {ActorID: "4:2"},
		"target=order":                                         {TargetType: "order"},
		"target=order:a:b":                                     {TargetType: "order", TargetID: "a:b"},
		"text=b&text=a":                                        {Text: []string{"b", "a"}},
		"-text=a&-actor=user:7&-target=order:7&-actor=unattributed&tenant=a": {TenantID: "a", Not: []Query{
			{ActorType: hooks.User, ActorID: "7"}, {Unattributed: true}, {TargetType: "order", TargetID: "7"}, {Text: []string{"a"}},
		}},
	}
	for s, want := range tests {
		values, err := url.ParseQuery(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseQuery(values); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", s, got, err, want)
		}
	}
}

// TestParseQueryIsStrict: each of these would show more than was meant, if it
// were ignored.
func TestParseQueryIsStrict(t *testing.T) {
	for s, want := range map[string]string{
		"tennant=acme":              "tennant: is not known: use action, action_prefix",
		"Tenant=acme":               "Tenant: is not known",
		"tenant=":                   "tenant: has no value",
		"tenant":                    "tenant: has no value",
		"tenant=a&tenant=b":         "tenant: is given 2 times",
		"actor=42":                  "actor: type",
		"actor=user:":               "actor: ",
		"actor=:7":                  "actor: an id needs a type",
		"target_id=7":               "target_id: needs target_type",
		"outcome=ok":                "outcome: ",
		"from=yesterday":            "from: ",
		"to=14.03.2026":             "to: ",
		"from=2026-2&to=2026-03-01": "from: ",
		"limit=0":                   "limit: ",
		"limit=501":                 "limit: 501 is above 500",
		"limit=ten":                 "limit: ",
		"actor=*":                   "actor: * has no id",
		"actor=*:":                  "actor: ",
		"target=:7":                 "target: ",
		"target=order:":             "target: ",
		"target=o:1&target_id=2":    "target: is given beside",
		"target=o:1&target_type=o":  "target: is given beside",
		"target=o&target=p":         "target: is given 2 times",
		"text=a&text=":              "text: has no value",
		"--text=a":                  "--text: is not known",
		"-from=2026-03-14":          "-from: cannot be negated: use action",
		"-target_id=7":              "-target_id: cannot be negated",
		"-limit=7":                  "-limit: cannot be negated",
		"-tenant=":                  "-tenant: has no value",
		"-outcome=ok":               "-outcome: ",
	} {
		values, err := url.ParseQuery(s)
		if err != nil {
			t.Fatal(err)
		}
		var queryErr *QueryError
		if q, err := ParseQuery(values); !errors.As(err, &queryErr) || !strings.HasPrefix(err.Error(), "threadline: query: "+want) {
			t.Errorf("%s: %+v, %v; want %s", s, q, err, want)
		}
	}
	if _, err := ParseQuery(url.Values{"tenant": nil}); err == nil {
		t.Error("a key with no value at all was taken")
	}
}

// TestEveryFilterHasAKey finds a field of Query that no key sets.
func TestEveryFilterHasAKey(t *testing.T) {
	set := map[string]bool{}
	for _, key := range append(slices.Sorted(maps.Keys(parsers)), "-text") {
		for _, value := range []string{"user:1", "unattributed", "2026-03-14", "7"} {
			name, negated := strings.CutPrefix(key, "-")
			var q Query
			if q.parse(parsers[name], negated, value) != nil {
				continue
			}
			for _, f := range reflect.VisibleFields(reflect.TypeFor[Query]()) {
				if !reflect.ValueOf(q).FieldByIndex(f.Index).IsZero() {
					set[f.Name] = true
				}
			}
		}
	}
	set["TargetTypes"], set["Tx"] = true, true // which programs fill in, as package trail does
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Query]()) {
		if !set[f.Name] {
			t.Errorf("no key of ParseQuery sets Query.%s", f.Name)
		}
	}
}

func TestCursorComesBack(t *testing.T) {
	for _, at := range []time.Time{noon, time.Time{}.UTC(), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)} {
		want := position{at, -1 << 63, uuid.Max, at.IsZero()}
		q := Query{TenantID: "acme", Limit: 10}
		q.Cursor = q.cursor(want)
		q.Limit = 20 // a page may have another size than the one before
		if got, err := q.position(); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
}

// TestCursorOfOtherFilters changes each filter after the cursor was made.
func TestCursorOfOtherFilters(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Query]()) {
		if f.Name == "Limit" || f.Name == "Cursor" {
			continue
		}
		q := Query{Cursor: Query{}.cursor(position{recordedAt: noon})}
		switch v := reflect.ValueOf(&q).Elem().FieldByIndex(f.Index); v.Kind() {
		case reflect.String:
			v.SetString("x")
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		case reflect.Struct:
			if f.Name == "Tx" {
				v = v.FieldByName("StartedAt")
			}
			v.Set(reflect.ValueOf(noon))
		}
		var queryErr *QueryError
		if _, err := q.position(); !errors.As(err, &queryErr) || !strings.Contains(err.Error(), "other filters") {
			t.Errorf("%s changed: %v", f.Name, err)
		}
	}
	same := Query{From: noon}
	same.Cursor = same.cursor(position{recordedAt: noon})
	same.From = noon.In(time.FixedZone("", 3600))
	if _, err := same.position(); err != nil {
		t.Errorf("the same time in another zone: %v", err)
	}
}

func TestBrokenCursor(t *testing.T) {
	whole := Query{}.cursor(position{recordedAt: noon, seq: 7, id: uuid.Max})
	broken := []string{"x", "?", whole + "A", whole + "=", whole[1:], whole[:len(whole)-1], whole + "\n"}
	for i := range whole {
		c := byte('A')
		if whole[i] == c {
			c = 'B'
		}
		broken = append(broken, whole[:i]+string(c)+whole[i+1:])
	}
	for _, s := range broken {
		var queryErr *QueryError
		if p, err := (Query{Cursor: s}).position(); !errors.As(err, &queryErr) || queryErr.Field != "cursor" {
			t.Errorf("%q: %+v, %v", s, p, err)
		}
	}
}
