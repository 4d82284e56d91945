package driver_test

import (
	"context"
	"database/sql/driver"
	"slices"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// TestStatusSaysStillOpen: a COMMIT without an error is not believed if the
// connection says that it is in a transaction yet, and that is not used again.
func TestStatusSaysStillOpen(t *testing.T) {
	fake, spy := sqltest.NewFake(), &spy{}
	status := adriver.TxOpen
	db := open(t, fake, spy, adriver.WithTxStatus(func(driver.Conn) adriver.TxStatus { return status }))
	tx := begin(t, db)
	exec(t, tx, "INSERT INTO things VALUES (1)")
	record(t, tx, "thing.made")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := fake.OpenConns(); n != 0 {
		t.Errorf("%d connections are kept", n)
	}
	status = adriver.TxIdle
	tx = begin(t, db)
	exec(t, tx, "INSERT INTO things VALUES (1)")
	record(t, tx, "thing.moved")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	want(t, "told", spy.told(), "unknown thing.made", "committed thing.moved")
}

// TestStatusIsFree: what the connection knows is not asked for.
func TestStatusIsFree(t *testing.T) {
	for _, known := range []bool{false, true} {
		fake, spy := sqltest.NewFake(), &spy{}
		status := adriver.TxUnknown
		if known {
			status = adriver.TxOpen
		}
		db := open(t, fake, spy, adriver.WithTxStatus(func(driver.Conn) adriver.TxStatus { return status }))
		tx := begin(t, db)
		if err := hooks.OnCommit(context.Background(), tx, func(context.Context) {}); err != nil {
			t.Fatal(err)
		}
		if known {
			status = adriver.TxFailed // so that the COMMIT rolls back, which needs no look
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		asked := slices.ContainsFunc(fake.Sent(), func(q string) bool { return len(q) > 9 && q[:9] == "SAVEPOINT" })
		if asked == known {
			t.Errorf("with the status known %v, the server was asked %v: %q", known, asked, fake.Sent())
		}
	}
}

// TestStatusThatPanics: the server is asked, and the transaction goes on.
func TestStatusThatPanics(t *testing.T) {
	fake, spy := sqltest.NewFake(), &spy{}
	db := open(t, fake, spy, adriver.WithTxStatus(func(driver.Conn) adriver.TxStatus { panic("oh") }))
	tx := begin(t, db)
	exec(t, tx, "INSERT INTO things VALUES (1)")
	record(t, tx, "thing.made")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	want(t, "told", spy.told(), "committed thing.made")
}
