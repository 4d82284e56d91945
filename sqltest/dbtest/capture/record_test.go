package capture_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// preparing is a handle that prepares whatever it executes, as some libraries'
// do.
type preparing struct{ preparer }

func (p preparing) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.ExecContext(ctx, args...)
}

// TestRecordThroughHandles: an event can be recorded through whatever executes
// statements.
func TestRecordThroughHandles(t *testing.T) {
	each(t, "", func(w *world) {
		w.record(w.db, "db")
		w.record(preparing{w.db}, "prepared")
		conn := w.conn()
		w.record(conn, "conn")
		w.record(preparing{conn}, "prepared on the conn")
		w.want("thing.noted thing#db", "thing.noted thing#prepared", "thing.noted thing#conn", "thing.noted thing#prepared on the conn")

		tx, err := conn.BeginTx(ctx(), nil)
		w.must(err)
		w.record(tx, "tx")
		w.record(preparing{tx}, "prepared on the tx")
		w.want()
		w.must(tx.Commit())
		w.want("thing.noted thing#tx", "thing.noted thing#prepared on the tx")

		w.execOn(conn, "BEGIN")
		w.record(conn, "raw")
		w.want()
		w.execOn(conn, "ROLLBACK")
		w.want()
	})
}

// TestRecordUnwrapped: a handle that is not wrapped is told so, and nothing else
// happens.
func TestRecordUnwrapped(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		conn, err := w.bare.Conn(ctx())
		w.must(err)
		tx, err := conn.BeginTx(ctx(), nil)
		w.must(err)
		w.execOn(tx, "INSERT INTO orders (id) VALUES (1)")
		called := func(context.Context) { w.Error("the function of an unwrapped handle was called") }
		for name, h := range map[string]hooks.Handle{"db": w.bare, "tx": tx, "prepared tx": preparing{tx}} {
			for what, err := range map[string]error{
				"Record":     hooks.Record(ctx(), h, noted("n")),
				"OnCommit":   hooks.OnCommit(ctx(), h, called),
				"OnRollback": hooks.OnRollback(ctx(), h, called),
			} {
				if !errors.Is(err, hooks.ErrNotWrapped) {
					w.Errorf("%s through %s: %v, want hooks.ErrNotWrapped", what, name, err)
				}
			}
		}
		w.must(tx.Commit())
		w.must(conn.Close())
		w.wantCount("orders", 1)
		w.must(w.db.PingContext(ctx()))
		w.want()
	})
}

// TestRecordTooLate: a transaction that has ended takes no events.
func TestRecordTooLate(t *testing.T) {
	each(t, "", func(w *world) {
		for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
			tx := w.begin()
			w.must(end(tx))
			if err := hooks.Record(ctx(), tx, noted("late")); !errors.Is(err, sql.ErrTxDone) {
				w.Errorf("error %v, want sql.ErrTxDone", err)
			}
			if err := hooks.OnCommit(ctx(), tx, func(context.Context) {}); !errors.Is(err, sql.ErrTxDone) {
				w.Errorf("OnCommit: error %v, want sql.ErrTxDone", err)
			}
		}
		conn := w.conn()
		w.must(conn.Close())
		if err := hooks.Record(ctx(), conn, noted("late")); !errors.Is(err, sql.ErrConnDone) {
			w.Errorf("error %v, want sql.ErrConnDone", err)
		}
		w.want()
	})
}

// TestRecordWithADeadContext: nothing is recorded by whom has given up.
func TestRecordWithADeadContext(t *testing.T) {
	each(t, "", func(w *world) {
		w.must(w.db.PingContext(ctx()))
		dead, cancel := context.WithCancel(ctx())
		cancel()
		if err := hooks.Record(dead, w.db, noted("dead")); !errors.Is(err, context.Canceled) {
			w.Errorf("error %v, want context.Canceled", err)
		}
		w.want()
	})
}

// TestRecordOrder: events are written in the order in which they came, captured
// ones among them.
func TestRecordOrder(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		tx := w.begin()
		w.record(tx, "a")
		w.execOn(tx, "INSERT INTO orders (id) VALUES (1)")
		w.record(tx, "b")
		w.execOn(tx, "DELETE FROM orders WHERE id = 1")
		w.record(tx, "c")
		w.must(tx.Commit())
		w.want(
			"thing.noted thing#a", "orders.inserted orders#1 statements=1 rows=1",
			"thing.noted thing#b", "orders.deleted orders#1 statements=1 rows=1", "thing.noted thing#c",
		)
	})
}

// TestRecordAmongReads: a transaction that only reads may record; on PostgreSQL
// also one that says that it only reads.
func TestRecordAmongReads(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		tx := w.begin()
		w.must(drain(tx.QueryContext(ctx(), "SELECT id FROM orders")))
		w.record(tx, "read")
		w.must(tx.Commit())
		w.want("thing.noted thing#read")
		tx, err := w.db.BeginTx(ctx(), &sql.TxOptions{ReadOnly: true})
		if err != nil {
			w.Skip(err) // the driver knows no such transactions
		}
		w.record(tx, "read only")
		w.must(tx.Commit())
		w.want("thing.noted thing#read only")
		tx, err = w.db.BeginTx(ctx(), &sql.TxOptions{ReadOnly: true})
		w.must(err)
		w.record(tx, "taken back")
		w.must(tx.Rollback())
		w.want()
	})
}

// TestRecordInvalid: an event that cannot be stored is refused, its transaction
// goes on.
func TestRecordInvalid(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		tx := w.begin()
		w.execOn(tx, "INSERT INTO orders (id) VALUES (1)")
		for field, e := range map[string]hooks.Event{
			"action":                      {Action: "Not an action"},
			"outcome":                     {Action: "a.b", Outcome: "perhaps"},
			"actor.type":                  {Action: "a.b", Actor: hooks.Actor{Type: "robot", ID: "1"}},
			"actor.id":                    {Action: "a.b", Actor: hooks.Actor{Type: hooks.User}},
			"reason":                      {Action: "a.b", Reason: "a\x00b"},
			"comment":                     {Action: "a.b", Comment: "\xff"},
			"user_agent":                  {Action: "a.b", UserAgent: string(make([]byte, 513))},
			"metadata.login.new_password": {Action: "a.b", Metadata: map[string]any{"login": map[string]any{"new_password": "x"}}},
			"metadata.list[1]":            {Action: "a.b", Metadata: map[string]any{"list": []any{"a", "b\x00"}}},
		} {
			err := hooks.Record(ctx(), tx, e)
			var invalid *hooks.InvalidError
			if !errors.As(err, &invalid) || invalid.Field != field {
				w.Errorf("error %v, want an InvalidError of %s", err, field)
			}
		}
		w.record(tx, "valid")
		w.must(tx.Commit())
		w.wantCount("orders", 1)
		w.want("orders.inserted orders#1 statements=1 rows=1", "thing.noted thing#valid")
	})
}

// TestRecordInvalidContext: what a context says is looked at, too.
func TestRecordInvalidContext(t *testing.T) {
	each(t, "", func(w *world) {
		tx := w.begin()
		err := hooks.Record(hooks.With(ctx(), hooks.Values{Reason: "a\x00b"}), tx, noted("n"))
		var invalid *hooks.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "reason" {
			w.Errorf("error %v, want an InvalidError of the reason", err)
		}
		w.must(tx.Commit())
		w.want()
	})
}

// TestRecordAborted: PostgreSQL takes nothing more of a transaction in which a
// statement has failed; neither does the journal.
func TestRecordAborted(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		tx := w.begin()
		w.record(tx, "before")
		if _, err := tx.ExecContext(ctx(), "INSERT INTO nowhere (id) VALUES (1)"); err == nil {
			w.Fatal("there is a table nowhere")
		}
		w.record(tx, "after")
		if err := tx.Commit(); err == nil {
			w.Error("Commit says nil")
		}
		w.want()
	}, dbtest.PostgresEngines()...)
}
