package relay_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
)

// TestTwins: a sink that refuses one of two entries with one event ID, which another role may
// have written, refuses only that one.
func TestTwins(t *testing.T) {
	each(t, func(w *world) {
		w.commit("real")
		w.commit("other")
		w.commit("forged")
		id := func(name string) (id string) {
			w.must(w.db.QueryRowContext(ctx, "SELECT substr(document, 9, 36) FROM "+w.own("journal")+` WHERE document LIKE '%"`+name+`"%'`).Scan(&id))
			return id
		}
		w.exec("UPDATE " + w.own("journal") + " SET document = replace(document, '" + id("forged") + "', '" + id("real") + "')")
		target := w.target()
		target.Deliver = func(_ context.Context, _ *sql.DB, entries []journal.Entry) (r relay.Result) {
			for _, e := range entries {
				if e.Target.ID == "forged" {
					r.Failed = map[uuid.UUID]relay.Failure{e.ID: {Reason: "bad", Permanent: true, Err: errors.New("refused")}}
				}
			}
			return r
		}
		r := w.start(relay.Config{Targets: []relay.Target{target}})
		w.until("one is refused", func() bool { return len(w.failures(true)) > 0 })
		w.drain(r)
		if f := w.failures(true); len(f) != 1 {
			t.Errorf("%d entries are dead letters, want the forged one: %+v", len(f), f)
		}
	})
}
