package forward_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
)

func TestStatusAsJSON(t *testing.T) {
	at := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	status := forward.Status{Logged: 1, RolledBack: 2, Databases: []forward.DatabaseStatus{
		{
			Driver: "pg", Mode: hooks.BestEffort, Journal: 3, Waiting: errors.New("no server"), Err: fmt.Errorf("%w: it waits", forward.ErrNotAsked),
			Forwarders: []relay.State{{Forwarder: "sink/default", RegisteredAt: at, Suspended: []relay.Suspension{{Program: "shop", Process: "1", Since: at, Reason: "timeout", Error: "slow"}}}},
		},
		{Driver: "lite"},
	}}
	got, err := json.Marshal(status)
	want := `{"logged":1,"delivered":0,"failed":0,"discarded":0,"rolled_back":2,"lost":0,"uncaptured":0,"unattributed":0,"pending":0,"observer_panics":0,"databases":[` +
		`{"driver":"pg","journal":3,"forwarders":[{"forwarder":"sink/default","registered_at":"2026-03-14T15:09:26Z","behind":0,"retrying":0,"discarded":0,"elsewhere":false,` +
		`"suspended":[{"program":"shop","process":"1","since":"2026-03-14T15:09:26Z","reason":"timeout","error":"slow"}]}],` +
		`"mode":"best-effort","waiting":"no server","error":"forward: how delivery stands is not asked here: it waits"},` +
		`{"driver":"lite","journal":0,"forwarders":null,"mode":"strict"}]}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
}

// TestNamesInJSON: what users may marshal has its names in one style, and no error as
// the {} that most errors become.
func TestNamesInJSON(t *testing.T) {
	for _, v := range []any{
		forward.Status{},
		forward.DatabaseStatus{},
		relay.State{},
		relay.Failed{},
		relay.Suspension{},
		relay.Purged{},
		hooks.Notice{},
		hooks.Event{},
		journal.Entry{},
		threadline.Action{},
		threadline.Page{},
		forward.Spec{},
	} {
		full := reflect.New(reflect.TypeOf(v)).Elem()
		fill(full)
		text, err := json.Marshal(full.Interface())
		if err != nil {
			t.Errorf("%T: %v", v, err)
		}
		for _, name := range regexp.MustCompile(`"[^"]*":`).FindAllString(string(text), -1) {
			if !regexp.MustCompile(`^"[a-z]+(_[a-z]+)*":$`).MatchString(name) {
				t.Errorf("%T has the name %s", v, name)
			}
		}
		if strings.Contains(string(text), "{}") {
			t.Errorf("%T: %s", v, text)
		}
	}
}

// fill sets every field that JSON can have, so that none is left out.
func fill(v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1, 0)))
		return
	case json.RawMessage:
		v.SetBytes([]byte(`"text"`))
		return
	case uuid.UUID:
		v.Set(reflect.ValueOf(uuid.New()))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(elem)
		v.SetMapIndex(key, elem)
	case reflect.Interface:
		if v.Type() == reflect.TypeFor[error]() {
			v.Set(reflect.ValueOf(errors.New("an error")))
		} else {
			v.Set(reflect.ValueOf("text"))
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8:
		v.SetUint(1)
	}
}
