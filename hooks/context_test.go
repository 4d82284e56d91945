package hooks_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// allValues returns values with every field set to its name and the suffix.
func allValues(t *testing.T, suffix string) hooks.Values {
	t.Helper()
	var v hooks.Values
	for _, f := range reflect.VisibleFields(reflect.TypeFor[hooks.Values]()) {
		dst := reflect.ValueOf(&v).Elem().FieldByIndex(f.Index)
		if f.Type == reflect.TypeFor[hooks.Actor]() {
			dst.Set(reflect.ValueOf(hooks.Actor{Type: hooks.User, ID: "id " + suffix, Name: "name " + suffix}))
			continue
		}
		dst.SetString(f.Name + " " + suffix)
	}
	return v
}

func TestContextWithoutValues(t *testing.T) {
	if v := hooks.FromContext(context.Background()); v != (hooks.Values{}) {
		t.Errorf("got %+v", v)
	}
}

// TestWithWinsFieldByField sets one field over a full context, for each field.
func TestWithWinsFieldByField(t *testing.T) {
	outer, inner := allValues(t, "outer"), allValues(t, "inner")
	ctx := hooks.With(context.Background(), outer)
	for _, f := range reflect.VisibleFields(reflect.TypeFor[hooks.Values]()) {
		var one hooks.Values
		want := outer
		value := reflect.ValueOf(inner).FieldByIndex(f.Index)
		reflect.ValueOf(&one).Elem().FieldByIndex(f.Index).Set(value)
		reflect.ValueOf(&want).Elem().FieldByIndex(f.Index).Set(value)
		if got := hooks.FromContext(hooks.With(ctx, one)); got != want {
			t.Errorf("%s: got %+v, want %+v", f.Name, got, want)
		}
	}
	if got := hooks.FromContext(ctx); got != outer {
		t.Errorf("the outer context became %+v", got)
	}
	if got := hooks.FromContext(hooks.With(ctx, hooks.Values{})); got != outer {
		t.Errorf("With of nothing made %+v", got)
	}
}

// TestActorIsTakenWhole: the name of one person must not meet the id of another.
func TestActorIsTakenWhole(t *testing.T) {
	ctx := hooks.With(context.Background(), allValues(t, "outer"))
	system := hooks.Actor{Type: hooks.System}
	ctx = hooks.WithActor(ctx, system)
	if got := hooks.FromContext(ctx).Actor; got != system {
		t.Errorf("got %+v, want %+v", got, system)
	}
	e := hooks.Event{Actor: system}
	allValues(t, "context").Fill(&e)
	if e.Actor != system {
		t.Errorf("the event's actor became %+v", e.Actor)
	}
}

// TestFillPrecedence: the event's own field wins, then the statement's context,
// then that of BeginTx. Every field of Values must have its place in the event.
func TestFillPrecedence(t *testing.T) {
	statement, begin := allValues(t, "statement"), allValues(t, "begin")
	for _, f := range reflect.VisibleFields(reflect.TypeFor[hooks.Values]()) {
		get := func(v any) any { return reflect.ValueOf(v).FieldByName(f.Name).Interface() }
		var e hooks.Event
		begin.Fill(&e)
		if get(e) != get(begin) {
			t.Errorf("%s: an empty event got %v", f.Name, get(e))
		}
		e = hooks.Event{}
		statement.Fill(&e)
		begin.Fill(&e)
		if get(e) != get(statement) {
			t.Errorf("%s: %v, want the statement's", f.Name, get(e))
		}
		e = hooks.Event{}
		own := reflect.ValueOf(allValues(t, "own")).FieldByIndex(f.Index)
		reflect.ValueOf(&e).Elem().FieldByName(f.Name).Set(own)
		statement.Fill(&e)
		if get(e) != own.Interface() {
			t.Errorf("%s: %v, want the event's own", f.Name, get(e))
		}
	}
}
