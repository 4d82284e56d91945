package relay

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
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

// TestKeeperInTheDark: attempts that do not return do not add up.
func TestKeeperInTheDark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(hooks.Postgres, nil)
		if err != nil {
			t.Fatal(err)
		}
		d := &dark{release: make(chan struct{})}
		db := sql.OpenDB(d)
		defer db.Close()
		k := newKeeper(newRelay(s, db, Config{Lease: 3 * time.Millisecond}))
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
