package forward

import (
	"context"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// vandal changes all that it gets.
func vandal(_ context.Context, entries []journal.Entry) error {
	for i := range entries {
		e := &entries[i]
		e.Metadata["list"].([]any)[0] = "changed"
		e.Metadata["deep"].(map[string]any)["k"] = "changed"
		e.Metadata["more"] = "changed"
		e.ID, e.Action = uuid.Nil, "changed"
	}
	clear(entries)
	return nil
}

// A forwarder, a filter or an observer that changes what it gets changes only its
// own copy.
func TestEntriesAreEachForwardersOwn(t *testing.T) {
	second := &taker{}
	w := newWorld(t, func(h *Hub) {
		spoil := func(e journal.Entry) bool { return vandal(ctx, []journal.Entry{e}) == nil }
		h.Register(&taker{do: vandal}, Sync, ID("first"), Filter(spoil))
		h.Register(second, Sync, ID("second"))
	})
	w.hub.observer = hooks.ObserverFunc(func(n hooks.Notice) {
		w.observe(n)
		clear(n.Events)
	})
	events := w.events("order.paid")
	want := map[string]any{"list": []any{json.Number("1")}, "deep": map[string]any{"k": true}}
	events[0].Metadata = map[string]any{"list": []any{json.Number("1")}, "deep": map[string]any{"k": true}}
	id := events[0].ID
	w.h.End(ctx, w.ended(hooks.Committed, events))
	got := second.calls[0][0]
	if got.ID != id || got.Action != "order.paid" || !reflect.DeepEqual(got.Metadata, want) {
		t.Errorf("the second forwarder got %+v", got.Event)
	}
	if !reflect.DeepEqual(events[0].Metadata, want) {
		t.Errorf("the driver's event became %+v", events[0])
	}
	w.wantTold("logged delivered delivered")
}

func TestNoticesAreTheObserversOwn(t *testing.T) {
	w := newWorld(t, nil)
	w.hub.observer = hooks.ObserverFunc(func(n hooks.Notice) { clear(n.Events) })
	id := uuid.Must(uuid.NewV7())
	ids := []uuid.UUID{id}
	w.h.Notify(hooks.Notice{Kind: hooks.NoticeLogged, Events: ids})
	if ids[0] != id {
		t.Error("an observer changed the events of what is still to be reported")
	}
}
