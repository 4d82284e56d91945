package contract_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestRequireActor: what nobody has done does not commit in strict mode, in a
// transaction or without, and is told otherwise.
func TestRequireActor(t *testing.T) {
	for _, mode := range []hooks.Mode{hooks.Strict, hooks.BestEffort} {
		t.Run(mode.String(), func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				w := newWorld(t, e, setup{driver: []driver.Option{driver.RequireActor(), driver.WithMode(mode)}})
				ada := hooks.WithActor(ctx(), hooks.Actor{Type: hooks.User, ID: "ada"})
				insert := func(id string) string { return "INSERT INTO orders (id) VALUES (" + id + ")" }

				w.must(w.db.ExecContext(ada, insert("1")))
				_, alone := w.db.ExecContext(ctx(), insert("2"))
				tx := w.begin()
				w.must(tx.ExecContext(ada, insert("3")))
				w.must(tx.ExecContext(ctx(), "INSERT INTO visits (id) VALUES (4)"))
				inside := tx.Commit()
				tx, err := w.db.BeginTx(ada, nil)
				w.must(err)
				w.must(tx.ExecContext(ctx(), insert("5"))) // BeginTx has said who
				w.must(tx.Commit())

				if mode == hooks.BestEffort {
					w.must(alone)
					w.must(inside)
					w.wantNotice(hooks.NoticeUnattributed)
					return
				}
				for _, err := range []error{alone, inside} {
					if err == nil || !strings.Contains(err.Error(), "no actor") || !strings.Contains(err.Error(), "hooks.WithActor") {
						t.Errorf("refused with %v", err)
					}
				}
				w.wantNotice(hooks.NoticeFailed)
				w.want("1 5", "orders.inserted orders.inserted", "orders.inserted orders.inserted")
			})
		})
	}
}
