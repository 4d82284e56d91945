package relay

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// TestNoCallOnceTheLeaseIsOver: the sink may be another process's by then.
func TestNoCallOnceTheLeaseIsOver(t *testing.T) {
	db := sql.OpenDB(failing{})
	defer func() { _ = db.Close() }()
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	target := Target{Deliver: func(context.Context, *sql.DB, []journal.Entry) Result { calls++; return Result{} }}
	w := &worker{relay: newRelay(nil, db, Config{}), target: target, conn: conn, lease: &lease{}}
	ctx, done := w.lease.guard(context.Background())
	defer done()
	entries := entriesOf("a", "b")
	if r, err := w.call(ctx, entries); err != nil || !r.acceptedAll() || calls != 1 {
		t.Fatalf("%d calls while the lease holds: %+v", calls, r)
	}
	w.lease.lose(errRanOut)
	if r, _ := w.call(ctx, entries); calls != 1 || !errors.Is(r.why().Err, errRanOut) {
		t.Errorf("%d calls in all, the last one: %+v", calls, r)
	}
}
