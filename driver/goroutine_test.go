package driver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strconv"
	"sync"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

func user(id string) hooks.Actor { return hooks.Actor{Type: hooks.User, ID: id} }

// serving calls f on a goroutine of a request by that user.
func serving(id string, f func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		hooks.Do(context.Background(), hooks.Values{Actor: user(id), RequestID: "request of " + id}, func(context.Context) { f() })
	})
	wg.Wait()
}

// by returns the events with their actors, as "orders.inserted ada". A request
// that is not the actor's is shown, too.
func (s *spy) by() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, end := range s.ended {
		for _, e := range end.Events {
			line := e.Action + " " + e.Actor.ID
			if e.RequestID != "" && e.RequestID != "request of "+e.Actor.ID {
				line += " in the " + e.RequestID
			}
			out = append(out, line)
		}
	}
	s.ended = nil
	return out
}

// served opens a database whose statements change a row each.
func served(t *testing.T, opts ...adriver.Option) (*sql.DB, *spy) {
	t.Helper()
	fake, s := sqltest.NewFake(), &spy{}
	fake.Answer("INSERT", sqltest.Affected(1))
	fake.Answer("UPDATE", sqltest.Affected(1))
	fake.Answer("INSERT INTO orders (note)", sqltest.Rows([]string{"id"}, []driver.Value{int64(7)}))
	return open(t, fake, s, append(opts, adriver.Capture(adriver.AllTables()))...), s
}

func TestActorOfTheGoroutine(t *testing.T) {
	db, s := served(t)
	serving("ada", func() { exec(t, db, "INSERT INTO orders VALUES (1)") })
	want(t, "in autocommit", s.by(), "orders.inserted ada")
	serving("bob", func() { record(t, db, "order.placed") })
	want(t, "recorded", s.by(), "order.placed bob")
	serving("ada", func() { exec(t, db, "CREATE INDEX CONCURRENTLY i ON orders (id)") })
	want(t, "outside a transaction", s.by(), "schema.changed ada")
	exec(t, db, "INSERT INTO orders VALUES (2)")
	want(t, "of no request", s.by(), "orders.inserted ")
}

// TestActorOrder: the statement's context, BeginTx's, the goroutine, the default
// actor.
func TestActorOrder(t *testing.T) {
	none := context.Background()
	as := func(id string) context.Context { return hooks.WithActor(none, user(id)) }
	db, s := served(t, adriver.DefaultActor(user("default")))
	transact := func(begin, statement context.Context) func() {
		return func() {
			tx, err := db.BeginTx(begin, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(statement, "INSERT INTO orders VALUES (1)"); err != nil {
				t.Error(err)
			}
			if err := tx.Commit(); err != nil {
				t.Error(err)
			}
		}
	}
	serving("goroutine", transact(as("begin"), as("statement")))
	want(t, "all", s.by(), "orders.inserted statement")
	serving("goroutine", transact(as("begin"), none))
	want(t, "without the statement's", s.by(), "orders.inserted begin")
	serving("goroutine", transact(none, none))
	want(t, "without contexts", s.by(), "orders.inserted goroutine")
	transact(none, none)()
	want(t, "none", s.by(), "orders.inserted default")
}

func TestRequireActorOfTheGoroutine(t *testing.T) {
	db, s := served(t, adriver.RequireActor())
	serving("ada", func() { exec(t, db, "INSERT INTO orders VALUES (1)") })
	want(t, "events", s.by(), "orders.inserted ada")
	if _, err := db.ExecContext(context.Background(), "INSERT INTO orders VALUES (2)"); err == nil {
		t.Error("an unattributed write was accepted")
	}
}

// TestTransactionOfSeveralGoroutines: each statement is of the goroutine that
// executes it; an event is never shared, and where Commit is called does not
// matter.
func TestTransactionOfSeveralGoroutines(t *testing.T) {
	db, s := served(t)
	tx := begin(t, db)
	insert := func() { exec(t, tx, "INSERT INTO orders VALUES (1)") }
	serving("ada", insert)
	serving("bob", insert)
	insert()
	serving("ada", insert)
	serving("eve", func() {
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
	})
	want(t, "events", s.by(), "orders.inserted ada", "orders.inserted bob", "orders.inserted ")
}

func TestPreparedStatementOfSeveralGoroutines(t *testing.T) {
	db, s := served(t)
	var stmt *sql.Stmt
	serving("ada", func() {
		var err error
		if stmt, err = db.PrepareContext(context.Background(), "INSERT INTO orders VALUES (1)"); err != nil {
			t.Fatal(err)
		}
	})
	defer stmt.Close()
	execute := func() {
		if _, err := stmt.ExecContext(context.Background()); err != nil {
			t.Error(err)
		}
	}
	serving("bob", execute)
	execute()
	want(t, "events", s.by(), "orders.inserted bob", "orders.inserted ")
}

// TestRowsReadByAnotherGoroutine: the row's key is learned while somebody else
// reads it.
func TestRowsReadByAnotherGoroutine(t *testing.T) {
	for _, executing := range []string{"ada", ""} {
		db, s := served(t)
		tx := begin(t, db)
		var rows *sql.Rows
		query := func() {
			var err error
			rows, err = tx.QueryContext(context.Background(), "INSERT INTO orders (note) VALUES ('x') RETURNING id") //nolint:rowserrcheck // it is, by the other goroutine
			if err != nil {
				t.Fatal(err)
			}
			record(t, tx, "order.placed") // so that the row gets an event that is made later
		}
		if executing == "" {
			query()
		} else {
			serving(executing, query)
		}
		serving("bob", func() {
			for rows.Next() {
			}
			if err := rows.Err(); err != nil {
				t.Error(err)
			}
			if err := tx.Commit(); err != nil {
				t.Error(err)
			}
		})
		want(t, "events", s.by(), "order.placed "+executing, "orders.inserted "+executing)
	}
}

// TestManyRequests shares a few connections among many users: the key of each
// row says whose it is.
func TestManyRequests(t *testing.T) {
	const users, requests = 20, 20
	db, s := served(t)
	db.SetMaxOpenConns(4)
	var wg sync.WaitGroup
	for u := range users {
		wg.Go(func() {
			for n := range requests {
				serving(strconv.Itoa(u), func() {
					tx := begin(t, db)
					exec(t, tx, fmt.Sprintf("INSERT INTO orders (id) VALUES (%d)", 1000*u+n))
					var child sync.WaitGroup
					child.Go(func() { exec(t, tx, fmt.Sprintf("INSERT INTO orders (id) VALUES (%d)", 1000*(users+u)+n)) })
					child.Wait()
					if err := tx.Commit(); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
	wg.Wait()
	events := 0
	for _, end := range s.ended {
		for _, e := range end.Events {
			events++
			id, err := strconv.Atoi(e.Target.ID)
			owner := strconv.Itoa(id / 1000)
			if id/1000 >= users {
				owner = "" // a child's
			}
			if err != nil || e.Actor.ID != owner {
				t.Errorf("the row %q is said to be of %q, and is of %q", e.Target.ID, e.Actor.ID, owner)
			}
		}
	}
	if events != 2*users*requests {
		t.Errorf("%d events, want %d", events, 2*users*requests)
	}
}

// TestCallbacksAreNotBound: a function of OnCommit has its context for that.
func TestCallbacksAreNotBound(t *testing.T) {
	db, s := served(t)
	serving("ada", func() {
		tx := begin(t, db)
		onCommit(t, tx, func(ctx context.Context) {
			if got := hooks.Origin(ctx, nil); got != (hooks.Values{}) {
				t.Errorf("the callback is of %+v", got)
			}
		})
		exec(t, tx, "INSERT INTO orders VALUES (1)")
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
	})
	want(t, "events", s.by(), "orders.inserted ada")
}

func TestModeChangedByTheGoroutine(t *testing.T) {
	s := &spy{}
	base := sqltest.NewFake().Register()
	name := base + "-audited"
	adriver.Register(name, base, s, adriver.WithDialect(hooks.Postgres))
	db, err := sql.Open(name, "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	serving("ada", func() {
		if err := adriver.SetMode(context.Background(), name, hooks.BestEffort); err != nil {
			t.Error(err)
		}
	})
	want(t, "events", s.by(), "aftercommit.mode_changed ada")
}

// TestUncapturedStatementsAskNobody: what is of no interest costs no more on a
// goroutine that is bound.
func TestUncapturedStatementsAskNobody(t *testing.T) {
	ctx := context.Background()
	c, err := adriver.WrapConnector(nullConnector{}, &spy{}, adriver.WithDialect(hooks.Postgres), adriver.Capture(adriver.Tables("orders")))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := conn.(driver.ConnBeginTx).BeginTx(ctx, driver.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, q := range []string{"SELECT 1", "UPDATE carts SET n = 1", "UPDATE orders SET n = 1"} { // the last changes no row
		allocs := func() float64 {
			return testing.AllocsPerRun(100, func() { _, _ = conn.(driver.ExecerContext).ExecContext(ctx, q, nil) })
		}
		free := allocs()
		hooks.Do(ctx, hooks.Values{Actor: user("ada")}, func(context.Context) {
			if n := allocs(); n != free {
				t.Errorf("%s: %v allocations, %v where nothing is bound", q, n, free)
			}
		})
	}
}

// oneRow is a null connection whose statements change a row each.
type oneRow struct{ nullConn }

func (oneRow) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}

type oneRowConnector struct{ nullConnector }

func (oneRowConnector) Connect(context.Context) (driver.Conn, error) { return oneRow{}, nil }

// BenchmarkAttribution shows what a captured statement costs, by where its actor
// comes from.
func BenchmarkAttribution(b *testing.B) {
	none := context.Background()
	c, err := adriver.WrapConnector(oneRowConnector{}, silent{}, adriver.WithDialect(hooks.Postgres), adriver.Capture(adriver.AllTables()))
	if err != nil {
		b.Fatal(err)
	}
	conn, err := c.Connect(none)
	if err != nil {
		b.Fatal(err)
	}
	statement := func(name string, ctx context.Context) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			tx, err := conn.(driver.ConnBeginTx).BeginTx(none, driver.TxOptions{})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				_, _ = conn.(driver.ExecerContext).ExecContext(ctx, "UPDATE orders SET n = 1 WHERE id = 7", nil)
			}
			_ = tx.Rollback()
		})
	}
	ada := hooks.WithActor(none, user("ada"))
	statement("by its context", ada)
	statement("by nobody", none)
	hooks.Do(none, hooks.Values{Actor: user("ada")}, func(context.Context) { statement("by its goroutine", none) })
	// Requests are served elsewhere, so this goroutine has to be looked up.
	ready, done := make(chan bool), make(chan bool)
	go hooks.Do(ada, hooks.Values{}, func(context.Context) { close(ready); <-done })
	<-ready
	statement("by nobody, beside requests", none)
	close(done)
}
