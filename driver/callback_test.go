package driver_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// ran collects what callbacks do; Commit waits for them, so no lock is needed.
type ran []string

func (l *ran) add(s string) func(context.Context) {
	return func(context.Context) { *l = append(*l, s) }
}

func onCommit(t *testing.T, h hooks.Handle, f func(context.Context)) {
	t.Helper()
	if err := hooks.OnCommit(context.Background(), h, f); err != nil {
		t.Fatal(err)
	}
}

func onRollback(t *testing.T, h hooks.Handle, f func(context.Context)) {
	t.Helper()
	if err := hooks.OnRollback(context.Background(), h, f); err != nil {
		t.Fatal(err)
	}
}

func TestCallbacksFollowTheSavepoint(t *testing.T) {
	db := open(t, sqltest.NewFake(), &spy{})
	var l ran
	tx := begin(t, db)
	onCommit(t, tx, l.add("commit 1"))
	onRollback(t, tx, l.add("rollback 1"))
	exec(t, tx, "SAVEPOINT s")
	onCommit(t, tx, l.add("commit 2"))
	onRollback(t, tx, l.add("rollback 2"))
	exec(t, tx, "ROLLBACK TO s")
	want(t, "after ROLLBACK TO", l, "rollback 2")
	onCommit(t, tx, l.add("commit 3"))
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	want(t, "after Commit", l, "rollback 2", "commit 1", "commit 3")
}

// pgx answers nil to a Commit whose transaction is gone. Nothing but a function
// waits for the end here, and it must not be run.
func TestCallbackOfATransactionThatEndedUnseen(t *testing.T) {
	fake := sqltest.NewFake()
	db := open(t, fake, &spy{})
	var l ran
	tx := begin(t, db)
	onCommit(t, tx, l.add("commit"))
	fake.On(sqltest.Call{Query: "UPDATE"}, sqltest.End(hooks.RolledBack, nil))
	exec(t, tx, "UPDATE orders")
	_ = tx.Commit()
	want(t, "run", l)
}

func TestCallbackPanics(t *testing.T) {
	s := &spy{}
	db := open(t, sqltest.NewFake(), s)
	var l ran
	tx := begin(t, db)
	onCommit(t, tx, func(context.Context) { panic("boom") })
	onCommit(t, tx, l.add("the next one"))
	if err := tx.Commit(); err != nil {
		t.Errorf("Commit: %v", err)
	}
	want(t, "run", l, "the next one")
	want(t, "notices", s.kinds(), "callback panic")
}

func TestCallbackOutsideAnyTransaction(t *testing.T) {
	db := open(t, sqltest.NewFake(), &spy{})
	var l ran
	onCommit(t, db, l.add("at once"))
	want(t, "run", l, "at once")
	if err := hooks.OnRollback(context.Background(), db, l.add("never")); err == nil {
		t.Error("OnRollback in autocommit was accepted, and can never be called")
	}
}

// TestConnectPanics: a handler's panic is the error of the connection attempt, and
// costs the pool no place.
func TestConnectPanics(t *testing.T) {
	for _, mode := range []hooks.Mode{hooks.Strict, hooks.BestEffort} {
		fake, spy := sqltest.NewFake(), &spy{}
		panics := true
		spy.connect = func(context.Context, *sql.DB) error {
			if panics {
				panic("in Connect")
			}
			return nil
		}
		db := open(t, fake, spy, adriver.WithMode(mode))
		db.SetMaxOpenConns(1)
		err := db.PingContext(context.Background())
		if refused := err != nil && strings.Contains(err.Error(), "in Connect"); refused != (mode == hooks.Strict) {
			t.Errorf("%v: error %v", mode, err)
		}
		if mode == hooks.BestEffort {
			want(t, "notices", spy.kinds(), "failed connect")
		}
		panics = false
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := db.PingContext(ctx); err != nil {
			t.Errorf("%v: then %v", mode, err)
		}
		cancel()
	}
}
