package relay_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// meter is a connector that counts connections, and transactions as the server does: one for
// each connection, and one for each round trip outside a transaction. It may be cut off.
type meter struct {
	driver.Connector
	prepares           bool // each new query takes a round trip more
	open, transactions atomic.Int64
	cut                atomic.Bool
}

var errCut = errors.New("cut off")

// Connect implements driver.Connector.
func (m *meter) Connect(ctx context.Context) (driver.Conn, error) {
	if m.cut.Load() {
		return nil, errCut
	}
	conn, err := m.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	m.open.Add(1)
	m.transactions.Add(1)
	return &metered{conn, m, make(map[string]bool)}, nil
}

type metered struct {
	driver.Conn
	meter    *meter
	prepared map[string]bool
}

// Close implements driver.Conn.
func (c *metered) Close() error {
	c.meter.open.Add(-1)
	return c.Conn.Close()
}

// ExecContext implements driver.ExecerContext.
func (c *metered) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if c.meter.cut.Load() {
		return nil, errCut
	}
	c.meter.transactions.Add(1)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

// QueryContext implements driver.QueryerContext.
func (c *metered) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if c.meter.cut.Load() {
		return nil, errCut
	}
	c.meter.transactions.Add(1)
	if c.meter.prepares && !c.prepared[query] {
		c.prepared[query] = true
		c.meter.transactions.Add(1)
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

// fleet are processes that relay to two sinks, in virtual time: it passes only while none of
// them waits for the server, whose own clock goes on as usual.
type fleet struct {
	*world
	clock  ahead
	meters []*meter
	pools  []*sql.DB
	relays []*relay.Relay

	mu       sync.Mutex
	received map[string]time.Time
	by       map[string]int // the process
	down     bool           // the sink accepts nothing
}

// ahead is virtual time that began at the server's.
type ahead time.Duration

// Now implements relay.Clock.
func (a ahead) Now() time.Time { return time.Now().Add(time.Duration(a)) }

// After implements relay.Clock.
func (ahead) After(d time.Duration) <-chan time.Time { return time.After(d) }

const otherSink = "other/default"

// fleetOf runs f with so many processes that have started long ago.
func fleetOf(t *testing.T, processes int, f func(fl *fleet)) {
	t.Helper()
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		w.must(w.store.Register(ctx, w.db, otherSink))
		now := time.Now()
		synctest.Test(t, func(*testing.T) {
			inside := *w
			inside.db = sql.OpenDB(w.connector())
			defer inside.db.Close()
			fl := &fleet{world: &inside, clock: ahead(time.Until(now)), received: make(map[string]time.Time), by: make(map[string]int)}
			for i := range processes {
				fl.join(i)
			}
			defer fl.stop()
			time.Sleep(5 * fleetLease) // by then all are at rest
			f(fl)
		})
	}, dbtest.PostgresEngines()...)
}

// fleetLease and fleetPoll are the defaults.
const (
	fleetLease = 11 * time.Second
	fleetPoll  = 400 * time.Millisecond
)

func (w *world) connector() driver.Connector {
	w.Helper()
	var (
		c   driver.Connector
		err error
	)
	if w.e.Driver == dbtest.PGX.Driver {
		c, err = (&stdlib.Driver{}).OpenConnector(w.dsn)
	} else {
		c, err = pq.NewConnector(w.dsn)
	}
	w.must(err)
	return c
}

// join starts a process with a pool of three connections.
func (fl *fleet) join(i int) {
	fl.Helper()
	m := &meter{Connector: fl.connector(), prepares: fl.e.Driver == dbtest.PGX.Driver}
	db := sql.OpenDB(m)
	db.SetMaxOpenConns(3)
	db.SetMaxIdleConns(3)
	deliver := func(_ context.Context, _ *sql.DB, entries []journal.Entry) relay.Result {
		fl.mu.Lock()
		defer fl.mu.Unlock()
		if fl.down {
			return relay.Result{Err: failure(errTransient)}
		}
		for _, e := range entries {
			fl.received[e.Target.ID], fl.by[e.Target.ID] = time.Now(), i
		}
		return relay.Result{}
	}
	silent := func(context.Context, *sql.DB, []journal.Entry) relay.Result { return relay.Result{} }
	r := relay.Start(fl.store, db, relay.Config{
		Holder: fmt.Sprintf("process %d", i), Clock: fl.clock,
		Targets: []relay.Target{{Name: name, MaxAttempts: 5, Deliver: deliver}, {Name: otherSink, MaxAttempts: 5, Deliver: silent}},
	})
	fl.meters, fl.pools, fl.relays = append(fl.meters, m), append(fl.pools, db), append(fl.relays, r)
}

func (fl *fleet) stop() {
	for i, r := range fl.relays {
		if err := r.Stop(ctx); err != nil {
			fl.Error(err)
		}
		_ = fl.pools[i].Close() // its errors are those of connections that were cut off
	}
}

// sum adds up what the meters of all processes show.
func (fl *fleet) sum(of func(*meter) int64) (n int64) {
	for _, m := range fl.meters {
		n += of(m)
	}
	return n
}

func (fl *fleet) transactions() int64 {
	return fl.sum(func(m *meter) int64 { return m.transactions.Load() })
}

// visible returns how long an event took to the sink, and which process has delivered it.
func (fl *fleet) visible(event string, since time.Time) (took time.Duration, process int) {
	fl.Helper()
	for range int(4 * fleetLease / time.Millisecond) {
		fl.mu.Lock()
		at, ok := fl.received[event]
		process = fl.by[event]
		fl.mu.Unlock()
		if ok {
			return at.Sub(since), process
		}
		time.Sleep(time.Millisecond)
	}
	fl.Fatalf("%s is not delivered within four leases", event)
	return 0, 0
}

// TestIdleFleet: fifty processes that commit nothing make under 20 transactions a second and
// hold four connections, and an event that is committed anywhere is delivered within a quarter
// of a second at the median.
func TestIdleFleet(t *testing.T) {
	const processes = 50
	fleetOf(t, processes, func(fl *fleet) {
		for _, db := range fl.pools {
			db.SetConnMaxIdleTime(15 * time.Second) // as forward does
		}
		time.Sleep(time.Minute)
		before, took := fl.transactions(), 2*time.Minute
		for range int(took / time.Second) {
			time.Sleep(time.Second)
			synctest.Wait()
			if n := fl.sum(func(m *meter) int64 { return m.open.Load() }); n > 4 {
				fl.Fatalf("%d connections are open at rest, want at most 4", n)
			}
		}
		rate := float64(fl.transactions()-before) / took.Seconds()
		fl.Logf("%d processes: %.1f transactions a second", processes, rate)
		if rate >= 20 {
			fl.Errorf("%.1f transactions a second, want less than 20", rate)
		}
		fl.members(processes)

		var all []time.Duration
		for i := range 21 {
			time.Sleep(2*time.Second + time.Duration(i)*fleetPoll/21)
			event := fmt.Sprint(i)
			since := time.Now()
			fl.commit(event)
			took, _ := fl.visible(event, since)
			all = append(all, took)
		}
		slices.Sort(all)
		fl.Logf("delivered after %v at the median, and %v at most", all[len(all)/2], all[len(all)-1])
		if all[len(all)/2] > 250*time.Millisecond || all[len(all)-1] > 2*fleetPoll {
			fl.Errorf("delivered after %v", all)
		}
	})
}

// members fails unless that many processes count.
func (fl *fleet) members(want int) {
	fl.Helper()
	var n int
	fl.must(fl.db.QueryRowContext(ctx, "SELECT count(*) FROM aftercommit.workers").Scan(&n))
	if n != want {
		fl.Errorf("%d processes count, want %d", n, want)
	}
}

// TestTakeover: when the process with the lease dies, another one has taken it within two
// leases, and delivers.
func TestTakeover(t *testing.T) {
	fleetOf(t, 3, func(fl *fleet) {
		since := time.Now()
		fl.commit("a")
		_, holder := fl.visible("a", since)
		fl.meters[holder].cut.Store(true)
		died := time.Now()
		fl.commit("b")
		time.Sleep(fleetLease) // which passes on the server's clock too
		_, err := fl.db.ExecContext(ctx, fmt.Sprintf("UPDATE aftercommit.cursors SET lease_until = '%s' WHERE holder = 'process %d'", past, holder))
		fl.must(err)
		took, other := fl.visible("b", died)
		if other == holder || took > 2*fleetLease+fleetPoll {
			fl.Errorf("process %d has delivered after %v, want another one than %d within two leases", other, took, holder)
		}
		fl.meters[holder].cut.Store(false)
	})
}

// TestOwnCommits: a process finds what another gives back about as soon as one that has a
// lease finds entries, if it commits.
func TestOwnCommits(t *testing.T) {
	fleetOf(t, 2, func(fl *fleet) {
		since := time.Now()
		fl.commit("a")
		_, holder := fl.visible("a", since)
		fl.must(fl.relays[holder].Stop(ctx))
		time.Sleep(time.Second) // the other one may have looked just before
		since = time.Now()
		fl.commit("b")
		fl.relays[1-holder].Wake()
		if took, _ := fl.visible("b", since); took > 2*fleetPoll {
			fl.Errorf("delivered after %v", took)
		}
	})
}

// TestReplayIsSeen: the process with the lease soon finds what an operator replays.
func TestReplayIsSeen(t *testing.T) {
	fleetOf(t, 2, func(fl *fleet) {
		fl.commit("a")
		fl.visible("a", time.Now())
		time.Sleep(fleetLease)
		fl.mu.Lock()
		clear(fl.received)
		fl.mu.Unlock()
		since := time.Now()
		if n, err := fl.store.Replay(ctx, fl.db, relay.Selection{Forwarder: name, From: fl.clock.Now().Add(-24 * time.Hour)}, false); err != nil || n != 1 {
			fl.Fatalf("Replay = %d, %v", n, err)
		}
		if took, _ := fl.visible("a", since); took > 2*fleetPoll {
			fl.Errorf("delivered after %v", took)
		}
	})
}

// TestSuspensionIsShown: operators soon see that a sink is suspended, and that it is not any
// more.
func TestSuspensionIsShown(t *testing.T) {
	fleetOf(t, 2, func(fl *fleet) {
		shown := func(want bool) {
			fl.Helper()
			for range 5 * 60 {
				time.Sleep(200 * time.Millisecond)
				if s := fl.state(); len(s.Suspended) > 0 == want {
					return
				}
			}
			fl.Fatalf("States has it as suspended: %v, after a minute", !want)
		}
		since := time.Now()
		fl.setDown(true)
		fl.commit("a")
		shown(true)
		if took := time.Since(since); took > 2*time.Second {
			fl.Errorf("States shows it after %v", took)
		}
		fl.setDown(false)
		fl.visible("a", since)
		since = time.Now()
		shown(false)
		if took := time.Since(since); took > 2*time.Second {
			fl.Errorf("States does not show it any more after %v", took)
		}
	})
}

func (fl *fleet) setDown(down bool) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.down = down
}

// TestOwnCommitsAtOnce: what the process with the lease commits waits for no look.
func TestOwnCommitsAtOnce(t *testing.T) {
	fleetOf(t, 1, func(fl *fleet) {
		for i := range 100 {
			time.Sleep(time.Duration(300+i*7) * time.Millisecond)
			since, event := time.Now(), fmt.Sprint(i)
			fl.commit(event)
			fl.relays[0].Wake()
			if took, _ := fl.visible(event, since); took > 2*time.Millisecond {
				fl.Errorf("%d is delivered after %v", i, took)
			}
		}
	})
}

// TestNoConnectionWithoutALease: a process without a lease keeps no connection, whatever its
// pool would keep, nor after it has learnt of another process.
func TestNoConnectionWithoutALease(t *testing.T) {
	fleetOf(t, 4, func(fl *fleet) {
		fl.join(4)
		for range int(fleetLease / fleetPoll) {
			time.Sleep(fleetPoll)
			synctest.Wait()
			n := 0
			for _, m := range fl.meters {
				if m.open.Load() > 0 {
					n++
				}
			}
			if n > 2 {
				fl.Fatalf("%d processes keep connections, want those two that have a lease", n)
			}
		}
	})
}

// TestCommitAfterAnError: a commit wakes a worker that waits after an error too.
func TestCommitAfterAnError(t *testing.T) {
	fleetOf(t, 1, func(fl *fleet) {
		fl.meters[0].cut.Store(true)
		time.Sleep(fleetLease) // by then it tries every 3.7 s
		fl.meters[0].cut.Store(false)
		since := time.Now()
		fl.commit("a")
		fl.relays[0].Wake()
		if took, _ := fl.visible("a", since); took > 2*time.Millisecond {
			fl.Errorf("delivered after %v", took)
		}
	})
}
