package libraries_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// order is a row for the libraries that read structs by their db tags.
type order struct {
	ID   int64  `db:"id"`
	Note string `db:"note"`
}

// openSQLX opens the database with sqlx, which must be told what placeholders a
// driver of this name has.
func openSQLX(w *world) *sqlx.DB {
	w.Helper()
	bind := sqlx.DOLLAR
	if w.e.Dialect == hooks.SQLite {
		bind = sqlx.QUESTION
	}
	sqlx.BindDriver(w.name, bind)
	db, err := sqlx.ConnectContext(w.Context(), w.name, w.dsn)
	w.ok(err)
	w.Cleanup(func() { _ = db.Close() })
	return db
}

// inSQLX runs f in a transaction.
func inSQLX(ctx context.Context, db *sqlx.DB, f func(tx *sqlx.Tx) error) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// TestSQLX writes with named parameters, and with Rebind of a query that In has
// made.
func TestSQLX(t *testing.T) {
	forEach(t, func(w *world) library {
		w.Helper()
		db := openSQLX(w)
		return library{
			db: sqlxSession(db),
			transact: func(ctx context.Context, f func(context.Context, session) error) error {
				return inSQLX(ctx, db, func(tx *sqlx.Tx) error { return f(ctx, sqlxSession(tx)) })
			},
		}
	})
}

// sqlxSession writes through *sqlx.DB or *sqlx.Tx.
func sqlxSession(h sqlx.ExtContext) session {
	s := session{
		handle: h,
		place: func(ctx context.Context, note string) error {
			_, err := sqlx.NamedExecContext(ctx, h, "INSERT INTO orders (note) VALUES (:note)", order{Note: note})
			return err
		},
		change: func(ctx context.Context, from, to string) error {
			_, err := sqlx.NamedExecContext(ctx, h, "UPDATE orders SET note = :to WHERE note = :from", map[string]any{"from": from, "to": to})
			return err
		},
		cancel: func(ctx context.Context, note string) error {
			query, args, err := sqlx.In("DELETE FROM orders WHERE note IN (?)", []string{note, "and another"})
			if err != nil {
				return err
			}
			_, err = h.ExecContext(ctx, h.Rebind(query), args...)
			return err
		},
	}
	s.nest = func(ctx context.Context, f func(context.Context, session) error) error { return savepoint(ctx, s, f) }
	return s
}

// prepared are an app's statements, prepared once and for all.
type prepared struct {
	place          *sqlx.NamedStmt
	change, cancel *sqlx.Stmt
}

// TestSQLXPrepared prepares on the database, and binds the statements to each
// transaction.
func TestSQLXPrepared(t *testing.T) {
	forEach(t, func(w *world) library {
		w.Helper()
		db := openSQLX(w)
		var p prepared
		var err error
		p.place, err = db.PrepareNamedContext(w.Context(), "INSERT INTO orders (note) VALUES (:note)")
		w.ok(err)
		p.change, err = db.PreparexContext(w.Context(), db.Rebind("UPDATE orders SET note = ? WHERE note = ?"))
		w.ok(err)
		p.cancel, err = db.PreparexContext(w.Context(), db.Rebind("DELETE FROM orders WHERE note = ?"))
		w.ok(err)
		return library{
			db: p.session(db),
			transact: func(ctx context.Context, f func(context.Context, session) error) error {
				return inSQLX(ctx, db, func(tx *sqlx.Tx) error {
					bound := prepared{tx.NamedStmtContext(ctx, p.place), tx.StmtxContext(ctx, p.change), tx.StmtxContext(ctx, p.cancel)}
					return f(ctx, bound.session(tx))
				})
			},
		}
	})
}

func (p prepared) session(h hooks.Handle) session {
	s := session{
		handle: h,
		place: func(ctx context.Context, note string) error {
			_, err := p.place.ExecContext(ctx, order{Note: note})
			return err
		},
		change: func(ctx context.Context, from, to string) error {
			_, err := p.change.ExecContext(ctx, to, from)
			return err
		},
		cancel: func(ctx context.Context, note string) error {
			_, err := p.cancel.ExecContext(ctx, note)
			return err
		},
	}
	s.nest = func(ctx context.Context, f func(context.Context, session) error) error { return savepoint(ctx, s, f) }
	return s
}

// TestSQLXConn begins a transaction on a connection that it keeps.
func TestSQLXConn(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		conn, err := openSQLX(w).Connx(t.Context())
		w.ok(err)
		t.Cleanup(func() { _ = conn.Close() })
		tx, err := conn.BeginTxx(t.Context(), nil)
		w.ok(err)
		w.ok(errors.Join(sqlxSession(tx).place(t.Context(), "apples"), record(t.Context(), conn, "by its connection"), tx.Commit()))
		w.want("orders.inserted 1", "order.noted #by its connection")
		_, err = conn.ExecContext(t.Context(), conn.Rebind("UPDATE orders SET note = ?"), "pears")
		w.ok(err)
		w.want("orders.updated 1")
	})
}

// TestSQLXReturning reads what an INSERT returns into structs, many at once.
func TestSQLXReturning(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		db := openSQLX(w)
		batch := []order{{Note: "apples"}, {Note: "pears"}}
		query, args, err := db.BindNamed("INSERT INTO orders (note) VALUES (:note) RETURNING id, note", batch)
		w.ok(err)
		var placed []order
		w.ok(db.SelectContext(t.Context(), &placed, query, args...))
		if len(placed) != 2 || placed[1].ID == 0 || placed[1].Note != "pears" {
			t.Errorf("placed %v", placed)
		}
		w.want("orders.inserted 2")
	})
}
