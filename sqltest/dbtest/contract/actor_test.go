package contract_test

import (
	"context"
	"errors"
	"strconv"
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
			forEach(t, func(t *testing.T, e dbtest.Engine) {
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
					if err == nil || !strings.Contains(err.Error(), "no actor") || !strings.Contains(err.Error(), "hooks.WithActor") || !strings.Contains(err.Error(), "Goroutine: true") {
						t.Errorf("refused with %v", err)
					}
				}
				w.wantNotice(hooks.NoticeFailed)
				w.want("1 5", "orders.inserted orders.inserted", "orders.inserted orders.inserted")
			})
		})
	}
}

// unknown are actors that do not say who they are.
var unknown = []hooks.Actor{
	{ID: "x"}, {Name: "Ada"}, {OnBehalfOf: "7"}, {Type: hooks.User}, {Type: hooks.Job, Name: "nightly"}, {Type: "person", ID: "7"},
}

// TestRequireActorThatIsKnown: an actor that Record would refuse does not count
// for a captured event either.
func TestRequireActorThatIsKnown(t *testing.T) {
	each(t, func(w *world) {
		strict := newWorld(w.T, w.e, setup{driver: []driver.Option{driver.RequireActor()}})
		for _, a := range unknown {
			c := hooks.WithActor(ctx(), a)
			if _, err := strict.db.ExecContext(c, "INSERT INTO orders (id) VALUES (1)"); err == nil || !strings.Contains(err.Error(), "no actor") {
				w.Errorf("%+v: refused with %v", a, err)
			}
			tx := strict.begin()
			w.must(tx.ExecContext(c, "INSERT INTO orders (id) VALUES (1)"))
			if err := tx.Commit(); err == nil || !strings.Contains(err.Error(), "no actor") {
				w.Errorf("%+v in a transaction: refused with %v", a, err)
			}
			var invalid *hooks.InvalidError
			if err := hooks.Record(c, strict.db, named("a")); !errors.As(err, &invalid) {
				w.Errorf("%+v: Record returned %v", a, err)
			} else if strings.Count(err.Error(), "hooks:") != 1 {
				w.Errorf("an error with a prefix too many: %v", err)
			}
			w.must(w.db.ExecContext(c, "INSERT INTO visits (id) VALUES (1)"))
		}
		strict.want("", "", "")
		if n := total(w.told.of(hooks.NoticeUnattributed)); n != len(unknown) {
			w.Errorf("%d events are unattributed, want %d", n, len(unknown))
		}
		where := " WHERE actor_type IS NULL AND actor_id IS NULL AND actor_name IS NULL AND on_behalf_of IS NULL"
		if got, want := w.list("SELECT count(*) FROM "+w.journalView()+where), strconv.Itoa(len(unknown)); got != want {
			w.Errorf("%s events have no actor in the journal, want %s", got, want)
		}
	})
}

func total(all []hooks.Notice) (n int) {
	for i := range all {
		n += all[i].Count
	}
	return n
}

// TestUnknownActorHidesNone: the sources behind one that does not say who it is
// count.
func TestUnknownActorHidesNone(t *testing.T) {
	ada := hooks.Actor{Type: hooks.User, ID: "ada"}
	each(t, func(w *world) {
		dflt := newWorld(w.T, w.e, setup{driver: []driver.Option{driver.DefaultActor(ada)}})
		for _, a := range unknown {
			c := hooks.WithActor(ctx(), a)
			w.must(hooks.Record(c, dflt.db, named("default")))
			w.must(dflt.db.ExecContext(c, "INSERT INTO visits (id) VALUES (1)"))

			w.must(w.db.ExecContext(hooks.WithActor(hooks.WithActor(ctx(), ada), a), "INSERT INTO visits (id) VALUES (1)"))
			tx, err := w.db.BeginTx(hooks.WithActor(ctx(), ada), nil)
			w.must(err)
			w.must(tx.ExecContext(c, "INSERT INTO visits (id) VALUES (1)"))
			w.must(tx.Commit())
			hooks.Do(ctx(), hooks.Values{Actor: ada}, func(context.Context) {
				w.must(w.db.ExecContext(c, "INSERT INTO visits (id) VALUES (1)"))
			})
		}
		for _, w := range []*world{w, dflt} {
			if got := w.list("SELECT DISTINCT coalesce(actor_id, 'nobody') FROM " + w.journalView()); got != "ada" {
				w.Errorf("the events are %s's", got)
			}
		}
	})
}

// TestActorOutlivesTheServersTransaction: whom BeginTx has named acts until the
// Tx is done, however often the server's transaction ends under it.
func TestActorOutlivesTheServersTransaction(t *testing.T) {
	ada := hooks.WithActor(ctx(), hooks.Actor{Type: hooks.User, ID: "ada"})
	rows := []struct {
		name   string
		script script
		events int
		only   []dbtest.Engine
	}{
		{name: "commit and chain", script: "@1 | COMMIT AND CHAIN | @2 | !a", events: 3, only: pg},
		{name: "rollback and chain", script: "@1 | ROLLBACK AND CHAIN | @2 | !a", events: 2, only: pg},
		{name: "chain in a string", script: "@1 | SELECT 1; COMMIT AND CHAIN | @2", events: 2, only: pg},
		{name: "commit; begin", script: "@1 | COMMIT; BEGIN | @2", events: 2},
		{name: "commit, begin", script: "@1 | COMMIT | BEGIN | @2", events: 2},
		{name: "autocommit after a raw commit", script: "@1 | COMMIT | @2 | !a | BEGIN", events: 3},
	}
	each(t, func(w *world) {
		outer := w.T
		for _, tt := range rows {
			if !(row{only: tt.only}).appliesTo(w.e) {
				continue
			}
			outer.Run(tt.name, func(t *testing.T) {
				w.reset(t)
				defer func() { w.T = outer }()
				conn, err := w.db.Conn(ctx())
				w.must(err)
				defer conn.Close()
				tx, err := conn.BeginTx(ada, nil)
				w.must(err)
				r := &runner{e: w.e, conn: conn, tx: tx, way: byExec, other: w.bare}
				for _, step := range tt.script.steps() {
					w.must(r.step(step))
				}
				w.must(tx.Commit())
				w.must(conn.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (9)")) // nobody's
				w.must(w.hub.Settle(ctx()))
				of := func(where string) (n int) {
					w.must(w.bare.QueryRowContext(ctx(), "SELECT count(*) FROM "+w.journalView()+" WHERE "+where).Scan(&n))
					return n
				}
				if n := of("actor_id = 'ada'"); n != tt.events {
					t.Errorf("%d events are ada's, want %d", n, tt.events)
				}
				if n := of("actor_id IS NULL"); n != 1 {
					t.Errorf("%d events are nobody's, want the one after the Tx", n)
				}
			})
		}
	})
}

// TestActorOfARawBegin: a chained transaction is still that of whom its BEGIN has
// named.
func TestActorOfARawBegin(t *testing.T) {
	each(t, func(w *world) {
		ada := hooks.WithActor(ctx(), hooks.Actor{Type: hooks.User, ID: "ada"})
		conn := w.conn()
		w.must(conn.ExecContext(ada, "BEGIN"))
		for _, query := range []string{"COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "SELECT 1; COMMIT AND CHAIN"} {
			w.must(conn.ExecContext(ctx(), query))
			w.record(conn, "a")
		}
		w.must(conn.ExecContext(ctx(), "COMMIT"))
		w.must(w.hub.Settle(ctx()))
		if got := w.list("SELECT DISTINCT coalesce(actor_id, 'nobody') FROM " + w.journalView()); got != "ada" {
			w.Errorf("the events are %s's", got)
		}
	}, pg...)
}
