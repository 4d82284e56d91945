package relay_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// keyAt is a key as a client makes it whose clock says at.
func keyAt(at time.Time) uuid.UUID {
	key := uuid.Must(uuid.NewV7())
	ms := uint64(at.UnixMilli()) //nolint:gosec // after 1970
	binary.BigEndian.PutUint64(key[:8], ms<<16|uint64(binary.BigEndian.Uint16(key[6:8])))
	return key
}

// TestConflictingTransactions: one that has its xid first, and waits for another one's lock, is
// delivered after that, as the rows of the app were written.
func TestConflictingTransactions(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		w.exec("CREATE TABLE app (n int)")
		w.exec("INSERT INTO app VALUES (0)")
		const update = "UPDATE app SET n = n + 1"
		want := make([]string, 0, 6)
		for i := range 3 {
			first, second := w.begin(), w.begin()
			second.xid() // before the other
			first.exec(update)
			a, b := fmt.Sprint("first", i), fmt.Sprint("second", i)
			first.recordAs(keyAt(time.Now().Add(time.Hour)), a) // nor do the clients' clocks say
			done := make(chan struct{})
			go func() {
				defer close(done)
				second.exec(update) // waits
			}()
			first.commit()
			<-done
			second.recordAs(keyAt(time.Now().Add(-time.Hour)), b)
			second.commit()
			want = append(want, a, b)
		}
		w.drain(w.start(relay.Config{}))
		w.want(strings.Join(want, " "))
	}, dbtest.PostgresEngines()...)
}

// TestServerClockSetBack: the order within a transaction does not depend on the clock.
func TestServerClockSetBack(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		w.commit("before")
		tx := w.begin()
		tx.record("a", "b")
		tx.record("c")
		tx.commit()
		w.commit("after")
		w.set(w.entries()["c"].Key, "recorded_at = recorded_at - interval '1 hour'")
		w.drain(w.start(relay.Config{}))
		w.want("before a b c after")
	}, dbtest.PostgresEngines()...)
}

// TestClientClocks: what hosts write whose clocks are an hour apart, or go back, is delivered
// once, and the relay reads about what there is, not what their keys are apart.
func TestClientClocks(t *testing.T) {
	w := newWorld(t, dbtest.PQ)
	db := dbtest.Open(t, w.e.Driver, w.dsn)
	db.SetMaxOpenConns(1)
	_, err := db.ExecContext(ctx, rows("old", 20_000)) // whose keys are random
	w.must(err)
	catchUp := func() {
		_, err := relay.CatchUp(ctx, w.store, db, relay.Config{Targets: []relay.Target{w.target()}, Batch: 3}, relay.Share{})
		w.must(err)
	}
	catchUp()
	w.sink.got = nil
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	before, n := w.read(db), 0
	var open []*tx
	for i := range 60 {
		tx := w.begin()
		for range 1 + i%3 {
			tx.recordAs(keyAt(time.Now().Add(time.Duration(rng.IntN(7200)-3600)*time.Second)), fmt.Sprint(n), fmt.Sprint(n+1))
			n += 2
		}
		if i%7 == 0 {
			open = append(open, tx) // committed later
		} else {
			tx.commit()
		}
		if i%5 == 0 {
			catchUp()
		}
	}
	for _, tx := range open {
		tx.commit()
	}
	catchUp()
	came := make(map[string]int)
	for _, name := range w.sink.got {
		came[name]++
	}
	for i := range n {
		if came[fmt.Sprint(i)] != 1 {
			t.Errorf("%d came %d times", i, came[fmt.Sprint(i)])
		}
	}
	if read := w.read(db) - before; read > int64(20*n) {
		t.Errorf("%d rows were read for %d events beside 20,000 old rows", read, n)
	}
}

// TestHalvingReadsOnce: while a batch is halved to find a bad entry, no document is read, and
// so decoded, again; neither when an entry follows the cursor nor when it is due.
func TestHalvingReadsOnce(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		p := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
		var reads atomic.Int64
		p.Next(dbtest.HoldStatement, func(statement string) bool {
			if strings.Contains(statement, "document, personal FROM") {
				reads.Add(1)
			}
			return false
		})
		looks := w.db
		names := make([]string, 900)
		for i := range names {
			names[i] = fmt.Sprint(i)
		}
		names[700] = "bad"
		w.sink.refuse = refuseBad
		w.commit(names...)
		w.db = dbtest.Open(t, e.Driver, dbtest.Via(w.dsn, p.Addr()))
		w.db.SetMaxOpenConns(2)
		r := w.start(relay.Config{Batch: 1000, Lease: time.Hour})
		w.db = looks
		w.drain(r)
		if n := reads.Load(); n > 2 || w.sink.calls < 10 {
			t.Errorf("%d reads of documents for %d calls with parts of one row", n, w.sink.calls)
		}
		w.until("the bad one has failed", func() bool { return len(w.failures(false)) == 1 })
		w.must(r.Stop(ctx))
		before, calls := reads.Load(), w.sink.calls
		w.replay(relay.Selection{From: time.Now().Add(-time.Hour)})
		w.db = dbtest.Open(t, e.Driver, dbtest.Via(w.dsn, p.Addr()))
		r = w.start(relay.Config{Batch: 1000, Lease: time.Hour})
		w.db = looks
		w.until("all but the bad one are settled", func() bool { return w.state().Retrying == 1 && w.failures(false)[0].Attempts > 0 })
		w.must(r.Stop(ctx))
		if n := reads.Load() - before; n > 3 || w.sink.calls < calls+10 {
			t.Errorf("%d reads of documents for %d calls with what is due", n, w.sink.calls-calls)
		}
	}, dbtest.PostgresEngines()...)
}
