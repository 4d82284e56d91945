package libraries_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/libraries/sqlc"
)

// TestSQLC uses the queries that sqlc has generated; Record takes the
// transaction that they are bound to.
func TestSQLC(t *testing.T) {
	forEach(t, func(w *world) library {
		w.Helper()
		db := w.open()
		return sqlcLibrary(db, sqlc.New(db))
	}, dbtest.PostgresEngines()...)
}

// TestSQLCPrepared has all queries prepared beforehand.
func TestSQLCPrepared(t *testing.T) {
	forEach(t, func(w *world) library {
		w.Helper()
		db := w.open()
		q, err := sqlc.Prepare(w.Context(), db)
		w.ok(err)
		w.Cleanup(func() { _ = q.Close() })
		return sqlcLibrary(db, q)
	}, dbtest.PostgresEngines()...)
}

func sqlcLibrary(db *sql.DB, q *sqlc.Queries) library {
	return library{
		db: sqlcSession(db, q),
		transact: func(ctx context.Context, f func(context.Context, session) error) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			if err := f(ctx, sqlcSession(tx, q.WithTx(tx))); err != nil {
				return err
			}
			return tx.Commit()
		},
	}
}

func sqlcSession(h sqlc.DBTX, q *sqlc.Queries) session {
	s := session{
		handle: h,
		place: func(ctx context.Context, note string) error {
			_, err := q.PlaceOrder(ctx, note)
			return err
		},
		change: func(ctx context.Context, from, to string) error {
			_, err := q.ChangeNote(ctx, sqlc.ChangeNoteParams{Before: from, After: to})
			return err
		},
		cancel: q.CancelOrder,
	}
	s.nest = func(ctx context.Context, f func(context.Context, session) error) error { return savepoint(ctx, s, f) }
	return s
}
