package relay_test

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ngrok/sqlmw"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// brisk is a lease so short that a relay soon sees what an operator did.
const brisk = 30 * time.Millisecond

// entries returns the journal by name.
func (w *world) entries() map[string]journal.Entry {
	w.Helper()
	entries := make(map[string]journal.Entry)
	for e, err := range w.j.Each(ctx, w.db, journal.Query{}) {
		w.must(err)
		entries[e.Target.ID] = e
	}
	return entries
}

// replay replays sel, which by default is for the world's forwarder, and lets the
// time pass at which it is due.
func (w *world) replay(sel relay.Selection) int64 {
	w.Helper()
	sel.Forwarder = name
	dry, err := w.store.Replay(ctx, w.db, sel, true)
	w.must(err)
	n, err := w.store.Replay(ctx, w.db, sel, false)
	w.must(err)
	if n != dry {
		w.Errorf("Replay of %+v gave %d, the dry run had %d", sel, n, dry)
	}
	w.clock.pass(time.Hour)
	return n
}

func TestReplayByID(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "b", "c", "d")
		r := w.start(relay.Config{Lease: brisk})
		w.drain(r)
		entries := w.entries()
		if n := w.replay(relay.Selection{IDs: []uuid.UUID{entries["d"].ID, entries["b"].ID}}); n != 2 {
			t.Errorf("%d are replayed, want 2", n)
		}
		w.until("they come again, in the order of the journal", func() bool { return w.sink.all() == "a b c d b d" })
		w.until("they are settled", func() bool { return w.state().Retrying == 0 })
	})
}

// TestReplayByIDIsNarrow: an event is looked for only in rows that were written within a day of
// the time that its ID has, and one whose ID has none in all rows.
func TestReplayByIDIsNarrow(t *testing.T) {
	each(t, func(w *world) {
		made := time.Now().Add(-100 * 24 * time.Hour)
		plain := uuid.New()
		write := func(name string, id uuid.UUID, written time.Time) {
			tx := w.begin()
			e := event(name)
			e.ID = id
			tx.write(uuid7(written), e)
			tx.commit()
		}
		for name, after := range map[string]time.Duration{"day before": -25 * time.Hour, "before": -23 * time.Hour, "then": 0, "after": 23 * time.Hour, "day after": 25 * time.Hour} {
			write(name, uuid7(made), made.Add(after)) // with an ID of its own
			write(name+", of no time", plain, made.Add(after))
		}
		w.drain(w.start(relay.Config{Lease: brisk}))
		for name, e := range w.entries() {
			want := int64(1)
			switch {
			case e.ID == plain:
				want = 5
			case strings.HasPrefix(name, "day "):
				want = 0
			}
			for others := range 2 { // which make them many
				ids := []uuid.UUID{e.ID}
				for range 100 * others {
					ids = append(ids, e.ID)
				}
				n, err := w.store.Replay(ctx, w.db, relay.Selection{Forwarder: "sink/default", IDs: ids}, true)
				if n != want || (err == nil) != (want > 0) || want == 0 && !strings.Contains(err.Error(), "no entry has the ID "+e.ID.String()+": ") {
					t.Errorf("%s, with %d IDs: %d are replayed, %v, want %d", name, len(ids), n, err, want)
				}
			}
		}
	})
}

// TestReplayByManyIDs: documents are not read by the database once for each ID. One that cannot
// be read, and rows that are many, or have many events, keep no other from being found.
func TestReplayByManyIDs(t *testing.T) {
	each(t, func(w *world) {
		var ids []uuid.UUID
		for i := range 60 {
			names := []string{fmt.Sprint(i, "a"), fmt.Sprint(i, "b"), fmt.Sprint(i, "c")}
			w.commit(names...)
		}
		w.commit("bad")
		entries := w.entries()
		bad := entries["bad"]
		for n, e := range entries {
			if strings.HasSuffix(n, "b") {
				ids = append(ids, e.ID, e.ID)
			}
		}
		w.set(bad.Key, "document = '[{' || document")
		w.drain(w.start(relay.Config{}))
		spied := &asking{ids: ids}
		db := dbtest.Open(t, dbtest.Wrap(t, w.e.Driver, func(d driver.Driver) driver.Driver { return sqlmw.Driver(d, spied) }), w.dsn)
		n, err := w.store.Replay(ctx, db, relay.Selection{Forwarder: name, IDs: ids}, true)
		if w.must(err); n != 60 {
			t.Errorf("%d would be replayed, want 60", n)
		}
		if spied.most > 20 {
			t.Errorf("one statement has the database look for %d IDs in documents", spied.most)
		}
		unknown := uuid7(time.Now().Add(-time.Hour))
		for _, dry := range []bool{true, false} {
			n, err = w.store.Replay(ctx, w.db, relay.Selection{Forwarder: name, IDs: append(ids, unknown, bad.ID, unknown)}, dry)
			if n != 0 || err == nil || !strings.Contains(err.Error(), "no entry has the IDs "+unknown.String()+", "+bad.ID.String()+": ") {
				t.Errorf("of IDs that no readable entry has: %d, %v", n, err)
			}
		}
		same := uuid.New()
		for range 45 { // more than are read at a time
			tx, e := w.begin(), event("same")
			e.ID = same
			tx.write(key(), e)
			tx.commit()
		}
		w.drain(w.start(relay.Config{}))
		if n, err = w.store.Replay(ctx, w.db, relay.Selection{Forwarder: name, IDs: []uuid.UUID{same}}, true); err != nil || n != 45 {
			t.Errorf("%d of the same ID would be replayed, %v, want 45", n, err)
		}
	})
}

// asking notes how many of the IDs a statement has that reads documents.
type asking struct {
	sqlmw.NullInterceptor
	ids  []uuid.UUID
	most int
}

func (a *asking) ConnQueryContext(c context.Context, conn driver.QueryerContext, query string, args []driver.NamedValue) (context.Context, driver.Rows, error) {
	if n := 0; strings.Contains(query, "document") {
		for _, id := range a.ids {
			n += strings.Count(query, id.String())
		}
		a.most = max(a.most, n)
	}
	rows, err := conn.QueryContext(c, query, args)
	return c, rows, err
}

// uuid7 is one of a time.
func uuid7(at time.Time) uuid.UUID {
	id := key()
	ms := uint64(at.UnixMilli())
	binary.BigEndian.PutUint16(id[:], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:], uint32(ms))
	return id
}

func TestReplayByTime(t *testing.T) {
	each(t, func(w *world) {
		for _, n := range []string{"a", "b", "c", "d"} {
			w.commit(n)
			time.Sleep(2 * time.Millisecond) // recorded at times of their own
		}
		r := w.start(relay.Config{Lease: brisk})
		w.drain(r)
		e := w.entries()
		if n := w.replay(relay.Selection{From: e["b"].RecordedAt, To: e["d"].RecordedAt}); n != 2 {
			t.Errorf("%d are replayed, want b and c", n)
		}
		w.until("b and c come again", func() bool { return w.sink.all() == "a b c d b c" })
		if n := w.replay(relay.Selection{From: e["c"].RecordedAt}); n != 2 {
			t.Errorf("%d are replayed, want c and d", n)
		}
		if n := w.replay(relay.Selection{To: e["a"].RecordedAt}); n != 0 {
			t.Errorf("%d are replayed, want none", n)
		}
	})
}

// TestReplayByReason: discarded entries are found by why, and delivered once the
// sink takes them.
func TestReplayByReason(t *testing.T) {
	each(t, func(w *world) {
		w.sink.refuse = func(name string) error {
			if name == "b" || name == "c" {
				return permanent{errTransient}
			}
			return nil
		}
		for _, n := range []string{"a", "b", "c"} {
			w.commit(n)
		}
		r := w.start(relay.Config{Batch: 1, Lease: brisk})
		w.drain(r)
		if s := w.state(); s.Discarded != 2 || s.Retrying != 0 || s.Behind != 0 {
			t.Fatalf("%+v, want b and c to be discarded", s)
		}
		w.sink.set(func(s *sink) { s.refuse = nil })
		for _, sel := range []relay.Selection{{Reason: "timeout"}, {Discarded: true, IDs: []uuid.UUID{w.entries()["a"].ID}}} {
			if n := w.replay(sel); n != 0 {
				t.Errorf("Replay(%+v) = %d, want none", sel, n)
			}
		}
		if n := w.replay(relay.Selection{Reason: "error", IDs: []uuid.UUID{w.entries()["c"].ID}}); n != 1 {
			t.Errorf("%d are replayed, want c", n)
		}
		w.until("c comes", func() bool { return w.sink.all() == "a c" })
		if n := w.replay(relay.Selection{Discarded: true}); n != 1 {
			t.Errorf("%d are replayed, want b", n)
		}
		w.until("b comes", func() bool { return w.sink.all() == "a c b" })
		w.until("nothing is left", func() bool { s := w.state(); return s.Discarded+s.Retrying == 0 })
	})
}

// TestReplayOfWhatComesAnyway: what the cursor has not reached is not counted, and
// comes once.
func TestReplayOfWhatComesAnyway(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "b")
		if n := w.replay(relay.Selection{From: time.Unix(0, 0)}); n != 0 {
			t.Errorf("%d are replayed, want none", n)
		}
		w.drain(w.start(relay.Config{}))
		w.ticks(3)
		w.want("a b")
	})
}

func TestReplayRefuses(t *testing.T) {
	each(t, func(w *world) {
		id := []uuid.UUID{uuid.New()}
		now := time.Now()
		for want, sel := range map[string]relay.Selection{
			"name the forwarder":                   {IDs: id},
			"say what":                             {Forwarder: name},
			"From is not before To":                {Forwarder: name, From: now, To: now},
			"no forwarder of that name":            {Forwarder: "nobody/default", IDs: id},
			"no forwarder of that name is registe": {Forwarder: "o'brien\\/default", Discarded: true},
		} {
			for _, dry := range []bool{true, false} {
				if _, err := w.store.Replay(ctx, w.db, sel, dry); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Replay(%+v) = %v, want an error with %q", sel, err, want)
				}
			}
		}
		if err := w.store.Retire(ctx, w.db, "nobody/default"); err == nil {
			t.Error("Retire of a forwarder that is not registered is no error")
		}
		if _, err := w.store.Resume(ctx, w.db, "nobody/default", true); err == nil {
			t.Error("Resume of a forwarder that is not registered is no error")
		}
	})
}

// TestFailures: they are listed by state and forwarder, the oldest attempt first.
func TestFailures(t *testing.T) {
	each(t, func(w *world) {
		w.must(w.store.Register(ctx, w.db, "other/default"))
		w.sink.whole = permanent{errTransient}
		other := w.target()
		other.Name = "other/default"
		r := w.start(relay.Config{Targets: []relay.Target{w.target(), other}})
		w.commit("a")
		w.drain(r)
		w.clock.pass(time.Minute)
		w.commit("b")
		w.drain(r)
		list := func(forwarder string, discarded bool, limit int) []relay.Failed {
			f, err := w.store.Failures(ctx, w.db, forwarder, discarded, limit)
			w.must(err)
			return f
		}
		if n := len(list("", true, 0)); n != 4 {
			t.Errorf("%d failures of all forwarders, want 4", n)
		}
		if n := len(list("", true, 3)); n != 3 {
			t.Errorf("%d failures with a limit of 3", n)
		}
		if n := len(list(name, false, 0)); n != 0 {
			t.Errorf("%d are to be tried again, want none", n)
		}
		f := list(name, true, 0)
		if len(f) != 2 || f[0].EventID != w.entries()["a"].ID || !f[0].Discarded || f[0].Attempts != 1 ||
			f[0].Error != errTransient.Error() || f[1].LastAt.Sub(f[0].LastAt).Round(time.Second) != time.Minute {
			t.Errorf("failures %+v, want a and then b", f)
		}
	})
}

// TestDismiss: what is dismissed is gone, by id or all of it, and nothing that is
// to be tried again.
func TestDismiss(t *testing.T) {
	each(t, func(w *world) {
		w.sink.refuse = func(name string) error {
			if name == "later" {
				return errTransient
			}
			return permanent{errTransient}
		}
		r := w.start(relay.Config{Batch: 1})
		for _, n := range []string{"a", "b", "c", "later"} {
			w.commit(n)
		}
		w.drain(r)
		dismiss := func(want int64, ids ...uuid.UUID) {
			n, err := w.store.Dismiss(ctx, w.db, name, ids...)
			w.must(err)
			if n != want {
				t.Errorf("%d are dismissed, want %d", n, want)
			}
		}
		e := w.entries()
		dismiss(1, e["a"].ID, e["later"].ID)
		dismiss(2)
		dismiss(0)
		if s := w.state(); s.Discarded != 0 || s.Retrying != 1 {
			t.Errorf("%+v, want one that is tried again", s)
		}
	})
}

// TestGone: an entry that somebody has deleted is discarded when it is due.
func TestGone(t *testing.T) {
	each(t, func(w *world) {
		w.sink.refuse = func(n string) error {
			if n == "b" {
				return errTransient
			}
			return nil
		}
		for _, n := range []string{"a", "b", "c"} {
			w.commit(n)
		}
		r := w.start(relay.Config{})
		w.drain(r)
		id := w.entries()["b"].ID
		w.lose("b")
		w.clock.pass(time.Hour)
		w.until("it is discarded", func() bool { return len(w.failures(true)) == 1 })
		f := w.failures(true)[0]
		if f.EventID != id || f.Reason != relay.ReasonGone || f.Error != "relay: the journal has no such entry any more" {
			t.Errorf("%+v, want it to be gone", f)
		}
		n, err := w.store.Dismiss(ctx, w.db, name)
		if err != nil || n != 1 {
			t.Errorf("Dismiss = %d, %v", n, err)
		}
	})
}

// lose deletes the row that has an entry.
func (w *world) lose(name string) {
	w.Helper()
	key := w.entries()[name].Key
	w.exec("DELETE FROM " + w.own("journal") + " WHERE key = '" + key.String() + "'")
}

// TestHolderThatHasDied: a process that has died holds nothing once its lease has ended.
func TestHolderThatHasDied(t *testing.T) {
	each(t, func(w *world) {
		w.lease("dead", past)
		if s := w.state(); s.Holder != "" {
			w.Errorf("holder %q, which died long ago", s.Holder)
		}
		w.lease("alive", future)
		if s := w.state(); s.Holder != "alive" {
			w.Errorf("holder %q, want alive", s.Holder)
		}
	})
}

// TestStates: how far behind a forwarder is, and since when.
func TestStates(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a", "b")
		s, oldest := w.state(), w.entries()["a"].RecordedAt
		if s.Behind != 2 || !s.Oldest.Equal(oldest) || s.Holder != "" || s.Elsewhere || s.RegisteredAt.IsZero() || !s.RetiredAt.IsZero() {
			t.Errorf("%+v, want two behind since %v", s, oldest)
		}
		r := w.start(relay.Config{Holder: "me"})
		w.drain(r)
		if s = w.state(); s.Behind != 0 || !s.Oldest.IsZero() || s.Holder != "me" {
			t.Errorf("%+v, want none behind", s)
		}
		n, err := w.store.Size(ctx, w.db)
		if err != nil || n != 2 {
			t.Errorf("Size = %d, %v", n, err)
		}
	})
}
