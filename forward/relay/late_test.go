package relay

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// watched is a connection that must not be used by two at a time, nor after it is closed.
type watched struct {
	used   sync.Mutex
	closed atomic.Bool
	broken *atomic.Bool
}

// watchers opens such connections.
type watchers struct{ broken atomic.Bool }

func (w *watchers) Connect(context.Context) (driver.Conn, error) {
	return &watched{broken: &w.broken}, nil
}
func (w *watchers) Driver() driver.Driver { return nil }

func (w *watched) use(ctx context.Context) error {
	if !w.used.TryLock() || w.closed.Load() {
		w.broken.Store(true)
		return errors.New("it is in use, or closed")
	}
	defer w.used.Unlock()
	return ctx.Err()
}

func (w *watched) Prepare(string) (driver.Stmt, error) { return nil, w.use(context.Background()) }
func (w *watched) Begin() (driver.Tx, error)           { return nil, driver.ErrSkip }

func (w *watched) Close() error {
	err := w.use(context.Background())
	w.closed.Store(true)
	return err
}

func (w *watched) ExecContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), w.use(ctx)
}

// TestLateUse: what a borrower has left running meets neither the end of the connection nor
// who gets it next.
func TestLateUse(t *testing.T) {
	for _, query := range []string{"SELECT 1", "INSERT", "BEGIN"} {
		for range 50 {
			base := &watchers{}
			pool := sql.OpenDB(base)
			pool.SetMaxOpenConns(1)
			lender := NewLender(pool, 0)
			var late sync.WaitGroup
			var last error
			r := lender.Call(func(db *sql.DB) Result {
				began := make(chan struct{})
				late.Go(func() {
					for i := 0; last == nil; i++ {
						if _, last = db.ExecContext(context.Background(), query); i == 0 {
							close(began)
						}
					}
				})
				<-began
				return Result{}
			})
			if r.Err != nil {
				t.Fatal(r.Err.Err)
			}
			if _, err := pool.ExecContext(context.Background(), "next"); err != nil && !errors.Is(err, driver.ErrBadConn) {
				t.Errorf("%s: who gets it next: %v", query, err)
			}
			late.Wait()
			if base.broken.Load() {
				t.Fatalf("%s: used by two at a time, or after it was closed", query)
			}
			_ = pool.Close()
		}
	}
}

// TestNoTurn: that there was no connection for a sink says nothing about its entries.
func TestNoTurn(t *testing.T) {
	pool := sql.OpenDB(&watchers{})
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	r := newRelay(nil, pool, Config{})
	target := Target{Deliver: func(ctx context.Context, db *sql.DB, _ []journal.Entry) Result {
		if !r.lender.acquire(ctx, nil) { // another call has it
			t.Error("it is in use")
		}
		defer r.lender.release()
		over, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		conn, err := db.Conn(over)
		if err == nil {
			_ = conn.Close()
			t.Error("it has got one")
		}
		return Result{Err: &Failure{Reason: "error", Err: err}}
	}}
	w := &worker{relay: r, target: target, lease: &lease{}}
	ctx, done := w.lease.guard(context.Background())
	defer done()
	if err := w.connect(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.call(ctx, entriesOf("a")); !errors.Is(err, errNoTurn) {
		t.Errorf("error %v, want %v", err, errNoTurn)
	}
}
