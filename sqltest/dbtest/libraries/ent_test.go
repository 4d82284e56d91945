package libraries_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/libraries/ent"
	entorder "github.com/go-aftercommit/aftercommit/sqltest/dbtest/libraries/ent/order"
)

// openEnt opens the database for ent, which is told the dialect.
func openEnt(w *world, opts ...ent.Option) *ent.Client {
	w.Helper()
	return ent.NewClient(append(opts, ent.Driver(entsql.OpenDB(entDialect(w.e), w.open())))...)
}

func entDialect(e dbtest.Engine) string {
	if e.Dialect == hooks.SQLite {
		return dialect.SQLite
	}
	return dialect.Postgres
}

// TestEnt records through *ent.Tx, which executes with the feature sql/execquery.
func TestEnt(t *testing.T) {
	forEach(t, func(w *world) library {
		w.Helper()
		return entLibrary(openEnt(w))
	})
}

// TestEntDebug has ent log each statement, for which it puts a driver of its own
// around the transaction.
func TestEntDebug(t *testing.T) {
	var logged strings.Builder
	forEach(t, func(w *world) library {
		w.Helper()
		return entLibrary(openEnt(w, ent.Debug(), ent.Log(func(...any) { logged.WriteByte('.') })))
	}, dbtest.PQ)
	if logged.Len() == 0 {
		t.Error("ent logged nothing")
	}
}

func entLibrary(client *ent.Client) library {
	return library{
		db: entSession(client, client),
		transact: func(ctx context.Context, f func(context.Context, session) error) error {
			return inEnt(ctx, client, func(tx *ent.Tx) error { return f(ctx, entSession(tx, tx.Client())) })
		},
	}
}

// inEnt is the function WithTx of ent's documentation.
func inEnt(ctx context.Context, client *ent.Client, f func(tx *ent.Tx) error) error {
	tx, err := client.Tx(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if v := recover(); v != nil {
			_ = tx.Rollback()
			panic(v)
		}
	}()
	if err := f(tx); err != nil {
		if back := tx.Rollback(); back != nil {
			err = errors.Join(err, back)
		}
		return err
	}
	return tx.Commit()
}

func entSession(h hooks.Handle, client *ent.Client) session {
	s := session{
		handle: h,
		place: func(ctx context.Context, note string) error {
			return client.Order.Create().SetNote(note).Exec(ctx)
		},
		change: func(ctx context.Context, from, to string) error {
			return client.Order.Update().Where(entorder.Note(from)).SetNote(to).Exec(ctx)
		},
		cancel: func(ctx context.Context, note string) error {
			_, err := client.Order.Delete().Where(entorder.Note(note)).Exec(ctx)
			return err
		},
	}
	s.nest = func(ctx context.Context, f func(context.Context, session) error) error { return savepoint(ctx, s, f) }
	return s
}

// TestEntForms uses what ent does in more than one statement: many at once, and
// an update that reads the row back.
func TestEntForms(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		client := openEnt(w)
		batch, err := client.Order.MapCreateBulk([]string{"apples", "pears"}, func(c *ent.OrderCreate, i int) {
			c.SetNote([]string{"apples", "pears"}[i])
		}).Save(t.Context())
		w.ok(err)
		w.want("orders.inserted 2")
		if _, err = batch[0].Update().SetNote("figs").Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.want("orders.updated #1")
		w.ok(client.Order.DeleteOneID(2).Exec(t.Context()))
		w.want("orders.deleted #2")
		w.wantOrders("figs")
	})
}

// TestEntHook records from ent's hook on a mutation: in its transaction, if it
// has one.
func TestEntHook(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		client := openEnt(w)
		client.Order.Use(func(next ent.Mutator) ent.Mutator {
			return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
				v, err := next.Mutate(ctx, m)
				if err != nil {
					return nil, err
				}
				return v, record(ctx, m.(*ent.OrderMutation).Client(), m.Op().String())
			})
		})
		err := inEnt(t.Context(), client, func(tx *ent.Tx) error {
			w.ok(tx.Order.Create().SetNote("apples").Exec(t.Context()))
			return errChanged
		})
		if !errors.Is(err, errChanged) {
			t.Error(err)
		}
		w.want()
		w.ok(inEnt(t.Context(), client, func(tx *ent.Tx) error { return tx.Order.Create().SetNote("pears").Exec(t.Context()) }))
		w.want("orders.inserted 1", "order.noted #OpCreate")
		w.wantOrders("pears")
	})
}

// TestEntSchema makes the tables with ent's own migration, through the wrapper
// and beside it.
func TestEntSchema(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		if e.Dialect == hooks.SQLite { // ent asks for it
			e = e.With(e.Name, func(tb testing.TB) string {
				tb.Helper()
				return dbtest.SQLiteFile(tb, "foreign_keys(1)", "busy_timeout(180000)")
			})
		}
		w := newWorld(t, e)
		client := openEnt(w)
		w.ok(client.Schema.Create(t.Context()))
		w.want("schema.changed #orders")
		w.ok(client.Schema.Create(t.Context())) // nothing to do
		w.want()
		w.ok(client.Order.Create().SetNote("apples").Exec(t.Context()))
		w.want("orders.inserted 1")

		beside := ent.NewClient(ent.Driver(entsql.OpenDB(entDialect(e), w.bare)))
		w.exec(w.bare, "ALTER TABLE orders DROP COLUMN note")
		w.exec(w.bare, "DELETE FROM orders")
		w.ok(beside.Schema.Create(t.Context()))
		w.want()
		w.ok(client.Order.Create().SetNote("pears").Exec(t.Context()))
		w.want("orders.inserted 1")
	})
}

// TestEntIsolation hands ent's options of a transaction through.
func TestEntIsolation(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		tx, err := openEnt(w).BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable})
		w.ok(err)
		rows, err := tx.QueryContext(t.Context(), "SHOW transaction_isolation")
		w.ok(err)
		var level string
		w.ok(entsql.ScanOne(rows, &level))
		w.ok(rows.Err())
		if level != "serializable" {
			t.Errorf("isolation %s", level)
		}
		w.ok(tx.Order.Create().SetNote("apples").Exec(t.Context()))
		w.ok(record(t.Context(), tx, "a"))
		w.ok(tx.Commit())
		w.want("orders.inserted 1", "order.noted #a")
	}, dbtest.PostgresEngines()...)
}
