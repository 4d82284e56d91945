package relay_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// purge deletes all that is old enough, which by then everything is.
func (w *world) purge(batch int) relay.Purged {
	w.Helper()
	o := relay.PurgeOptions{Before: time.Now().Add(time.Hour), By: "o'brien", Batch: batch}
	dry := o
	dry.Dry = true
	would, err := w.store.Purge(ctx, w.db, dry)
	w.must(err)
	did, err := w.store.Purge(ctx, w.db, o)
	w.must(err)
	if did != would {
		w.Errorf("Purge = %+v, the dry run had %+v", did, would)
	}
	return did
}

// left are the names that the journal has.
func (w *world) left() string {
	w.Helper()
	names := make([]string, 0)
	entries := w.entries()
	for n := range entries {
		names = append(names, n)
	}
	for i := range names { // by key
		for j := i; j > 0 && entries[names[j]].Compare(entries[names[j-1]].Position) < 0; j-- {
			names[j], names[j-1] = names[j-1], names[j]
		}
	}
	return strings.Join(names, " ")
}

// TestPurgeKeepsWhatIsNotSettled: what is behind, tried again or discarded stays,
// until it is replayed, dismissed, or its forwarder retired.
func TestPurgeKeepsWhatIsNotSettled(t *testing.T) {
	each(t, func(w *world) {
		w.sink.refuse = func(n string) error {
			switch n {
			case "bad":
				return permanent{errTransient}
			case "later":
				return errTransient
			}
			return nil
		}
		w.must(w.store.Register(ctx, w.db, "slow/default"))
		other := w.target()
		other.Name = "slow/default"
		other.Deliver = (&sink{}).deliver
		slow := w.start(relay.Config{Targets: []relay.Target{other}})
		fast := w.start(relay.Config{Batch: 1})
		for _, n := range []string{"a", "bad", "b", "later", "c"} {
			w.commit(n)
		}
		w.drain(slow)
		w.drain(fast)
		w.must(slow.Stop(ctx))
		w.commit("d")
		w.drain(fast) // slow does not get d
		want := func(step, left string, p relay.Purged, kept int64) {
			if got := w.left(); got != left || p.Kept != kept {
				t.Errorf("%s: the journal has [%s] and %d were kept, want [%s] and %d", step, got, p.Kept, left, kept)
			}
		}
		want("with all of it", "bad later d", w.purge(2), 3)
		_, err := w.store.Dismiss(ctx, w.db, name)
		w.must(err)
		want("bad is dismissed", "later d", w.purge(2), 2)
		w.sink.set(func(s *sink) { s.refuse = nil })
		w.clock.pass(time.Hour)
		w.until("later is delivered", func() bool { return w.state().Retrying == 0 })
		want("later is delivered", "d", w.purge(2), 1)
		w.must(w.store.Retire(ctx, w.db, "slow/default"))
		want("slow is retired", "", w.purge(2), 0)
	})
}

// TestPurgeIsWrittenDown: each batch, with who and what.
func TestPurgeIsWrittenDown(t *testing.T) {
	each(t, func(w *world) {
		names := []string{"a", "b", "c", "d", "e"}
		for _, n := range names {
			w.commit(n, n+" too")
		}
		keys := make(map[string]string)
		for n, e := range w.entries() {
			keys[e.Key.String()] = n[:1]
		}
		w.drain(w.start(relay.Config{}))
		if p := w.purge(2); p.Events != 10 || p.Kept != 0 {
			t.Errorf("Purge = %+v, want 10 events", p)
		}
		rows, err := w.db.QueryContext(ctx, "SELECT purged_by, events, first_key, last_key FROM "+w.own("journal_purges")+" ORDER BY purged_at, first_key")
		w.must(err)
		defer rows.Close()
		var got []string
		for rows.Next() {
			var (
				by, first, last string
				n               int
			)
			w.must(rows.Scan(&by, &n, &first, &last))
			got = append(got, fmt.Sprintf("%s %d %s-%s", by, n, keys[first], keys[last]))
		}
		w.must(rows.Err())
		if all := strings.Join(got, ", "); all != "o'brien 4 a-b, o'brien 4 c-d, o'brien 2 e-e" {
			t.Errorf("written down: %s", all)
		}
		if p := w.purge(2); p.Events != 0 {
			t.Errorf("Purge again = %+v", p)
		}
	})
}

// TestPurgeByAge: what is not old enough stays, and is not counted as kept.
func TestPurgeByAge(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a")
		time.Sleep(2 * time.Millisecond)
		w.commit("b")
		w.drain(w.start(relay.Config{}))
		p, err := w.store.Purge(ctx, w.db, relay.PurgeOptions{Before: w.entries()["b"].RecordedAt, By: "me"})
		w.must(err)
		if got := w.left(); p != (relay.Purged{Events: 1}) || got != "b" {
			t.Errorf("Purge = %+v, and [%s] is left", p, got)
		}
		for want, o := range map[string]relay.PurgeOptions{
			"Before is not set": {By: "me"},
			"By is empty":       {Before: time.Now()},
		} {
			if _, err := w.store.Purge(ctx, w.db, o); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Purge(%+v) = %v, want an error with %q", o, err, want)
			}
		}
	})
}

// TestPurgeMeanwhile: a purge among writers and a relay deletes nothing that has
// not been delivered.
func TestPurgeMeanwhile(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		tr := newTrial(t, e, 1)
		txs := 250
		if e.Dialect == hooks.SQLite {
			txs = 100
		}
		calm := &process{w: tr.world, calm: true}
		var relays []*relay.Relay
		for _, s := range []restless{tr.memory, tr.table} {
			r := relay.Start(tr.store, tr.db, relay.Config{Targets: []relay.Target{s.target(calm)}, Batch: 3, Lease: lasting, Poll: 5 * time.Millisecond})
			relays = append(relays, r)
		}
		stop := make(chan struct{})
		var (
			wg     sync.WaitGroup
			purged relay.Purged
		)
		wg.Go(func() {
			for {
				p, err := tr.store.Purge(ctx, tr.db, relay.PurgeOptions{Before: time.Now().Add(time.Hour), By: "purge", Batch: 7})
				purged.Events += p.Events
				if err != nil {
					t.Error(err)
					return
				}
				select {
				case <-stop:
					if purged.Events > 0 {
						return
					}
				case <-time.After(time.Millisecond):
				}
			}
		})
		c := &crowd{w: tr.world}
		c.rush(4, txs, 1)
		close(stop)
		wg.Wait()
		for _, r := range relays {
			tr.drain(r)
			tr.must(r.Stop(ctx))
		}
		t.Logf("%d of %d were purged meanwhile", purged.Events, c.events())
		purged.Events += tr.purge(100).Events
		if int(purged.Events) != c.events() {
			t.Errorf("%d were purged, want %d", purged.Events, c.events())
		}
		seqs := make(map[string]string)
		for _, tx := range c.committed {
			for _, n := range tx {
				seqs[n] = ""
			}
		}
		for sink, got := range map[string][]delivered{"memory": tr.memory.got, "table": tr.table.read(tr.world)} {
			for _, wrong := range faults(seqs, got) {
				t.Errorf("%s: %s", sink, wrong)
			}
		}
	})
}

// TestFrozenPurge: a process that is frozen while it deletes keeps no other from
// deleting for longer than the server lets it.
func TestFrozenPurge(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		w.commit("a")
		w.must(w.store.Retire(ctx, w.db, name))
		p := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
		trap := p.Next(dbtest.HoldAnswer, having("DELETE FROM"))
		defer trap.Release()
		all := relay.PurgeOptions{Before: time.Now().Add(time.Hour), By: "me"}
		done := make(chan error, 1)
		frozen := dbtest.Open(t, e.Driver, dbtest.Via(w.dsn, p.Addr()))
		go func() {
			_, err := w.store.Purge(ctx, frozen, all)
			done <- err
		}()
		<-trap.Sprung()
		if purged, err := w.store.Purge(ctx, w.db, all); err != nil || purged.Events != 1 {
			t.Errorf("Purge = %+v, %v, want the one event", purged, err)
		}
		trap.Release()
		if err := <-done; err == nil {
			t.Error("the frozen one has deleted, too")
		}
	}, dbtest.PGX)
}

// TestPurgeBesideReplay: what Replay gives to a forwarder is not purged while Replay is at it.
func TestPurgeBesideReplay(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		w.commit("a")
		w.drain(w.start(relay.Config{}))
		w.besideRetries(func() {
			if n := w.replay(relay.Selection{Forwarder: name, From: time.Now().Add(-time.Hour)}); n != 1 {
				w.Errorf("Replay = %d, want 1", n)
			}
		})
		w.until("it is delivered again", func() bool { return w.sink.all() == "a a" })
	}, dbtest.PostgresEngines()...)
}

// besideRetries purges while another session, which runs f, is about to commit what it has
// written to the table retries.
func (w *world) besideRetries(f func()) {
	w.Helper()
	w.exec("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END'")
	w.exec("CREATE TRIGGER wait AFTER INSERT ON aftercommit.retries FOR EACH STATEMENT EXECUTE FUNCTION wait()")
	gate, err := w.db.Conn(ctx)
	w.must(err)
	defer gate.Close()
	_, err = gate.ExecContext(ctx, "SELECT pg_advisory_lock(7)")
	w.must(err)
	var wg sync.WaitGroup
	wg.Go(f)
	waits := func(what string) bool {
		var n int
		w.must(gate.QueryRowContext(ctx, "SELECT count(*) FROM pg_locks WHERE NOT granted AND "+what).Scan(&n))
		return n > 0
	}
	w.until("the retries are written", func() bool { return waits("locktype = 'advisory'") })
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		for { // its wait for the lock is bounded
			_, e := w.store.Purge(ctx, w.db, relay.PurgeOptions{Before: time.Now().Add(time.Hour), By: "ops"})
			if hooks.SQLState(e) == "55P03" {
				continue
			}
			w.must(e)
			return
		}
	})
	w.until("the purge waits, or has deleted", func() bool {
		select {
		case <-done:
			return true
		default:
			return waits("relation = 'aftercommit.journal_purges'::regclass")
		}
	})
	_, err = gate.ExecContext(ctx, "SELECT pg_advisory_unlock(7)")
	w.must(err)
	wg.Wait()
	w.exec("DROP TRIGGER wait ON aftercommit.retries")
}
