package driver_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// keep makes s keep the events that it is to write.
func keep(s *spy) *[]hooks.Event {
	var written []hooks.Event
	s.flush = func(_ context.Context, f hooks.Flush) (bool, error) {
		written = append(written, f.Events...)
		return true, nil
	}
	return &written
}

// What was recorded is written, whatever becomes of the caller's values, also
// while they are being written. Under the race detector, sharing any of them
// fails the test.
func TestRecordedIsWhatIsWritten(t *testing.T) {
	s := &spy{}
	written := keep(s)
	db := open(t, sqltest.NewFake(), s)
	raw, list, deep := json.RawMessage(`"raw"`), []any{"a"}, map[string]any{"k": 1}
	given := map[string]any{"raw": raw, "list": list, "deep": deep}
	tx := begin(t, db)
	exec(t, tx, "UPDATE orders")
	if err := hooks.Record(context.Background(), tx, hooks.Event{Action: "order.paid", Metadata: given}); err != nil {
		t.Fatal(err)
	}
	var reuse sync.WaitGroup
	reuse.Go(func() {
		copy(raw, `"wet"`)
		list[0], deep["k"], deep["password"], given["password"] = "b", 2, "x", "x"
		delete(given, "raw")
	})
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	reuse.Wait()
	want := map[string]any{"raw": "raw", "list": []any{"a"}, "deep": map[string]any{"k": json.Number("1")}}
	if got := (*written)[0].Metadata; !reflect.DeepEqual(got, want) {
		t.Errorf("written: %v, want %v", got, want)
	}
}

func TestSameIDInATransaction(t *testing.T) {
	s := &spy{}
	written := keep(s)
	db := open(t, sqltest.NewFake(), s)
	ctx, id := context.Background(), uuid.Must(uuid.NewV7())
	again := func(h hooks.Handle, action string) error {
		return hooks.Record(ctx, h, hooks.Event{ID: id, Action: action})
	}
	tx := begin(t, db)
	exec(t, tx, "UPDATE orders", "SAVEPOINT a")
	if err := again(tx, "order.paid"); err != nil {
		t.Fatal(err)
	}
	var invalid *hooks.InvalidError
	if err := again(tx, "order.shipped"); !errors.As(err, &invalid) || invalid.Field != "id" {
		t.Errorf("the same ID again: %v, want an InvalidError of the field id", err)
	}
	exec(t, tx, "ROLLBACK TO a")
	if err := again(tx, "order.billed"); err != nil {
		t.Errorf("the first was rolled back, and yet: %v", err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if len(*written) != 1 || (*written)[0].Action != "order.billed" {
		t.Errorf("written: %v, want order.billed alone", *written)
	}
}

// What a context adds is checked, too.
func TestContextThatNoStoreHolds(t *testing.T) {
	db := open(t, sqltest.NewFake(), &spy{})
	ctx := hooks.With(context.Background(), hooks.Values{RequestID: "\x00"})
	var invalid *hooks.InvalidError
	err := hooks.Record(ctx, db, hooks.Event{Action: "order.paid"})
	if !errors.As(err, &invalid) || invalid.Field != "request_id" {
		t.Errorf("got %v, want an InvalidError of the field request_id", err)
	}
}
