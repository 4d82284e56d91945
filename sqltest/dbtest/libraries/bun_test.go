package libraries_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/migrate"
	"github.com/uptrace/bun/schema"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// bunOrder is bun's model of the table orders.
type bunOrder struct {
	bun.BaseModel `bun:"table:orders,alias:o"`

	ID   int64  `bun:"id,pk,autoincrement"`
	Note string `bun:"note,notnull"`
}

func openBun(w *world) *bun.DB {
	w.Helper()
	return bun.NewDB(w.open(), bunDialect(w.e))
}

func bunDialect(e dbtest.Engine) schema.Dialect {
	if e.Dialect == hooks.SQLite {
		return sqlitedialect.New()
	}
	return pgdialect.New()
}

// TestBun writes with bun's query builder, which puts the values into the text.
func TestBun(t *testing.T) {
	forEach(t, func(w *world) library {
		w.Helper()
		db := openBun(w)
		return library{
			db: bunSession(db),
			transact: func(ctx context.Context, f func(context.Context, session) error) error {
				return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { return f(ctx, bunSession(tx)) })
			},
		}
	})
}

// bunSession writes through bun's database, connection or transaction.
func bunSession(db bun.IDB) session {
	return session{
		handle: db,
		place: func(ctx context.Context, note string) error {
			_, err := db.NewInsert().Model(&bunOrder{Note: note}).Exec(ctx)
			return err
		},
		change: func(ctx context.Context, from, to string) error {
			_, err := db.NewUpdate().Model((*bunOrder)(nil)).Set("note = ?", to).Where("note = ?", from).Exec(ctx)
			return err
		},
		cancel: func(ctx context.Context, note string) error {
			_, err := db.NewDelete().Model((*bunOrder)(nil)).Where("note = ?", note).Exec(ctx)
			return err
		},
		nest: func(ctx context.Context, f func(context.Context, session) error) error {
			return db.RunInTx(ctx, &sql.TxOptions{}, func(ctx context.Context, tx bun.Tx) error { return f(ctx, bunSession(tx)) })
		},
	}
}

// TestBunForms uses what bun writes in a way of its own: many rows, an upsert,
// an update of many rows from a list of values, and a comment before it all.
func TestBunForms(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		db := openBun(w)
		batch := []*bunOrder{{Note: "apples"}, {Note: "pears"}}
		_, err := db.NewInsert().Model(&batch).Comment("a batch; of two").Exec(t.Context())
		w.ok(err)
		w.want("orders.inserted 2")

		batch[0].Note = "figs"
		_, err = db.NewInsert().Model(batch[0]).On("CONFLICT (id) DO UPDATE").Set("note = EXCLUDED.note").Exec(t.Context())
		w.ok(err)
		w.want("orders.upserted #1")

		batch[1].Note = "plums"
		_, err = db.NewUpdate().Model(&batch).Column("note").Bulk().Exec(t.Context())
		w.ok(err)
		w.want("orders.updated 2")
		w.wantOrders("figs", "plums")
	})
}

// TestBunConn begins a transaction on a connection that it keeps.
func TestBunConn(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		conn, err := openBun(w).Conn(t.Context())
		w.ok(err)
		t.Cleanup(func() { _ = conn.Close() })
		w.ok(record(t.Context(), conn, "alone"))
		w.want("order.noted #alone")
		tx, err := conn.BeginTx(t.Context(), nil)
		w.ok(err)
		w.ok(errors.Join(bunSession(tx).place(t.Context(), "apples"), record(t.Context(), conn, "by its connection"), tx.Commit()))
		w.want("orders.inserted 1", "order.noted #by its connection")
	})
}

// TestBunMigrate migrates with bun's own tool, in Go, through the wrapper and
// beside it.
func TestBunMigrate(t *testing.T) {
	steps := migrate.NewMigrations()
	steps.Add(migrate.Migration{
		Name: "20260101000000",
		Up: func(ctx context.Context, m *migrate.Migrator, _ *migrate.Migration) error {
			return m.DB().RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				if _, err := tx.NewCreateTable().Model((*bunOrder)(nil)).Exec(ctx); err != nil {
					return err
				}
				return record(ctx, tx, "made")
			})
		},
	})
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		db := openBun(w)
		m := migrate.NewMigrator(db, steps)
		w.ok(m.Init(t.Context()))
		w.ok(m.Lock(t.Context()))
		_, err := m.Migrate(t.Context())
		w.ok(err)
		w.ok(m.Unlock(t.Context()))
		w.want("schema.changed #orders", "order.noted #made")

		beside := migrate.NewMigrator(bun.NewDB(w.bare, bunDialect(e)), steps)
		_, err = beside.Migrate(t.Context())
		w.ok(err)
		w.want()
		w.ok(bunSession(db).place(t.Context(), "apples"))
		w.want("orders.inserted 1")
	})
}
