package eventsize_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/eventsize"
)

// eachText calls f with each text of an event, by reflection, so that none is forgotten.
func eachText(v reflect.Value, f func(name string, text reflect.Value)) {
	for i := range v.NumField() {
		switch field := v.Field(i); {
		case field.Kind() == reflect.String:
			f(v.Type().Field(i).Name, field)
		case field.Kind() == reflect.Struct && field.Type() != reflect.TypeFor[time.Time]():
			eachText(field, f)
		}
	}
}

func TestEachTextCounts(t *testing.T) {
	empty := eventsize.Of(&hooks.Event{})
	var e hooks.Event
	texts := 0
	eachText(reflect.ValueOf(&e).Elem(), func(name string, text reflect.Value) {
		text.SetString(strings.Repeat("x", 100))
		if n := eventsize.Of(&e) - empty; n != 100 {
			t.Errorf("%s counts %d bytes, want 100", name, n)
		}
		text.SetString("")
		texts++
	})
	if texts < 21 {
		t.Errorf("%d texts", texts)
	}
}

// TestSizeIsHonest: of events of any kind, the estimate is about what they take.
func TestSizeIsHonest(t *testing.T) {
	text := func(n int) string { return strings.Repeat("x", n) }
	for name, make1 := range map[string]func() map[string]any{
		"none":         func() map[string]any { return nil },
		"one member":   func() map[string]any { return map[string]any{"a": text(1)} },
		"a long text":  func() map[string]any { return map[string]any{"a": text(8000)} },
		"many members": func() map[string]any { return members(700, func(int) any { return json.Number(text(3)) }) },
		"many texts":   func() map[string]any { return members(300, func(i int) any { return text(i % 20) }) },
		"many lists":   func() map[string]any { return members(400, func(int) any { return []any{} }) },
		"many objects": func() map[string]any {
			return members(400, func(int) any { return members(1, func(int) any { return true }) })
		},
		"a list": func() map[string]any {
			return map[string]any{"l": list(2000, func() any { return json.Number(text(1)) })}
		},
		"a flat list": func() map[string]any { return map[string]any{"l": list(4000, func() any { return false })} },
		"deep": func() map[string]any {
			var v any = text(1)
			for range 99 {
				v = map[string]any{"a": v}
			}
			return v.(map[string]any)
		},
	} {
		const many = 200
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		events := make([]hooks.Event, many)
		for i := range events {
			events[i] = hooks.Event{ID: uuid.Max, Comment: text(500), TenantID: text(500), Metadata: make1()}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		took, estimated := int(after.HeapAlloc-before.HeapAlloc), 0
		for i := range events {
			estimated += eventsize.Of(&events[i])
		}
		if estimated < took*2/3 || estimated > took*5/2 {
			t.Errorf("%s: an event takes %d bytes, the estimate is %d", name, took/many, estimated/many)
		}
		runtime.KeepAlive(events)
	}
}

func members(n int, value func(i int) any) map[string]any {
	m := make(map[string]any)
	for i := range n {
		m[fmt.Sprintf("k%03d", i)] = value(i)
	}
	return m
}

func list(n int, value func() any) []any {
	l := []any{}
	for range n {
		l = append(l, value())
	}
	return l
}
