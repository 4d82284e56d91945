package contract_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// calls notes which functions ran, in their order.
type calls struct {
	mu   sync.Mutex
	list []string
}

func (c *calls) note(name string) func(context.Context) {
	return func(context.Context) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.list = append(c.list, name)
	}
}

func (c *calls) names() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.list, " ")
}

// TestCallbacks: a function runs as the event of the same place is, or is not,
// in the journal.
func TestCallbacks(t *testing.T) { callbacks(t, setup{}) }

// TestOffRunsFunctions: the mode off does without the trail, and not without what
// the app does after a commit.
func TestOffRunsFunctions(t *testing.T) {
	callbacks(t, setup{driver: []driver.Option{driver.WithMode(hooks.Off)}})
}

func callbacks(t *testing.T, s setup) {
	t.Helper()
	for _, c := range []struct {
		name  string
		steps []string // c1: OnCommit named c1; r1: OnRollback; else SQL
		want  string
		only  string
	}{
		{"commit", []string{"BEGIN", "c1", "r1", "INSERT INTO things (id) VALUES (1)", "COMMIT"}, "c1", ""},
		{"rollback", []string{"BEGIN", "c1", "r1", "INSERT INTO things (id) VALUES (1)", "ROLLBACK"}, "r1", ""},
		{"in order", []string{"BEGIN", "c1", "c2", "c3", "COMMIT"}, "c1 c2 c3", ""},
		{"write-free commit", []string{"BEGIN", "c1", "r1", "COMMIT"}, "c1", ""},
		{"rollback to", []string{"BEGIN", "c1", "SAVEPOINT s", "c2", "r2", "ROLLBACK TO s", "c3", "COMMIT"}, "r2 c1 c3", ""},
		{"release", []string{"BEGIN", "SAVEPOINT s", "c1", "RELEASE s", "COMMIT"}, "c1", ""},
		{"release, rollback", []string{"BEGIN", "SAVEPOINT s", "c1", "r1", "RELEASE s", "ROLLBACK"}, "r1", ""},
		{"aborted", []string{"BEGIN", "c1", "r1", "SELECT nonsense", "COMMIT"}, "r1", "pg"},
		{"rollback; begin", []string{"BEGIN", "c1", "r1", "ROLLBACK; BEGIN", "c2", "COMMIT"}, "r1 c2", ""},
		{"begun unseen", []string{"BEGIN; SELECT 1", "c1", "r1", "ROLLBACK"}, "r1", ""},
		{"begun unseen, committed", []string{"BEGIN; SELECT 1", "c1", "r1", "COMMIT"}, "c1", ""},
		{"ended unseen", []string{"BEGIN", "SELECT 1; ROLLBACK", "c1"}, "c1", ""},
		{"failed, unseen", []string{"BEGIN", "SELECT nonsense", "BEGIN; ROLLBACK; BEGIN", "c1", "r1", "SELECT nonsense", "END"}, "r1", "pg"},
		{"in none", []string{"c1"}, "c1", ""},
		{"conflict rollback", []string{"INSERT INTO things (id) VALUES (1)", "BEGIN", "c1", "r1", "INSERT OR ROLLBACK INTO things (id) VALUES (1)"}, "r1", "lite"},
	} {
		t.Run(c.name, func(t *testing.T) {
			engines := map[string][]dbtest.Engine{"": nil, "pg": pg, "lite": lite}[c.only]
			forEach(t, func(t *testing.T, e dbtest.Engine) {
				w := newWorld(t, e, s)
				var ran calls
				conn := w.conn()
				for _, s := range c.steps {
					switch {
					case len(s) == 2 && s[0] == 'c':
						w.must(hooks.OnCommit(ctx(), conn, ran.note(s)))
					case len(s) == 2 && s[0] == 'r':
						w.must(hooks.OnRollback(ctx(), conn, ran.note(s)))
					default:
						_, _ = conn.ExecContext(ctx(), s) // some are to fail
					}
				}
				if got := ran.names(); got != c.want {
					w.Errorf("ran [%s], want [%s]", got, c.want)
				}
			}, engines...)
		})
	}
}

// TestOffWithRowsOpen: where the driver must ask before it takes a function, and
// rows keep it from asking, that costs neither the rows nor the transaction.
func TestOffWithRowsOpen(t *testing.T) {
	for what, unseen := range map[string]func(w *world, h hooks.Handle, conn *sql.Conn){
		"a string": func(w *world, h hooks.Handle, _ *sql.Conn) {
			w.must(h.ExecContext(ctx(), "SAVEPOINT a; SELECT 1"))
		},
		"Raw": func(w *world, _ hooks.Handle, conn *sql.Conn) {
			w.must(conn.Raw(func(dc any) error { driver.Raw(dc); return nil }))
		},
	} {
		for _, byTx := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, Tx %t", what, byTx), func(t *testing.T) {
				forEach(t, func(t *testing.T, e dbtest.Engine) {
					w := newWorld(t, e, setup{driver: []driver.Option{driver.WithMode(hooks.Off)}})
					conn := w.conn()
					h, end := hooks.Handle(conn), func() error {
						_, err := conn.ExecContext(ctx(), "COMMIT")
						return err
					}
					if byTx {
						tx, err := conn.BeginTx(ctx(), nil)
						w.must(err)
						h, end = tx, tx.Commit
					} else {
						w.must(conn.ExecContext(ctx(), "BEGIN"))
					}
					w.must(h.ExecContext(ctx(), "INSERT INTO things (id) VALUES (1)"))
					unseen(w, h, conn)
					w.within("OnCommit", func() { w.offWithRowsOpen(h, end) })
				})
			})
		}
	}
}

func (w *world) offWithRowsOpen(h hooks.Handle, end func() error) {
	w.Helper()
	rows, err := h.(interface {
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}).QueryContext(ctx(), "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3")
	w.must(err)
	defer rows.Close()
	rows.Next()
	var ran calls
	want := "late"
	if err := hooks.OnCommit(ctx(), h, ran.note("early")); err == nil {
		want = "early late"
	} else if !strings.Contains(err.Error(), "rows are open") {
		w.Errorf("OnCommit: %v, want an error that says that rows are open", err)
	}
	n := 1
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err != nil || n != 3 {
		w.Errorf("%d rows, error %v, want 3", n, err)
	}
	w.must(rows.Close())
	w.must(hooks.OnCommit(ctx(), h, ran.note("late")))
	w.must(end())
	if got := ran.names(); got != want {
		w.Errorf("ran [%s], want [%s]", got, want)
	}
	if got := w.rows(); got != "1" {
		w.Errorf("rows [%s], want [1]", got)
	}
}

// TestOnCommitComesAfter looks from another connection while it runs.
func TestOnCommitComesAfter(t *testing.T) {
	each(t, func(w *world) {
		var seen string
		tx := w.begin()
		w.insert(tx, 1)
		w.record(tx, "a")
		w.must(hooks.OnCommit(ctx(), tx, func(context.Context) {
			seen = fmt.Sprintf("[%s] [%s]", w.rows(), w.journal())
		}))
		w.must(tx.Commit())
		if seen != "[1] [a]" {
			w.Errorf("it saw rows and journal %s, want [1] [a]", seen)
		}
	})
}

// TestOnCommitUsesTheApp: the function may use the app's database, though not
// its only connection.
func TestOnCommitUsesTheApp(t *testing.T) {
	each(t, func(w *world) {
		tx := w.begin()
		w.insert(tx, 1)
		w.must(hooks.OnCommit(ctx(), tx, func(ctx context.Context) {
			_, err := w.db.ExecContext(ctx, "INSERT INTO orders (id) VALUES (2)")
			if err != nil {
				w.Error(err)
			}
		}))
		w.within("Commit", func() { w.must(tx.Commit()) })
		w.want("1 2", "orders.inserted", "orders.inserted")
	})
}

func TestOnCommitPanics(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		tx := w.begin()
		w.insert(tx, 1)
		w.record(tx, "a")
		w.must(hooks.OnCommit(ctx(), tx, func(context.Context) { panic("the callback's") }))
		var ran calls
		w.must(hooks.OnCommit(ctx(), tx, ran.note("next")))
		w.must(tx.Commit())
		if got := ran.names(); got != "next" {
			w.Errorf("after the panic ran [%s], want [next]", got)
		}
		w.wantNotice(hooks.NoticeCallback)
		w.goesOn()
		w.want("1 2", "a b", "a b")
	})
}

// TestOnCommitWaitsForTheOnlyConnection: it is cut off, Commit returns.
func TestOnCommitWaitsForTheOnlyConnection(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the five seconds that such a function is given")
	}
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, setup{})
		w.db.SetMaxOpenConns(1)
		tx := w.begin()
		w.insert(tx, 1)
		w.record(tx, "a")
		w.must(hooks.OnCommit(ctx(), tx, func(ctx context.Context) {
			_, _ = w.db.ExecContext(ctx, "INSERT INTO things (id) VALUES (9)")
		}))
		w.within("Commit", func() { w.must(tx.Commit()) })
		w.wantNotice(hooks.NoticeCallback)
		w.goesOn()
		w.want("1 2", "a b", "a b")
	}, dbtest.PQ)
}

// TestCallbacksOfUnknown: as long as nobody knows, neither kind runs.
func TestCallbacksOfUnknown(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		var ran calls
		tx := w.open(ctx())
		w.must(hooks.OnCommit(ctx(), tx, ran.note("commit")))
		w.must(hooks.OnRollback(ctx(), tx, ran.note("rollback")))
		trap := p.Next(dbtest.Strand, dbtest.IsCommit)
		_ = tx.Commit()
		<-trap.Sprung()
		if got := ran.names(); got != "" {
			w.Errorf("ran [%s], want none", got)
		}
		w.wantNotice(hooks.NoticeCallback)
	})
}

func TestCallbacksOutsideTransactions(t *testing.T) {
	each(t, func(w *world) {
		var ran calls
		w.must(hooks.OnCommit(ctx(), w.db, ran.note("commit")))
		if got := ran.names(); got != "commit" {
			w.Errorf("ran [%s], want [commit]", got)
		}
		if err := hooks.OnRollback(ctx(), w.db, ran.note("rollback")); err == nil {
			w.Error("OnRollback outside any transaction says nil")
		}
	})
}

// TestRecordOnUnwrappedHandle: it says so, and does no harm.
func TestRecordOnUnwrappedHandle(t *testing.T) {
	each(t, func(w *world) {
		tx, err := w.bare.BeginTx(ctx(), nil)
		w.must(err)
		defer func() { _ = tx.Rollback() }()
		for _, h := range []hooks.Handle{w.bare, tx} {
			if err := hooks.Record(ctx(), h, named("a")); err == nil {
				w.Errorf("%T: Record says nil", h)
			}
		}
		w.must(tx.ExecContext(ctx(), w.e.Rebind("INSERT INTO things (id) VALUES (?)"), 1))
		w.must(tx.Commit())
	})
}
