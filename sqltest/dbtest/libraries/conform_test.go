package libraries_test

import (
	"context"
	"errors"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// library is how a library's users write to the table orders.
type library struct {
	// db writes outside any transaction.
	db session
	// transact runs f in a transaction, which is committed if f returns nil and
	// rolled back if it returns an error or panics.
	transact func(ctx context.Context, f func(ctx context.Context, tx session) error) error
}

// session is a library's database or a transaction of it.
type session struct {
	handle hooks.Handle // for Record
	place  func(ctx context.Context, note string) error
	change func(ctx context.Context, from, to string) error
	cancel func(ctx context.Context, note string) error
	// nest runs f in a nested transaction, or under a savepoint.
	nest func(ctx context.Context, f func(ctx context.Context, tx session) error) error
}

var errChanged = errors.New("changed my mind")

// forEach has a library, as use sets it up, conform on each of the engines.
func forEach(t *testing.T, use func(w *world) library, engines ...dbtest.Engine) {
	t.Helper()
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		t.Helper()
		w := withOrders(t, e)
		conform(w, use(w))
	}, engines...)
}

// conform asks of a library what the README promises for all.
func conform(w *world, l library) {
	w.Helper()
	w.sub("commit", func(w *world) { commits(w, l) })
	w.sub("rollback", func(w *world) { rollsBack(w, l) })
	w.sub("panic", func(w *world) { panics(w, l) })
	w.sub("nested rollback", func(w *world) { nestedRollback(w, l) })
	w.sub("nested commit", func(w *world) { nestedCommit(w, l) })
	w.sub("nested commit, outer rollback", func(w *world) { nestedInVain(w, l) })
	w.sub("autocommit", func(w *world) { autocommits(w, l) })
	w.sub("who", func(w *world) { tellsWho(w, l) })
	w.sub("callbacks", func(w *world) { callsBack(w, l) })
	w.sub("beside a transaction", func(w *world) { besideTransaction(w, l) })
}

// commits: what was captured and what was recorded come in the order in which
// they were done, and not before the commit.
func commits(w *world, l library) {
	w.Helper()
	w.ok(l.transact(w.Context(), func(ctx context.Context, tx session) error {
		err := errors.Join(tx.place(ctx, "apples"), record(ctx, tx.handle, "a"),
			tx.change(ctx, "apples", "pears"), record(ctx, tx.handle, "b"),
			tx.cancel(ctx, "pears"))
		w.want()
		return err
	}))
	w.want("orders.inserted 1", "order.noted #a", "orders.updated 1", "order.noted #b", "orders.deleted 1")
	w.wantOrders()
}

func rollsBack(w *world, l library) {
	w.Helper()
	err := l.transact(w.Context(), func(ctx context.Context, tx session) error {
		return errors.Join(tx.place(ctx, "apples"), record(ctx, tx.handle, "a"),
			tx.change(ctx, "apples", "pears"), errChanged)
	})
	if !errors.Is(err, errChanged) || err.Error() != errChanged.Error() {
		w.Errorf("the transaction says %v, want %v", err, errChanged)
	}
	w.want()
	w.wantOrders()
}

func panics(w *world, l library) {
	w.Helper()
	defer func() {
		if v := recover(); v != any(errChanged) {
			w.Errorf("panic with %v, want %v", v, errChanged)
		}
		w.want()
		w.wantOrders()
	}()
	err := l.transact(w.Context(), func(ctx context.Context, tx session) error {
		w.ok(errors.Join(tx.place(ctx, "apples"), record(ctx, tx.handle, "a")))
		panic(errChanged)
	})
	w.Errorf("the transaction returned %v", err)
}

// nestedRollback: the inner rollback takes what was done within it, and nothing
// that was done before or after.
func nestedRollback(w *world, l library) {
	w.Helper()
	w.ok(l.transact(w.Context(), func(ctx context.Context, tx session) error {
		w.ok(errors.Join(tx.place(ctx, "apples"), record(ctx, tx.handle, "a")))
		inner := tx.nest(ctx, func(ctx context.Context, tx session) error {
			w.ok(errors.Join(tx.place(ctx, "plums"), record(ctx, tx.handle, "b"), tx.change(ctx, "apples", "pears")))
			return errChanged
		})
		if !errors.Is(inner, errChanged) {
			w.Errorf("the nested transaction says %v, want %v", inner, errChanged)
		}
		return errors.Join(record(ctx, tx.handle, "c"), tx.cancel(ctx, "no such"), tx.change(ctx, "apples", "figs"))
	}))
	w.want("orders.inserted 1", "order.noted #a", "order.noted #c", "orders.updated 1")
	w.wantOrders("figs")
}

func nestedCommit(w *world, l library) {
	w.Helper()
	w.ok(l.transact(w.Context(), func(ctx context.Context, tx session) error {
		w.ok(tx.place(ctx, "apples"))
		w.ok(tx.nest(ctx, func(ctx context.Context, tx session) error {
			return errors.Join(record(ctx, tx.handle, "a"), tx.change(ctx, "apples", "pears"))
		}))
		return record(ctx, tx.handle, "b")
	}))
	w.want("orders.inserted 1", "order.noted #a", "orders.updated 1", "order.noted #b")
	w.wantOrders("pears")
}

func nestedInVain(w *world, l library) {
	w.Helper()
	err := l.transact(w.Context(), func(ctx context.Context, tx session) error {
		w.ok(tx.nest(ctx, func(ctx context.Context, tx session) error {
			return errors.Join(tx.place(ctx, "apples"), record(ctx, tx.handle, "a"))
		}))
		return errChanged
	})
	if !errors.Is(err, errChanged) {
		w.Errorf("the transaction says %v, want %v", err, errChanged)
	}
	w.want()
	w.wantOrders()
}

func autocommits(w *world, l library) {
	w.Helper()
	ctx := w.Context()
	w.ok(l.db.place(ctx, "apples"))
	w.want("orders.inserted 1")
	w.ok(l.db.change(ctx, "apples", "pears"))
	w.want("orders.updated 1")
	w.ok(record(ctx, l.db.handle, "a"))
	w.want("order.noted #a")
	w.ok(l.db.cancel(ctx, "pears"))
	w.want("orders.deleted 1")
	w.ok(l.db.cancel(ctx, "pears")) // no row, no event
	w.want()
	w.wantOrders()
}

// tellsWho: the context that is handed to the library reaches the driver.
func tellsWho(w *world, l library) {
	w.Helper()
	ada := hooks.Actor{Type: hooks.User, ID: "ada"}
	ctx := hooks.WithActor(w.Context(), ada)
	w.ok(l.transact(ctx, func(ctx context.Context, tx session) error {
		return errors.Join(tx.place(ctx, "apples"), record(ctx, tx.handle, "a"))
	}))
	w.ok(errors.Join(l.db.change(ctx, "apples", "pears"), record(ctx, l.db.handle, "b")))
	for _, entry := range w.recorder.Entries() {
		if entry.Actor != ada {
			w.Errorf("%s is by %v, want %v", entry.Action, entry.Actor, ada)
		}
	}
	w.want("orders.inserted 1", "order.noted #a", "orders.updated 1", "order.noted #b")
	w.wantOrders("pears")
}

// callsBack: a function waits for the commit, and goes with its savepoint.
func callsBack(w *world, l library) {
	w.Helper()
	called := make(chan string, 8)
	call := func(ctx context.Context, h hooks.Handle, what string) error {
		return hooks.OnCommit(ctx, h, func(context.Context) { called <- what })
	}
	w.ok(l.transact(w.Context(), func(ctx context.Context, tx session) error {
		w.ok(call(ctx, tx.handle, "first"))
		inner := tx.nest(ctx, func(ctx context.Context, tx session) error {
			return errors.Join(call(ctx, tx.handle, "taken back"), errChanged)
		})
		if !errors.Is(inner, errChanged) {
			w.Errorf("the nested transaction says %v, want %v", inner, errChanged)
		}
		if len(called) > 0 {
			w.Errorf("%s was called before the commit", <-called)
		}
		return call(ctx, tx.handle, "last")
	}))
	close(called)
	var names []string
	for name := range called {
		names = append(names, name)
	}
	w.wantLines("called were", names, []string{"first", "last"})
	w.want()
}

// besideTransaction: the handle says which transaction an event belongs to.
// What is recorded through the database's, and not the transaction's, is no part
// of it. SQLite has one writer, which the other would wait for.
func besideTransaction(w *world, l library) {
	w.Helper()
	if w.e.Dialect == hooks.SQLite {
		return
	}
	err := l.transact(w.Context(), func(ctx context.Context, tx session) error {
		return errors.Join(tx.place(ctx, "apples"), record(ctx, tx.handle, "in"), record(ctx, l.db.handle, "beside"), errChanged)
	})
	if !errors.Is(err, errChanged) {
		w.Errorf("the transaction says %v, want %v", err, errChanged)
	}
	w.want("order.noted #beside")
	w.wantOrders()
}

// savepoint is for libraries that leave nested transactions to SQL.
func savepoint(ctx context.Context, tx session, f func(ctx context.Context, tx session) error) error {
	if _, err := tx.handle.ExecContext(ctx, "SAVEPOINT inner_one"); err != nil {
		return err
	}
	if err := f(ctx, tx); err != nil {
		_, back := tx.handle.ExecContext(ctx, "ROLLBACK TO SAVEPOINT inner_one")
		return errors.Join(err, back)
	}
	_, err := tx.handle.ExecContext(ctx, "RELEASE SAVEPOINT inner_one")
	return err
}
