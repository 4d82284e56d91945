package libraries_test

import (
	"context"
	"errors"
	"testing"

	"xorm.io/xorm"
	"xorm.io/xorm/dialects"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// xormOrder is xorm's model of the table orders.
type xormOrder struct {
	ID   int64  `xorm:"'id' pk autoincr"`
	Note string `xorm:"'note' notnull"`
}

// TableName implements xorm's names.TableName.
func (xormOrder) TableName() string { return "orders" }

// openXorm opens the database with xorm, which must be told what a driver of
// this name speaks.
func openXorm(w *world) *xorm.Engine {
	w.Helper()
	known := map[string]dialects.Driver{
		"pq": dialects.QueryDriver("postgres"), "pgx": dialects.QueryDriver("pgx"), "sqlite": dialects.QueryDriver("sqlite3"),
	}
	dialects.RegisterDriver(w.name, known[w.e.Name])
	db, err := xorm.NewEngine(w.name, w.dsn)
	w.ok(err)
	w.Cleanup(func() { _ = db.Close() })
	return db
}

// TestXorm writes through xorm's sessions.
func TestXorm(t *testing.T) {
	forEach(t, func(w *world) library {
		w.Helper()
		db := openXorm(w)
		alone := xormSession(db.DB(), func(ctx context.Context) *xorm.Session { return db.Context(ctx) })
		return library{
			db: alone,
			transact: func(ctx context.Context, f func(context.Context, session) error) error {
				s := db.NewSession().Context(ctx)
				defer s.Close()
				if err := s.Begin(); err != nil {
					return err
				}
				tx := xormSession(s.Tx(), func(ctx context.Context) *xorm.Session { return s.Context(ctx) })
				if err := f(ctx, tx); err != nil {
					return errors.Join(err, s.Rollback())
				}
				return s.Commit()
			},
		}
	})
}

func xormSession(h hooks.Handle, in func(ctx context.Context) *xorm.Session) session {
	s := session{
		handle: h,
		place: func(ctx context.Context, note string) error {
			_, err := in(ctx).Insert(&xormOrder{Note: note})
			return err
		},
		change: func(ctx context.Context, from, to string) error {
			_, err := in(ctx).Where("note = ?", from).Cols("note").Update(&xormOrder{Note: to})
			return err
		},
		cancel: func(ctx context.Context, note string) error {
			_, err := in(ctx).Where("note = ?", note).Delete(&xormOrder{})
			return err
		},
	}
	s.nest = func(ctx context.Context, f func(context.Context, session) error) error { return savepoint(ctx, s, f) }
	return s
}
