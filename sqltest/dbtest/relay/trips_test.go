package relay_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestRoundTrips: a batch for a sink in the same database takes four: to read it,
// to begin, the sink's one, and to move the cursor and commit.
func TestRoundTrips(t *testing.T) {
	w := newWorld(t, dbtest.PQ)
	p := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
	db := dbtest.Open(t, w.e.Driver, dbtest.Via(w.dsn, p.Addr()))
	db.SetMaxOpenConns(1)
	target := relay.Target{Name: name, MaxAttempts: 5, SameDatabase: true, Deliver: func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
		_, err := db.ExecContext(c, "SELECT 1")
		w.must(err)
		return w.sink.deliver(c, db, entries)
	}}
	const batch = 5
	trips := func(batches int) int64 {
		for i := range batches * batch {
			w.commit(fmt.Sprint(i))
		}
		before := p.Trips()
		_, err := relay.CatchUp(ctx, w.store, db, relay.Config{Targets: []relay.Target{target}, Batch: batch}, relay.Share{})
		w.must(err)
		return p.Trips() - before
	}
	trips(1) // which also asks once for the encoding
	one := trips(1)
	if two := trips(2); two != one+4 {
		t.Errorf("%d round trips for one batch, %d for two, want 4 more", one, two)
	}
}
