package hooks_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// valid returns an event that every store can hold.
func valid() hooks.Event {
	return hooks.Event{ID: uuid.Max, OccurredAt: time.Unix(0, 0).UTC(), Action: "order.placed", Outcome: hooks.Success}
}

// refused checks that err names the field and says why.
func refused(t *testing.T, what string, err error, field, why string) {
	t.Helper()
	var invalid *hooks.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != field || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: got %v, want the field %s and %q", what, err, field, why)
	}
}

func TestPrepareCompletes(t *testing.T) {
	before := time.Now().Add(-time.Microsecond)
	e, err := hooks.Prepare(hooks.Event{Action: "order.placed"})
	if err != nil {
		t.Fatal(err)
	}
	if e.ID.Version() != 7 || e.Outcome != hooks.Success || e.OccurredAt.Before(before) || e.OccurredAt.After(time.Now()) {
		t.Errorf("got %+v", e)
	}
}

// TestPrepareOfNoMicrosecond: a time that is none once it is cut to microseconds is completed as one
// that is missing.
func TestPrepareOfNoMicrosecond(t *testing.T) {
	e := valid()
	e.OccurredAt = time.Time{}.Add(time.Microsecond - 1)
	p, err := hooks.Prepare(e)
	if err != nil || time.Since(p.OccurredAt) > time.Hour {
		t.Errorf("it occurred at %v, %v", p.OccurredAt, err)
	}
}

func TestPrepareKeepsWhatIsThere(t *testing.T) {
	want := valid()
	want.Outcome = hooks.Failure
	want.OccurredAt = time.Date(2026, 3, 14, 15, 9, 26, 535897932, time.FixedZone("", 3600))
	got, err := hooks.Prepare(want)
	if err != nil {
		t.Fatal(err)
	}
	want.OccurredAt = time.Date(2026, 3, 14, 14, 9, 26, 535897000, time.UTC)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestActions(t *testing.T) {
	for action, ok := range map[string]bool{
		"order.placed":                          true,
		"a.b":                                   true,
		"a1_.b_2.c3_":                           true,
		"a._":                                   false,
		"a.1b":                                  false,
		"a." + strings.Repeat("b", 253):         true,
		"a." + strings.Repeat("b", 254):         false,
		"":                                      false,
		"order":                                 false,
		"order.":                                false,
		".placed":                               false,
		"order..placed":                         false,
		"Order.placed":                          false,
		"1order.placed":                         false,
		"_order.placed":                         false,
		"order placed.x":                        false,
		"order.placed\n":                        false,
		"bestellung.geändert":                   false,
		"order.placed'; DROP TABLE orders; -- ": false,
	} {
		e := valid()
		e.Action = action
		err := hooks.Validate(e)
		if ok && err != nil {
			t.Errorf("%q: %v", action, err)
		}
		if !ok {
			refused(t, action, err, "action", "")
		}
	}
}

func TestFieldsThatNoStoreHolds(t *testing.T) {
	for _, tt := range []struct {
		field, why string
		change     func(e *hooks.Event)
	}{
		{"id", "empty", func(e *hooks.Event) { e.ID = uuid.Nil }},
		{"occurred_at", "year", func(e *hooks.Event) { e.OccurredAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"occurred_at", "year", func(e *hooks.Event) { e.OccurredAt = time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC) }},
		{"outcome", "use success", func(e *hooks.Event) { e.Outcome = "" }},
		{"outcome", "use success", func(e *hooks.Event) { e.Outcome = "ok" }},
		{"actor.type", "use user", func(e *hooks.Event) { e.Actor = hooks.Actor{Type: "human", ID: "1"} }},
		{"actor.type", "use user", func(e *hooks.Event) { e.Actor = hooks.Actor{ID: "1"} }},
		{"actor.type", "use user", func(e *hooks.Event) { e.Actor = hooks.Actor{Name: "Ada"} }},
		{"actor.id", "only system and anonymous", func(e *hooks.Event) { e.Actor = hooks.Actor{Type: hooks.User} }},
		{"actor.id", "only system and anonymous", func(e *hooks.Event) { e.Actor = hooks.Actor{Type: hooks.Job, Name: "nightly"} }},
	} {
		e := valid()
		tt.change(&e)
		refused(t, tt.field, hooks.Validate(e), tt.field, tt.why)
	}
	for _, a := range []hooks.Actor{{}, {Type: hooks.System}, {Type: hooks.Anonymous}, {Type: hooks.ServiceAccount, ID: "x", OnBehalfOf: "y"}} {
		e := valid()
		e.Actor = a
		if err := hooks.Validate(e); err != nil {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

// limits are those that differ from MaxText, by the field's name in JSON.
var limits = map[string]int{"user_agent": hooks.MaxUserAgent, "comment": hooks.MaxMetadata}

// eachText calls f for every free text of an event, found by reflection, so that
// a field that is added later is checked too. Where an actor or target is
// touched, the rest of it is valid.
func eachText(t *testing.T, f func(name string, limit int, e *hooks.Event, value reflect.Value)) {
	t.Helper()
	n := 0
	var walk func(path string, typ reflect.Type, index []int)
	walk = func(path string, typ reflect.Type, index []int) {
		for i := range typ.NumField() {
			field := typ.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			name = strings.TrimPrefix(path+"."+name, ".")
			at := append(append([]int(nil), index...), i)
			switch {
			case field.Type == reflect.TypeFor[time.Time]():
			case field.Type.Kind() == reflect.Struct:
				walk(name, field.Type, at)
			case field.Type == reflect.TypeFor[string]() && name != "action":
				n++
				e := valid()
				e.Actor = hooks.Actor{Type: hooks.User, ID: "1"}
				limit := hooks.MaxText
				if l, ok := limits[name]; ok {
					limit = l
				}
				f(name, limit, &e, reflect.ValueOf(&e).Elem().FieldByIndex(at))
			}
		}
	}
	walk("", reflect.TypeFor[hooks.Event](), nil)
	if n < 15 {
		t.Fatalf("only %d texts were found", n)
	}
}

func TestTexts(t *testing.T) {
	eachText(t, func(name string, limit int, e *hooks.Event, value reflect.Value) {
		for _, s := range []string{strings.Repeat("x", limit), "é🙂", " '\"\\ \n\u2028"} {
			value.SetString(s)
			if err := hooks.Validate(*e); err != nil {
				t.Errorf("%s of %d bytes: %v", name, len(s), err)
			}
		}
		for s, why := range map[string]string{
			strings.Repeat("x", limit+1): "the limit is",
			"a\x00b":                     "NUL",
			"a\xffb":                     "UTF-8",
			"\xed\xa0\x80":               "UTF-8", // a surrogate, encoded
		} {
			value.SetString(s)
			refused(t, name, hooks.Validate(*e), name, why)
		}
	})
}

func TestShortenMakesTextsValid(t *testing.T) {
	eachText(t, func(name string, limit int, e *hooks.Event, value reflect.Value) {
		value.SetString("plain")
		if hooks.Shorten(e) || value.String() != "plain" {
			t.Errorf("%s: a valid text was changed to %q", name, value.String())
		}
		for _, s := range []string{
			strings.Repeat("x", limit+1),
			strings.Repeat("x", limit-1) + "🙂",
			strings.Repeat("\x00", limit),
			strings.Repeat("é\xff", limit),
			"a\x00b\xffc",
		} {
			value.SetString(s)
			if !hooks.Shorten(e) {
				t.Errorf("%s: Shorten says that it changed nothing", name)
			}
			if err := hooks.Validate(*e); err != nil {
				t.Errorf("%s, shortened: %v", name, err)
			}
			if got := value.String(); !utf8.ValidString(got) || len(got) < min(len(s), limit)-utf8.UTFMax {
				t.Errorf("%s: %d bytes became %q, more was lost than had to be", name, len(s), got)
			}
		}
	})
}

// A captured event's metadata may have a name, such as that of a view, which has no limit on
// SQLite.
func TestShortenMakesMetadataStorable(t *testing.T) {
	e := valid()
	e.Metadata = map[string]any{"via": "v", "rows": 1}
	if hooks.Shorten(&e) {
		t.Error("Shorten says that it changed something")
	}
	e.Metadata["via"] = "\xff" + strings.Repeat("é", hooks.MaxMetadata)
	if !hooks.Shorten(&e) || e.Metadata["rows"] != 1 || !strings.HasPrefix(e.Metadata["via"].(string), "\uFFFDéé") {
		t.Errorf("%+v", e.Metadata)
	}
	if err := hooks.Validate(e); err != nil {
		t.Error(err)
	}
}

// An app's own type of actor may be anything; a captured event has it all the
// same.
func TestShortenMakesTheActorsTypeStorable(t *testing.T) {
	e := valid()
	e.Actor = hooks.Actor{Type: "a\x00\xff" + hooks.ActorType(strings.Repeat("x", hooks.MaxText))}
	if !hooks.Shorten(&e) || len(e.Actor.Type) > hooks.MaxText || !strings.HasPrefix(string(e.Actor.Type), "a\uFFFD\uFFFDx") {
		t.Errorf("got %q", e.Actor.Type)
	}
}

func TestSecretsAtAnyDepth(t *testing.T) {
	for field, metadata := range map[string]map[string]any{
		"metadata.password":       {"password": "x"},
		"metadata.a.b.api_key":    {"a": map[string]any{"b": map[string]any{"api_key": 1}}},
		"metadata.list[1].Token":  {"list": []any{1, map[string]any{"Token": nil}}},
		"metadata.m.new-password": {"m": map[string]string{"new-password": "x"}},
		"metadata.s.card.cvv": {"s": struct {
			Card any `json:"card"`
		}{map[string]any{"cvv": 123}}},
		"metadata.l[0][0].secret_key": {"l": [][]map[string]string{{{"secret_key": ""}}}},
	} {
		e := valid()
		e.Metadata = metadata
		refused(t, field, hooks.Validate(e), field, "secret")
	}
}

func TestErrorsAreShort(t *testing.T) {
	long := strings.Repeat("é", 3000)
	for field, change := range map[string]func(*hooks.Event){
		"actor.type": func(e *hooks.Event) { e.Actor.Type = hooks.ActorType(long) },
		"outcome":    func(e *hooks.Event) { e.Outcome = hooks.EventOutcome(long) },
	} {
		e := valid()
		change(&e)
		err := hooks.Validate(e)
		refused(t, field, err, field, "6000 bytes")
		if n := len(err.Error()); n > 400 {
			t.Errorf("%s: %d bytes", field, n)
		}
	}
}

func TestIsSecret(t *testing.T) {
	for key, want := range map[string]bool{
		"password": true, "PASSWORD": true, "new_password": true, "accessToken": true, "api-key": true, "API Key": true,
		"otp": true, "client.secret": true, "pwd": true,
		"db_pwd": true, "dbPwd": true, "DBPwd": true, "DB_PWD": true, "userOTP": true, "user otp": true, "user:otp": true, "user_otp_": true, "user.otp.": true,
		"card_cvv": true, "card1Cvc": true, "card.cvv": true,
		"desktop": false, "cvc_seen": false, "otpLength": false, "userotp": false, "photp": false,
		"password_changed": false, "tokens_used": false, "laptop": false, "hotp": false, "secretary": false, "": false, "key": false,
	} {
		if got := hooks.IsSecret(key); got != want {
			t.Errorf("%q: %t, want %t", key, got, want)
		}
	}
}

func TestMetadata(t *testing.T) {
	long := func(n int) map[string]any { return map[string]any{"k": strings.Repeat("x", n-len(`{"k":""}`))} }
	for name, m := range map[string]map[string]any{
		"nil": nil, "empty": {}, "8192 bytes": long(8192),
		"numbers": {"a": 1, "b": -1.5, "c": math.MaxFloat64, "d": uint64(math.MaxUint64), "e": json.Number("1e3000"), "f": json.Number("-1E-3000")},
		"null":    {"a": nil, "b": []string{}, "c": time.Now()},
	} {
		e := valid()
		e.Metadata = m
		if err := hooks.Validate(e); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tt := range map[string]struct {
		metadata   map[string]any
		field, why string
	}{
		"8193 bytes":    {long(8193), "metadata", "the limit is 8192"},
		"a function":    {map[string]any{"f": func() {}}, "metadata.f", "is not JSON"},
		"NaN":           {map[string]any{"n": math.NaN()}, "metadata.n", "is not JSON"},
		"NUL":           {map[string]any{"a": map[string]any{"b": "x\x00"}}, "metadata.a.b", `\u0000`},
		"NUL in a key":  {map[string]any{"a\x00": 1}, `metadata."a\x00"`, `\u0000`},
		"UTF-8":         {map[string]any{"a": []any{"ok", "\xff"}}, "metadata.a[1]", "UTF-8"},
		"UTF-8 list":    {map[string]any{"a": []string{"\xff"}}, "metadata.a[0]", "UTF-8"},
		"UTF-8 map":     {map[string]any{"a": map[string]string{"b": "\xff"}}, "metadata.a.b", "UTF-8"},
		"UTF-8 in keys": {map[string]any{"a": map[string]any{"\xff": 1}}, `metadata.a."\xff"`, "UTF-8"},
	} {
		e := valid()
		e.Metadata = tt.metadata
		refused(t, name, hooks.Validate(e), tt.field, tt.why)
	}
}
