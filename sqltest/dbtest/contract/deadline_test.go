package contract_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// has matches statements with these words in them.
func has(words string) func(string) bool {
	return func(query string) bool { return strings.Contains(query, words) }
}

func is(words string) func(string) bool {
	return func(query string) bool { return query == words }
}

// TestDeadNetwork: the network is gone while a captured statement is under way,
// or what the driver does for it. When the app's context ends the statement
// returns, as it does on the bare driver, and what became of it is settled when
// the network is back. lib/pq does not return from a dead connection, whatever
// its context says.
func TestDeadNetwork(t *testing.T) {
	exec := func(query string) func(w *world, c context.Context) error {
		return func(w *world, c context.Context) error {
			_, err := w.db.ExecContext(c, query)
			return err
		}
	}
	tx := func(w *world, c context.Context) error {
		tx := w.open(c)
		return tx.Commit()
	}
	const insert = "INSERT INTO orders (id) VALUES (1)"
	for _, tt := range []struct {
		name  string
		match func(string) bool
		do    func(w *world, c context.Context) error
	}{
		{"BEGIN", is("BEGIN"), exec(insert)},
		{"the statement", has(insert), exec(insert)},
		{"flush and COMMIT", dbtest.IsCommit, exec(insert)},
		{"ROLLBACK", is("ROLLBACK"), exec("INSERT INTO orders (id) VALUES (7)")},
		{"rows", has(insert), func(w *world, c context.Context) error {
			var id int
			return w.db.QueryRowContext(c, insert+" RETURNING id").Scan(&id)
		}},
		{"COMMIT of rows", dbtest.IsCommit, func(w *world, c context.Context) error {
			var id int
			return w.db.QueryRowContext(c, insert+" RETURNING id").Scan(&id)
		}},
		{"Record, BEGIN", is("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"), func(w *world, c context.Context) error {
			return hooks.Record(c, w.db, named("a"))
		}},
		{"Record, COMMIT", dbtest.IsCommit, func(w *world, c context.Context) error {
			return hooks.Record(c, w.db, named("a"))
		}},
		{"a Tx, flush", has(".write("), tx},
		{"a Tx, COMMIT", dbtest.IsCommit, tx},
		{"raw, flush", has(".write("), func(w *world, c context.Context) error {
			conn := w.conn()
			w.must(conn.ExecContext(c, "BEGIN"))
			w.insert(conn, 1)
			w.record(conn, "a")
			_, err := conn.ExecContext(c, "COMMIT")
			return err
		}},
	} {
		forEach(t, func(t *testing.T, e dbtest.Engine) {
			t.Run(tt.name, func(t *testing.T) {
				p := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
				w := newWorld(t, e, setup{via: p.Addr(), driver: []driver.Option{driver.WriteTimeout(time.Hour)}})
				w.must(w.db.PingContext(ctx()))
				w.must(w.bare.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (7)"))
				c, cancel := context.WithCancel(ctx())
				defer cancel()
				trap := p.Next(dbtest.BlackHole, tt.match)
				done := make(chan error, 1)
				go func() { done <- tt.do(w, c) }()
				<-trap.Sprung()
				cancel()
				w.within(tt.name, func() {
					if err := <-done; err == nil {
						t.Error("says nil")
					}
				})
				trap.Release() // what was held goes to the server now
				p.DropAll()
				w.over()
				w.must(w.hub.Settle(ctx()))
				w.wantPending(0)
				events, sent := w.journal(), w.sink.names()
				if events != sent {
					t.Errorf("journal: [%s], forwarded: [%s]", events, sent)
				}
				if hasRow, hasEvent := w.rows() != "7", events != ""; hasRow != hasEvent && !strings.HasPrefix(tt.name, "Record") {
					t.Errorf("rows: [%s], journal: [%s]", w.rows(), events)
				}
				w.goesOn()
			})
		}, dbtest.PGX, dbtest.PGXDriver)
	}
}

// TestLongestWriteTimeout: every server takes it.
func TestLongestWriteTimeout(t *testing.T) {
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, limit := range []time.Duration{time.Millisecond, 24 * time.Hour} {
			w := newWorld(t, e, setup{driver: []driver.Option{driver.WriteTimeout(limit)}})
			tx, err := w.db.BeginTx(ctx(), nil)
			w.must(err)
			w.insert(tx, 1)
			w.record(tx, "a")
			if err := tx.Commit(); err != nil && limit > time.Millisecond {
				t.Errorf("%v: %v", limit, err)
			}
		}
	})
}

// TestNoGoroutineIsLeftBehind: neither by a statement that was given up, nor by
// many that were not, under a context that lives on.
func TestNoGoroutineIsLeftBehind(t *testing.T) {
	each(t, func(w *world) {
		c, cancel := context.WithCancel(ctx())
		defer cancel()
		w.must(w.db.ExecContext(c, "INSERT INTO visits (id) VALUES (1)"))
		before := runtime.NumGoroutine() + 1 // that of within
		for range 50 {
			w.must(w.db.ExecContext(c, "INSERT INTO visits (id) VALUES (1)"))
		}
		w.within("a goroutine", func() {
			for runtime.NumGoroutine() > before {
				runtime.Gosched()
			}
		})
	})
}
