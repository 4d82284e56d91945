package relay

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// lacking are changes that cannot be read until they are there.
type lacking struct {
	Changes
	there bool
}

func (l *lacking) Check(context.Context, *sql.Conn) error {
	if l.there {
		return nil
	}
	return errors.New("no tables of row changes")
}

// TestLackOfChanges: that row changes cannot be read is logged once it does not go away, as it does when an app starts for the first
// time. Trouble is shown at once.
func TestLackOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.WarnLevel)
		source := &lacking{}
		db := sql.OpenDB(failing{})
		defer func() { _ = db.Close() }()
		w := &worker{relay: newRelay(nil, db, Config{Log: zap.New(core)}), target: Target{Name: "sink", Changes: source}}
		step := func(after time.Duration, want int) {
			t.Helper()
			time.Sleep(after)
			err := w.checkChanges(t.Context())
			w.logError(err)
			if w.readable = false; logs.Len() != want {
				t.Errorf("%d lines are logged, want %d: %v", logs.Len(), want, logs.All())
			}
			if lacks := w.trouble.Load() != nil; lacks == source.there {
				t.Errorf("the worker has trouble: %t", lacks)
			}
		}
		step(0, 0)
		step(lackTime-1, 0)
		source.there = true
		step(1, 0)
		source.there = false
		step(calm, 0)
		step(lackTime-1, 0)
		step(1, 1)
		step(lackTime, 1)
		w.logError(errors.New("another error"))
		if logs.Len() != 2 {
			t.Errorf("another error is not logged: %v", logs.All())
		}
	})
}
