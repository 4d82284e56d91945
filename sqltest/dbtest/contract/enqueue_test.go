package contract_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestQueueOnTheSession: what a Queue executes in the app's transaction may neither end
// it nor outlast it.
func TestQueueOnTheSession(t *testing.T) {
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		q := &scriptedQueue{}
		w := newWorld(t, e, setup{dispatch: forward.Async, forward: forward.Options{Queue: q}})
		bad := []string{"BEGIN", "COMMIT", "ROLLBACK", "CREATE TEMP TABLE mine (id int)", "INSERT INTO lines (id) VALUES (99); COMMIT"}
		if e.Dialect == hooks.Postgres {
			bad = append(bad, "SET statement_timeout = 77777", "SELECT set_config('statement_timeout', '77777', false)", "PREPARE TRANSACTION 'x'")
		} else {
			bad = append(bad, "PRAGMA foreign_keys = 1", "ATTACH ':memory:' AS other")
		}
		for _, query := range bad {
			q.query = query
			tx := w.begin()
			w.insert(tx, 99)
			w.record(tx, "bad")
			if err := tx.Commit(); err == nil || !strings.Contains(err.Error(), "would change the session or transaction") {
				t.Errorf("%s: %v", query, err)
			}
		}
		good := []string{"INSERT INTO lines (id) VALUES (1)", "SAVEPOINT a"}
		if e.Dialect == hooks.Postgres {
			good = append(good, "SET LOCAL statement_timeout = 77777")
		}
		for i, query := range good {
			q.query = query
			tx := w.begin()
			w.insert(tx, i)
			w.record(tx, "a")
			if err := tx.Commit(); err != nil {
				t.Errorf("%s: %v", query, err)
			}
		}
		if got, want := w.list("SELECT id FROM things ORDER BY id"), "0 1 2"[:2*len(good)-1]; got != want {
			t.Errorf("rows [%s], want [%s]", got, want)
		}
	})
}

// scriptedQueue executes a statement in the app's transaction.
type scriptedQueue struct{ query string }

func (q *scriptedQueue) Enqueue(ctx context.Context, conn *sql.DB, _ hooks.Dialect, _ []forward.Job) error {
	_, err := conn.ExecContext(ctx, q.query)
	return err
}

func (q *scriptedQueue) Check(context.Context, *sql.DB, hooks.Dialect) error { return nil }

func (q *scriptedQueue) Start(context.Context, forward.Worker) (forward.Workers, error) {
	return idleWorkers{}, nil
}

type idleWorkers struct{}

func (idleWorkers) Stop(context.Context) error                    { return nil }
func (idleWorkers) Drain(context.Context) error                   { return nil }
func (idleWorkers) States(context.Context) ([]relay.State, error) { return nil, nil }
