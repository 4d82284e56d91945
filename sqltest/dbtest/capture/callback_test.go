package capture_test

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// calls notes the names of the functions that were called.
type calls struct {
	mu    sync.Mutex
	names []string
}

func (c *calls) note(name string) func(context.Context) {
	return func(context.Context) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.names = append(c.names, name)
	}
}

func (c *calls) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := strings.Join(c.names, " ")
	c.names = nil
	return s
}

// TestCallbacks: functions are called after the end that they wait for, in the
// order in which they came; savepoints count as transactions do.
func TestCallbacks(t *testing.T) {
	cases := []struct {
		name  string
		steps string // c1: OnCommit, r1: OnRollback; the rest is SQL
		end   func(*sql.Tx) error
		want  string
	}{
		{"commit", "c1 | r1 | c2 | r2", (*sql.Tx).Commit, "c1 c2"},
		{"rollback", "c1 | r1 | c2 | r2", (*sql.Tx).Rollback, "r1 r2"},
		{"rolled back to", "c1 | r1 | SAVEPOINT s | c2 | r2 | ROLLBACK TO s | c3 | r3", (*sql.Tx).Commit, "r2 c1 c3"},
		{"rolled back to, rolled back", "c1 | r1 | SAVEPOINT s | c2 | r2 | ROLLBACK TO s | c3 | r3", (*sql.Tx).Rollback, "r2 r1 r3"},
		{"released", "SAVEPOINT s | c1 | r1 | RELEASE s | c2", (*sql.Tx).Commit, "c1 c2"},
		{"nested", "SAVEPOINT s | c1 | r1 | SAVEPOINT t | c2 | r2 | RELEASE t | ROLLBACK TO s | c3", (*sql.Tx).Commit, "r1 r2 c3"},
		{"with events", "INSERT INTO orders (id) VALUES (1) | c1 | DELETE FROM orders | c2", (*sql.Tx).Commit, "c1 c2"},
	}
	each(t, ordersTable, func(w *world) {
		for _, c := range cases {
			w.sub(c.name, func(w *world) {
				var called calls
				tx := w.begin()
				for step := range strings.SplitSeq(c.steps, " | ") {
					switch {
					case len(step) == 2 && step[0] == 'c':
						w.must(hooks.OnCommit(ctx(), tx, called.note(step)))
					case len(step) == 2:
						w.must(hooks.OnRollback(ctx(), tx, called.note(step)))
					default:
						w.execOn(tx, step)
					}
				}
				w.must(c.end(tx))
				if got := called.take(); got != c.want {
					w.Errorf("called [%s], want [%s]", got, c.want)
				}
			})
		}
	})
}

// TestCallbackSeesTheCommit: when a function of OnCommit runs, others see what
// was committed, the events were forwarded, and the transaction's own
// connection is not needed.
func TestCallbackSeesTheCommit(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		rows, forwarded := -1, -1
		tx := w.begin()
		w.execOn(tx, "INSERT INTO orders (id) VALUES (1)")
		w.must(hooks.OnCommit(as("7"), tx, func(c context.Context) {
			_ = w.bare.QueryRowContext(c, "SELECT count(*) FROM orders").Scan(&rows)
			forwarded = len(w.recorder.Entries())
			if id := hooks.FromContext(c).Actor.ID; id != "7" {
				w.Errorf("the function's context names actor %q, want 7", id)
			}
		}))
		w.must(tx.Commit())
		if rows != 1 || forwarded != 1 {
			w.Errorf("the function saw %d rows, %d forwarded events, want one each", rows, forwarded)
		}
	})
}

// TestCallbackOutsideTransactions: OnCommit has nothing to wait for, OnRollback
// nothing to hope for.
func TestCallbackOutsideTransactions(t *testing.T) {
	each(t, "", func(w *world) {
		var called calls
		w.must(hooks.OnCommit(ctx(), w.db, called.note("c")))
		if got := called.take(); got != "c" {
			w.Errorf("called [%s], want [c]", got)
		}
		w.wantText(hooks.OnRollback(ctx(), w.db, called.note("r")), "outside any transaction")
		w.wantText(hooks.OnCommit(ctx(), w.db, nil), "nil function")
	})
}

// TestCallbackPanics: the commit has happened; a panic is told.
func TestCallbackPanics(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		var called calls
		tx := w.begin()
		w.execOn(tx, "INSERT INTO orders (id) VALUES (1)")
		w.must(hooks.OnCommit(ctx(), tx, func(context.Context) { panic("boom") }))
		w.must(hooks.OnCommit(ctx(), tx, called.note("next")))
		w.must(tx.Commit())
		if got := called.take(); got != "next" {
			w.Errorf("called [%s], want [next]", got)
		}
		told := w.told.of(hooks.NoticeCallback)
		if len(told) != 1 || told[0].Reason != "panic" || !strings.Contains(told[0].Err.Error(), "boom") {
			w.Errorf("told %+v, want one panic with its value", told)
		}
		w.want("orders.inserted orders#1 statements=1 rows=1")
	})
}
