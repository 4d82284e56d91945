package relay

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// dark is a connector on a network that swallows everything: it returns no sooner than
// it is released, whatever its context says.
type dark struct {
	calls   atomic.Int32
	release chan struct{}
}

func (d *dark) Connect(context.Context) (driver.Conn, error) {
	d.calls.Add(1)
	<-d.release
	return nil, errors.New("no connection")
}

func (d *dark) Driver() driver.Driver { return nil }

// TestRenewerInTheDark: attempts that do not return do not add up.
func TestRenewerInTheDark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(hooks.Postgres, nil)
		if err != nil {
			t.Fatal(err)
		}
		d := &dark{release: make(chan struct{})}
		db := sql.OpenDB(d)
		defer db.Close()
		k := newRenewer(newRelay(s, db, Config{Lease: 3 * time.Millisecond}))
		k.add(&lease{name: "a", until: time.Now().Add(time.Hour)})
		for range 10 {
			if k.tick(context.Background()) {
				t.Fatal("an attempt has succeeded")
			}
		}
		if n := d.calls.Load(); n != mostBehind {
			t.Errorf("%d attempts were begun, want %d", n, mostBehind)
		}
		close(d.release)
		synctest.Wait()
		k.tick(context.Background())
		if n := d.calls.Load(); n != mostBehind+1 {
			t.Errorf("once they have returned, %d attempts were begun in all, want %d", n, mostBehind+1)
		}
	})
}

// TestNoHeartbeatOnceStopped: the worker that stops last deletes the row that it would
// insert again, and the process would count as one that works.
func TestNoHeartbeatOnceStopped(t *testing.T) {
	s, err := New(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	errAsked := errors.New("it was asked")
	db := sql.OpenDB(failing{errAsked})
	defer db.Close()
	r := newRelay(s, db, Config{})
	k := newRenewer(r)
	if _, err := k.attempt(t.Context(), nil); !errors.Is(err, errAsked) {
		t.Fatalf("while it works: %v", err)
	}
	r.member.beat = time.Time{}
	close(r.stopping)
	if _, err := k.attempt(t.Context(), nil); err != nil {
		t.Errorf("once it stops: %v", err)
	}
}

// renewing is a server that renews the one lease there is, unless it is down.
type renewing struct{ down atomic.Bool }

func (r *renewing) Connect(context.Context) (driver.Conn, error) {
	if r.down.Load() {
		return nil, errors.New("no connection")
	}
	return renewingConn{server: r}, nil
}

func (r *renewing) Driver() driver.Driver { return nil }

type renewingConn struct {
	driver.Conn
	server *renewing
}

func (renewingConn) Close() error { return nil }

// QueryContext answers that the lease is renewed.
func (c renewingConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	if c.server.down.Load() {
		return nil, errors.New("broken connection")
	}
	return &renewedRow{}, nil
}

type renewedRow struct{ read bool }

func (*renewedRow) Columns() []string { return []string{"i", "renewed", "lives"} }
func (*renewedRow) Close() error      { return nil }

// Next gives the row.
func (r *renewedRow) Next(dest []driver.Value) error {
	if r.read {
		return io.EOF
	}
	r.read = true
	dest[0], dest[1], dest[2] = int64(0), true, true
	return nil
}

// TestRenewalFails: a lease lasts from its last renewal on, however many attempts fail
// meanwhile. Then the call that runs is cancelled. Until an attempt succeeds again, the
// workers renew their leases themselves, for as long as a call may take.
func TestRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ttl, call = 9 * time.Second, time.Minute
		s, err := New(hooks.Postgres, nil)
		if err != nil {
			t.Fatal(err)
		}
		server := &renewing{}
		db := sql.OpenDB(server)
		defer db.Close()
		r := newRelay(s, db, Config{Lease: ttl})
		r.member.beat = time.Now().Add(time.Hour) // what is tested are the renewals
		k := newRenewer(r)
		r.renewer = k
		w := &worker{relay: r, target: Target{Timeout: call}}
		l := &lease{name: "a", until: time.Now().Add(ttl), rouse: w.rouse}
		ctx, done := l.guard(t.Context())
		defer done()
		k.add(l)
		tick := func(wait time.Duration, renews, holds bool, want time.Duration) {
			t.Helper()
			time.Sleep(wait)
			if got := k.tick(t.Context()); got != renews {
				t.Errorf("renewed: %t", got)
			}
			if got := ctx.Err() == nil; got != holds {
				t.Errorf("the call goes on: %t", got)
			}
			if got := w.ttl(); got != want {
				t.Errorf("a worker takes the lease for %v, want %v", got, want)
			}
		}
		tick(8*time.Second, true, true, ttl)
		tick(8*time.Second, true, true, ttl)
		server.down.Store(true)
		tick(4*time.Second, false, true, ttl+call) // it would have run out but for the renewals
		server.down.Store(false)
		tick(time.Second, true, true, ttl)
		server.down.Store(true)
		tick(8*time.Second, false, true, ttl+call)
		tick(time.Second, false, false, ttl+call)
		if cause := context.Cause(ctx); !errors.Is(cause, errRanOut) {
			t.Errorf("the call ends because of %v", cause)
		}
	})
}
