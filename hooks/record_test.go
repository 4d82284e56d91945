package hooks_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// handle is what a connection looks like from Record: it keeps what it was
// handed, and signs for it if it is wrapped.
type handle struct {
	wrapped bool
	err     error
	queries []string
	args    int
	parcels []*hooks.Parcel
}

var _ hooks.Handle = (*handle)(nil)

func (h *handle) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	h.queries = append(h.queries, query)
	h.args += len(args)
	p := hooks.ParcelFrom(ctx)
	h.parcels = append(h.parcels, p)
	if h.err != nil {
		return nil, h.err
	}
	if h.wrapped {
		p.Accept()
	}
	return nil, nil
}

func TestRecordHandsOverAPreparedEvent(t *testing.T) {
	h := &handle{wrapped: true}
	given := hooks.Event{Action: "order.placed", Reason: "test"}
	if err := hooks.Record(context.Background(), h, given); err != nil {
		t.Fatal(err)
	}
	if len(h.queries) != 1 || h.queries[0] != hooks.Statement || h.args != 0 {
		t.Errorf("statements %q with %d arguments, want the comment alone", h.queries, h.args)
	}
	p := h.parcels[0]
	if p.Event == nil || p.OnCommit != nil || p.OnRollback != nil {
		t.Fatalf("parcel %+v", p)
	}
	if err := hooks.Validate(*p.Event); err != nil || p.Event.Reason != "test" {
		t.Errorf("event %+v: %v", p.Event, err)
	}
	if given.Outcome != "" {
		t.Error("the caller's event was changed")
	}
}

func TestNoReceiptIsAnError(t *testing.T) {
	ctx := context.Background()
	h := &handle{}
	f := func(context.Context) {}
	for name, err := range map[string]error{
		"Record":     hooks.Record(ctx, h, hooks.Event{Action: "order.placed"}),
		"OnCommit":   hooks.OnCommit(ctx, h, f),
		"OnRollback": hooks.OnRollback(ctx, h, f),
	} {
		if !errors.Is(err, hooks.ErrNotWrapped) {
			t.Errorf("%s: %v, want ErrNotWrapped", name, err)
		}
	}
	// An outer call's receipt must not count for an inner one.
	outer := &handle{wrapped: true}
	if err := hooks.Record(ctx, handleFunc(func(ctx context.Context) error {
		if err := hooks.Record(ctx, h, hooks.Event{Action: "order.placed"}); !errors.Is(err, hooks.ErrNotWrapped) {
			t.Errorf("inner: %v, want ErrNotWrapped", err)
		}
		_, err := outer.ExecContext(ctx, hooks.Statement)
		return err
	}), hooks.Event{Action: "order.placed"}); err != nil {
		t.Errorf("outer: %v", err)
	}
}

type handleFunc func(ctx context.Context) error

func (f handleFunc) ExecContext(ctx context.Context, _ string, _ ...any) (sql.Result, error) {
	return nil, f(ctx)
}

func TestRefusedEventsReachNoConnection(t *testing.T) {
	h := &handle{wrapped: true}
	err := hooks.Record(context.Background(), h, hooks.Event{Action: "order.placed", Metadata: map[string]any{"password": "x"}})
	refused(t, "a secret", err, "metadata.password", "secret")
	if len(h.queries) != 0 {
		t.Errorf("%q was executed", h.queries)
	}
}

func TestRecordGivesTheConnectionsError(t *testing.T) {
	want := errors.New("connection lost")
	err := hooks.Record(context.Background(), &handle{err: want}, hooks.Event{Action: "order.placed"})
	if !errors.Is(err, want) || errors.Is(err, hooks.ErrNotWrapped) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestCallbacksAreHandedOver(t *testing.T) {
	ctx := context.Background()
	h := &handle{wrapped: true}
	called := ""
	if err := hooks.OnCommit(ctx, h, func(context.Context) { called += "c" }); err != nil {
		t.Fatal(err)
	}
	if err := hooks.OnRollback(ctx, h, func(context.Context) { called += "r" }); err != nil {
		t.Fatal(err)
	}
	if p := h.parcels[0]; p.OnCommit == nil || p.OnRollback != nil || p.Event != nil {
		t.Errorf("OnCommit's parcel: %+v", p)
	}
	if p := h.parcels[1]; p.OnRollback == nil || p.OnCommit != nil || p.Event != nil {
		t.Errorf("OnRollback's parcel: %+v", p)
	}
	if called != "" {
		t.Errorf("called before anything ended: %s", called)
	}
	h.parcels[0].OnCommit(ctx)
	h.parcels[1].OnRollback(ctx)
	if called != "cr" {
		t.Errorf("called %q, want c and r", called)
	}
}

func TestWrapped(t *testing.T) {
	ctx, down := context.Background(), errors.New("down")
	h := &handle{wrapped: true}
	if ok, err := hooks.Wrapped(ctx, h); !ok || err != nil || !h.parcels[0].IsEmpty() {
		t.Errorf("%t, %v, parcel %+v; want true, and an empty one", ok, err, h.parcels[0])
	}
	if ok, err := hooks.Wrapped(ctx, &handle{}); ok || err != nil {
		t.Errorf("%t, %v; want false", ok, err)
	}
	if ok, err := hooks.Wrapped(ctx, &handle{wrapped: true, err: down}); ok || !errors.Is(err, down) {
		t.Errorf("%t, %v; want the connection's error", ok, err)
	}
}

func TestNothingToDoIsAnError(t *testing.T) {
	ctx := context.Background()
	h := &handle{wrapped: true}
	for name, err := range map[string]error{
		"nil handle":     hooks.Record(ctx, nil, hooks.Event{Action: "order.placed"}),
		"nil DB":         hooks.Record(ctx, (*sql.DB)(nil), hooks.Event{Action: "order.placed"}),
		"nil Tx":         hooks.OnCommit(ctx, (*sql.Tx)(nil), func(context.Context) {}),
		"nil Conn":       hooks.OnRollback(ctx, (*sql.Conn)(nil), func(context.Context) {}),
		"nil OnCommit":   hooks.OnCommit(ctx, h, nil),
		"nil OnRollback": hooks.OnRollback(ctx, h, nil),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if len(h.queries) != 0 {
		t.Errorf("%q was executed", h.queries)
	}
}

func TestParcelOfAnOrdinaryStatement(t *testing.T) {
	if p := hooks.ParcelFrom(context.Background()); p != nil {
		t.Errorf("got %+v", p)
	}
}
