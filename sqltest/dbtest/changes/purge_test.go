package changes_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// picky is a forwarder to another system that discards some entries for good, or waits.
type picky func(journal.Entry) error

func (p picky) Forward(_ context.Context, entries []journal.Entry) error {
	failed := make(map[uuid.UUID]error)
	for _, e := range entries {
		if err := p(e); err != nil {
			failed[e.ID] = err
		}
	}
	if len(failed) > 0 {
		return forward.Partial(failed)
	}
	return nil
}

// kept are the keys of the rows that changes are kept of.
func (w *world) kept() string {
	w.Helper()
	return w.text("SELECT coalesce(string_agg(DISTINCT key, ' '), '') FROM threadline.audit_changes")
}

// purger purges the journal of an app, of everything.
type purger struct {
	*copied
	store *relay.Store
	o     relay.PurgeOptions
}

// purge wants the same of a dry run.
func (p *purger) purge(want relay.Purged) {
	p.Helper()
	for _, p.o.Dry = range []bool{true, false} {
		got, err := p.store.Purge(ctx, p.world.db, p.o)
		p.must(err)
		got.Events, got.Kept = 0, 0
		if got != want {
			p.Errorf("dry %t: %+v, want %+v", p.o.Dry, got, want)
		}
	}
}

// wantRow wants the row, that it is a value of a, or an error.
func (w *world) wantRow(at time.Time, key, want string) {
	w.Helper()
	row, err := w.store.RowAsOf(ctx, "t", at, key)
	got := ""
	if err == nil {
		got = row.Values[1].String()
	} else if errors.Is(err, changes.ErrBroken) {
		got = err.Error()
	}
	if want == "" || !strings.Contains(got, want) {
		w.Errorf("row %s is %q, %v; want %s", key, got, err, want)
	}
}

// TestPurged: a purge of the journal deletes row changes only if another database is named as their keeper, only those that it has,
// and that no forwarder still needs. What they said is a break then, and not that there was nothing.
func TestPurged(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "INSERT INTO t VALUES (9, 9)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (0, 0)") // before the forwarder is registered, so that it does not get it
		store, err := relay.New(hooks.Postgres, nil)
		w.must(err)
		p := &purger{w.copyTo(w.e.DSN(w.T), func(hub *forward.Hub) {
			hub.Register(picky(func(e journal.Entry) error {
				if e.Change != nil && e.Target.ID == "5" {
					return forward.Permanent("refused", errors.New("not this one"))
				}
				return nil
			}), forward.Async, forward.WithChanges(changes.NewSource(nil)))
		}, forward.Filter(func(e journal.Entry) bool { return e.Target.ID != "7" })), store, relay.PurgeOptions{Before: time.Now().Add(time.Hour), By: "o'brien", Batch: 10}}
		p.drain()
		p.tx([]string{"alice"}, "INSERT INTO t VALUES (1, 1)")
		mid := w.now()
		w.exec("UPDATE t SET a = 2 WHERE id = 1", "INSERT INTO t VALUES (5, 5)", "INSERT INTO t VALUES (7, 7), (8, 8)", "INSERT INTO t VALUES (2, 2)", "DELETE FROM t WHERE id = 2",
			"INSERT INTO t SELECT n, n FROM generate_series(100, 124) n")
		p.drain()
		w.must(store.Register(ctx, w.db, "slow/default"))
		w.exec("INSERT INTO t VALUES (3, 3)")
		p.drain()
		at, all := w.now(), w.kept()

		p.purge(relay.Purged{}) // no keeper is named
		for _, wrong := range []*changes.Store{w.store, w.elsewhere(w.e.DSN(w.T)).store} {
			p.o.Changes = changes.KeptIn(wrong, nil)
			if _, err = store.Purge(ctx, w.db, p.o); err == nil {
				w.Error("what keeps nothing is a keeper")
			}
		}
		late := p.o.Before
		p.o.Changes, p.o.Before = changes.KeptIn(p.there.store, nil), mid.Add(-time.Hour)
		p.purge(relay.Purged{})
		if got := w.kept(); got != all {
			w.Errorf("of %s there are %s", all, got)
		}
		p.o.Before = late
		p.purge(relay.Purged{Changes: 29, ChangesKept: 5})
		if got := w.kept(); got != "(0) (3) (5) (7) (8)" {
			w.Errorf("there are %s", got)
		}
		w.wantBreaks("began t: its capture began\npurged t: changes that were deleted here: 29: they are in "+p.there.text("SELECT current_database()")+".threadline", "t")
		for key, want := range map[string]string{"1": "2", "3": "3", "9": "9", "2": "deleted here"} {
			w.wantRow(at, key, want)
		}
		for _, key := range []string{"1", "9", "110"} {
			w.wantRow(mid, key, "deleted here")
		}
		p.there.wantRow(mid, "1", "1")
		p.there.wantBy("1", changes.NoEvent, "no event") // of the UPDATE by hand

		w.must(store.Retire(ctx, w.db, "slow/default"))
		p.purge(relay.Purged{Changes: 1, ChangesKept: 4})
		_, err = store.Dismiss(ctx, w.db, "changes_test.picky/default")
		w.must(err)
		p.purge(relay.Purged{Changes: 1, ChangesKept: 3})
		if got := w.kept(); got != "(0) (7) (8)" {
			w.Errorf("there are %s", got)
		}
	}, dbtest.PostgresEngines()[0])
}
