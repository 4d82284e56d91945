package river_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestCommitted: one job for each transaction, which is delivered once, and not
// by the relay.
func TestCommitted(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayInProcess)
		w.commit(1, 2)
		w.untilJobs("completed 1")
		w.commit(3)
		w.untilJobs("completed 1, completed 1")
		w.delivered("1 2, 3")
		w.told(hooks.NoticeEnqueued, 3, "")
		w.told(hooks.NoticeDelivered, 3, "")
		cursors := "aftercommit.cursors"
		if w.e.Dialect == hooks.SQLite {
			cursors = "aftercommit_cursors"
		}
		var n int
		w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM "+cursors).Scan(&n))
		if n != 0 {
			t.Errorf("the relay has %d cursors", n)
		}
	})
}

// TestJobIsReadable for River's tools.
func TestJobIsReadable(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Auto, forward.RelayElsewhere, forward.MaxAttempts(7))
		w.commit(1)
		var (
			kind, queue string
			text        []byte
			attempts    int
		)
		column := "args"
		if w.e.Dialect == hooks.SQLite {
			column = "json(args)"
		}
		w.must(w.bare.QueryRowContext(ctx, "SELECT kind, queue, max_attempts, "+column+" FROM river_job").Scan(&kind, &queue, &attempts, &text))
		if kind != river.Kind || queue != river.QueueName(forwarder) || attempts != 7+1 {
			t.Errorf("kind %s, queue %s, %d attempts", kind, queue, attempts)
		}
		var args map[string]any
		w.must(json.Unmarshal(text, &args))
		if events, _ := args["events"].([]any); args["forwarder"] != forwarder || args["identity"] == "" || len(events) != 1 ||
			args["seconds"] != 900.0 || args["max_attempts"] != 7.0 || args["at"] == "" || len(args) != 8 {
			t.Errorf("the args are %s", text)
		}
		w.delivered("") // nobody works here
	})
}

// TestRolledBack: no job, whatever takes the events back.
func TestRolledBack(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere)
		tx := w.begin()
		w.place(tx, 1)
		w.must(tx.Rollback())
		if got := w.jobs(); got != "" {
			t.Errorf("jobs: %s", got)
		}
		tx = w.begin()
		w.must(tx.ExecContext(ctx, "SAVEPOINT a"))
		w.place(tx, 2)
		w.must(tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT a"))
		w.must(tx.Commit())
		if got := w.jobs(); got != "" {
			t.Errorf("jobs: %s", got)
		}
	})
}

// TestSavepoint: a job has what was kept.
func TestSavepoint(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayInProcess)
		tx := w.begin()
		w.place(tx, 1)
		w.must(tx.ExecContext(ctx, "SAVEPOINT a"))
		w.place(tx, 2)
		w.must(tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT a"))
		w.place(tx, 3)
		w.must(tx.ExecContext(ctx, "RELEASE SAVEPOINT a"))
		w.must(tx.Commit())
		w.untilJobs("completed 1")
		w.delivered("1 3")
	})
}

// TestCommitRefused: the job goes with the transaction.
func TestCommitRefused(t *testing.T) {
	each(t, func(w *world) {
		const refuse = "CREATE TABLE parts (of integer REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)"
		w.must(w.bare.ExecContext(ctx, refuse))
		w.start(forward.Async, forward.RelayElsewhere)
		if w.e.Dialect == hooks.SQLite {
			w.db.SetMaxOpenConns(1)
			w.must(w.db.ExecContext(ctx, "PRAGMA foreign_keys = ON"))
		}
		tx := w.begin()
		w.place(tx, 1)
		w.must(tx.ExecContext(ctx, "INSERT INTO parts VALUES (99)"))
		if err := tx.Commit(); err == nil {
			t.Fatal("the commit was not refused")
		}
		_ = tx.Rollback()
		w.must(w.db.Close())
		if got := w.jobs(); got != "" {
			t.Errorf("jobs: %s", got)
		}
	})
}

// TestInsertFails: in strict mode the transaction does not commit without its
// jobs.
func TestInsertFails(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere)
		w.must(w.bare.ExecContext(ctx, "DROP TABLE river_job"))
		tx := w.begin()
		w.place(tx, 1)
		if err := tx.Commit(); err == nil || !strings.Contains(err.Error(), "river_job") {
			t.Errorf("Commit: %v", err)
		}
		var n int
		w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM orders").Scan(&n))
		if n != 0 {
			t.Errorf("%d orders were committed", n)
		}
	})
}

// TestInsertFailsBestEffort: it commits, and the loss is told.
func TestInsertFailsBestEffort(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere)
		w.must(driver.SetMode(ctx, w.driver, hooks.BestEffort))
		w.must(w.bare.ExecContext(ctx, "DROP TABLE river_job"))
		w.commit(1)
		var orders, events int
		w.must(w.bare.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM "+w.journal()+" WHERE document LIKE '%orders%')").Scan(&orders, &events))
		lost, _ := w.sink.count(func(n hooks.Notice) bool { return n.Kind == hooks.NoticeLost })
		if orders != 1 || events != 0 || lost != 1 {
			t.Errorf("%d orders, %d of their events, %d lost; want 1, 0, 1", orders, events, lost)
		}
	})
}

// TestPrepared: the job of a prepared transaction is there once it is committed,
// by whomever.
func TestPrepared(t *testing.T) {
	eachOf(t, func(w *world) {
		w.start(forward.Async, forward.RelayInProcess)
		for i, end := range []string{"ROLLBACK PREPARED", "COMMIT PREPARED"} {
			conn, err := w.db.Conn(ctx)
			w.must(err)
			id := fmt.Sprint(i + 1)
			for _, query := range []string{"BEGIN", "INSERT INTO orders (id) VALUES (" + id + ")"} {
				w.must(conn.ExecContext(ctx, query))
			}
			w.must(hooks.Record(ctx, conn, hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: id}}))
			w.must(conn.ExecContext(ctx, "PREPARE TRANSACTION 'order'"))
			w.must(conn.Close())
			if got := w.jobs(); got != "" {
				t.Errorf("jobs before %s: %s", end, got)
			}
			w.must(w.bare.ExecContext(ctx, end+" 'order'"))
		}
		w.untilJobs("completed 1")
		w.delivered("2")
	}, dbtest.PostgresEngines()...)
}

// TestCaptured: the job of a captured statement outside any transaction.
func TestCaptured(t *testing.T) {
	each(t, func(w *world) {
		w.capture = true
		w.start(forward.Async, forward.RelayInProcess)
		w.must(w.db.ExecContext(ctx, w.e.Rebind("INSERT INTO orders (id) VALUES (?)"), 1))
		if _, err := w.db.ExecContext(ctx, w.e.Rebind("INSERT INTO orders (id) VALUES (?)"), 1); err == nil {
			t.Error("the same order twice")
		}
		w.untilJobs("completed 1")
		w.delivered("1")
	})
}

// TestWriteFree: events of a transaction that writes nothing else.
func TestWriteFree(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Async, forward.RelayInProcess)
		tx := w.begin()
		w.must(hooks.Record(ctx, tx, hooks.Event{Action: "report.read", Target: hooks.Target{Type: "report", ID: "9"}}))
		w.must(tx.Commit())
		w.untilJobs("completed 1")
		w.delivered("9")
	})
}

// TestSync: a sync forwarder has no jobs.
func TestSync(t *testing.T) {
	each(t, func(w *world) {
		w.start(forward.Sync, forward.RelayInProcess)
		w.commit(1)
		w.delivered("1")
		if got := w.jobs(); got != "" {
			t.Errorf("jobs: %s", got)
		}
	})
}

// TestNothingNotifies in the app's transaction: a listener hears what comes
// after it, and not the insert.
func TestNothingNotifies(t *testing.T) {
	eachOf(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere)
		l := pq.NewListener(w.dsn, time.Second, time.Minute, nil)
		defer func() { _ = l.Close() }()
		for _, channel := range []string{"public.river_insert", "over"} {
			w.must(l.Listen(channel))
		}
		w.commit(1)
		w.must(w.bare.ExecContext(ctx, "NOTIFY over"))
		if n := <-l.Notify; n == nil || n.Channel != "over" {
			t.Errorf("the listener heard %+v", n)
		}
	}, dbtest.PostgresEngines()...)
}

// TestNothingNotifiesOnSQLite, where it would be a row.
func TestNothingNotifiesOnSQLite(t *testing.T) {
	eachOf(t, func(w *world) {
		w.start(forward.Async, forward.RelayElsewhere)
		w.commit(1)
		var n int
		w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM river_notification").Scan(&n))
		if n != 0 {
			t.Errorf("%d notifications", n)
		}
	}, dbtest.SQLite)
}

// TestSchema: with a schema named, the transaction's search_path does not matter.
func TestSchema(t *testing.T) {
	eachOf(t, func(w *world) {
		w.must(w.bare.ExecContext(ctx, "DROP TABLE river_job CASCADE"))
		w.must(w.bare.ExecContext(ctx, "CREATE SCHEMA jobs"))
		w.must(river.Migrate(ctx, w.bare, w.e.Dialect, "jobs"))
		w.river.Config.Schema = "jobs"
		w.start(forward.Async, forward.RelayInProcess)
		tx := w.begin()
		w.place(tx, 1)
		w.must(tx.ExecContext(ctx, "SET LOCAL search_path = pg_catalog"))
		w.must(tx.Commit())
		w.until("it is delivered", func() bool { return w.sink.calls() == "1" }, w.sink.calls)
	}, dbtest.PostgresEngines()...)
}
