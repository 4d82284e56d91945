package driver_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// catalog answers what the driver asks for names: each is in the schema shop.
type catalog struct {
	asked  []string
	probed int   // whether it can be asked at all
	err    error // instead
}

const catalogQuery = "WITH RECURSIVE up"

func newCatalog(fake *sqltest.Fake) *catalog {
	c := &catalog{}
	fake.AnswerFunc(catalogQuery, func(st sqltest.Statement) (sqltest.Answer, error) {
		name := st.Args[1].Value.(string)
		if name == "pg_class" {
			c.probed++
		} else {
			c.asked = append(c.asked, name)
		}
		if c.err != nil {
			return sqltest.Answer{}, c.err
		}
		columns := make([]string, 10)
		return sqltest.Rows(columns, []driver.Value{"public", "true", "shop", name, "r", "p", "0", "", "0", "20"}), nil
	})
	return c
}

const (
	toShop  = "INSERT journal shop.orders.inserted"
	toNoOne = "INSERT journal orders.inserted"
)

// A name is asked for once on a connection, until something may have changed its
// meaning.
func TestNamesAreKept(t *testing.T) {
	for _, tt := range []struct {
		between string
		again   bool
	}{
		{"SELECT 1", false},
		{"UPDATE orders SET a = 1", false},
		{"SET statement_timeout = 1", false},
		{"SELECT set_config('app.tenant', '7', true)", false},
		{"SAVEPOINT s", false},
		{"SET search_path = shop", true},
		{"SELECT set_config('search_path', 'shop', true)", true},
		{"SET LOCAL ROLE clerk", true},
		{"CREATE TABLE lines (id int)", true},
		{"DO 'x'", true},
		{"CALL p()", true},
		{"DISCARD TEMP", true},
		{"SET search_path = shop; SELECT 1", true},
		{"SAVEPOINT t; SAVEPOINT u", true},
	} {
		t.Run(tt.between, func(t *testing.T) {
			fake := sqltest.NewFake()
			asked := newCatalog(fake)
			db := open(t, fake, &spy{}, adriver.Capture(adriver.Tables("orders")))
			tx := begin(t, db)
			exec(t, tx, orderStmt, orderStmt, tt.between, orderStmt)
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			tx = begin(t, db)
			exec(t, tx, orderStmt)
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			n := len(slices.DeleteFunc(asked.asked, func(name string) bool { return name != "orders" }))
			if want := map[bool]int{false: 1, true: 3}[tt.again]; n != want { // also after the transaction
				t.Errorf("asked %d times, want %d", n, want)
			}
		})
	}
}

// What a transaction did to names may be undone with a part of it.
func TestNamesAreForgottenWhenUndone(t *testing.T) {
	fake := sqltest.NewFake()
	asked := newCatalog(fake)
	db := open(t, fake, &spy{}, adriver.Capture(adriver.Tables("orders")))
	exec(t, db, "BEGIN", "SAVEPOINT s", "SET search_path = shop", orderStmt, "ROLLBACK TO s", orderStmt, "ROLLBACK TO s", "ROLLBACK")
	if len(asked.asked) != 2 {
		t.Errorf("asked %d times, want 2", len(asked.asked))
	}
}

// Other sessions change the catalog, too.
func TestNamesGrowOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := sqltest.NewFake()
		asked := newCatalog(fake)
		db := open(t, fake, &spy{}, adriver.Capture(adriver.AllTables()))
		for _, tt := range []struct {
			after time.Duration
			want  int
		}{{0, 1}, {59 * time.Second, 1}, {2 * time.Second, 2}} {
			time.Sleep(tt.after)
			exec(t, db, orderStmt)
			if len(asked.asked) != tt.want {
				t.Errorf("asked %d times after %v more, want %d", len(asked.asked), tt.after, tt.want)
			}
		}
		time.Sleep(2 * time.Minute)
		asked.err = errors.New("no connection to ask on")
		fake.Reset()
		exec(t, db, orderStmt)
		want(t, "what is old is better than nothing", fake.CommittedQueries(), orderStmt, toShop)
	})
}

// Where the catalog cannot be asked, a name is taken as it is written, for this
// once; an error that ended the app's transaction is the app's.
func TestNamesThatCannotBeAsked(t *testing.T) {
	timeout := &sqltest.Error{Code: "57014", Message: "statement timeout"}
	for _, tt := range []struct {
		name   string
		err    error
		inside bool
		fails  bool
	}{
		{"by the base driver", errors.New("rows are open"), false, false},
		{"by the base driver, inside", errors.New("rows are open"), true, false},
		{"by the server", timeout, false, false},
		{"by the server, inside", timeout, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := sqltest.NewFake()
			asked := newCatalog(fake)
			asked.err = tt.err
			db := open(t, fake, &spy{}, adriver.Capture(adriver.Tables("orders")))
			run := func() error {
				if !tt.inside {
					_, err := db.ExecContext(context.Background(), orderStmt)
					return err
				}
				tx := begin(t, db)
				if _, err := tx.ExecContext(context.Background(), orderStmt); err != nil {
					return errors.Join(err, tx.Rollback())
				}
				return tx.Commit()
			}
			err := run()
			if (err != nil) != tt.fails || tt.fails && !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if !tt.fails {
				want(t, "committed", fake.CommittedQueries(), orderStmt, toNoOne)
			}
			asked.err = nil
			fake.Reset()
			if err := run(); err != nil {
				t.Fatal(err)
			}
			want(t, "committed later", fake.CommittedQueries(), orderStmt, toShop)
		})
	}
}

// A server without such a catalog, or rights to read it, is asked once, while that
// harms no transaction, and never again.
func TestNamesWithoutCatalog(t *testing.T) {
	for _, code := range []string{"42601", "42501", "0A000"} {
		fake, s := sqltest.NewFake(), &spy{}
		asked := newCatalog(fake)
		asked.err = &sqltest.Error{Code: code, Message: "no catalog"}
		db := open(t, fake, s, adriver.Capture(adriver.Tables("orders")))
		tx := begin(t, db)
		exec(t, tx, orderStmt)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		exec(t, db, orderStmt)
		want(t, "committed", fake.CommittedQueries(), orderStmt, toNoOne, orderStmt, toNoOne)
		if len(asked.asked) > 0 || asked.probed != 1 {
			t.Errorf("asked for %q, and %d times whether it can be asked", asked.asked, asked.probed)
		}
		want(t, "told", slices.DeleteFunc(s.kinds(), func(k string) bool { return !strings.HasPrefix(k, "unmatched") }), "unmatched no_catalog")
	}
}

// An error about a prepared statement says nothing about the catalog, which is asked
// again.
func TestNamesAfterAnErrorOfPreparing(t *testing.T) {
	for _, code := range []string{"42P05", "0A000", "42P18", "26000"} {
		fake, s := sqltest.NewFake(), &spy{}
		asked := newCatalog(fake)
		db := open(t, fake, s, adriver.Capture(adriver.Tables("orders")))
		exec(t, db, "INSERT INTO visits VALUES (1)") // which has asked whether it can be asked
		asked.err = &sqltest.Error{Code: code, Message: "prepared statement"}
		exec(t, db, orderStmt)
		asked.err = nil
		exec(t, db, orderStmt)
		want(t, code, fake.CommittedQueries(), "INSERT INTO visits VALUES (1)", orderStmt, toNoOne, orderStmt, toShop)
		if slices.Contains(s.kinds(), "unmatched no_catalog") {
			t.Errorf("%s is reported as a catalog that cannot be read", code)
		}
	}
}

// What is asked on PostgreSQL's behalf and has nothing to say is not asked twice.
func TestNamesOfNoPostgreSQL(t *testing.T) {
	fake := sqltest.NewFake()
	db := open(t, fake, &spy{}, adriver.Capture(adriver.AllTables()))
	exec(t, db, orderStmt, orderStmt)
	asked := slices.DeleteFunc(fake.Log("QueryContext"), func(c sqltest.Call) bool { return !strings.HasPrefix(c.Query, catalogQuery) })
	if len(asked) != 1 {
		t.Errorf("asked %d times, want once", len(asked))
	}
}

// A connection that knows that its transaction has failed is not asked in it.
func TestNamesOfAFailedTransaction(t *testing.T) {
	fake := sqltest.NewFake()
	asked := newCatalog(fake)
	status := adriver.TxOpen
	db := open(t, fake, &spy{}, adriver.Capture(adriver.Tables("orders")), adriver.WithTxStatus(func(driver.Conn) adriver.TxStatus { return status }))
	tx := begin(t, db)
	status = adriver.TxFailed
	exec(t, tx, orderStmt)
	want(t, "asked", asked.asked)
	status = adriver.TxIdle
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
}

// A savepoint that may be another one is rolled back to as well.
func TestNamesAreForgottenInDoubt(t *testing.T) {
	fake := sqltest.NewFake()
	asked := newCatalog(fake)
	fake.AnswerFunc("SELECT nonsense", func(sqltest.Statement) (sqltest.Answer, error) {
		return sqltest.Answer{}, &sqltest.Error{Code: "42703", Message: "no such column"}
	})
	db := open(t, fake, &spy{}, adriver.Capture(adriver.Tables("orders")))
	exec(t, db, "BEGIN")
	if _, err := db.ExecContext(context.Background(), "SAVEPOINT s; SELECT nonsense"); err == nil {
		t.Fatal("the string did not fail")
	}
	exec(t, db, orderStmt, "ROLLBACK TO s", orderStmt, "ROLLBACK")
	want(t, "asked", asked.asked, "orders", "orders")
}

// An app without rules, or in the mode off, is asked nothing.
func TestNamesAreNotAskedInVain(t *testing.T) {
	for name, opts := range map[string][]adriver.Option{
		"no rules": nil,
		"off":      {adriver.Capture(adriver.AllTables()), adriver.WithMode(hooks.Off)},
	} {
		t.Run(name, func(t *testing.T) {
			fake := sqltest.NewFake()
			asked := newCatalog(fake)
			db := open(t, fake, &spy{}, opts...)
			tx := begin(t, db)
			exec(t, tx, orderStmt)
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			exec(t, db, orderStmt)
			if len(asked.asked) > 0 {
				t.Errorf("asked for %q", asked.asked)
			}
		})
	}
}

// A base connection that cannot query without preparing is asked all the same.
func TestNamesByPreparedStatement(t *testing.T) {
	fake := sqltest.NewFakeOf(sqltest.Modern&^(sqltest.QueryerContext|sqltest.Queryer), hooks.Postgres)
	newCatalog(fake)
	db := open(t, fake, &spy{}, adriver.Capture(adriver.AllTables()))
	exec(t, db, orderStmt)
	want(t, "committed", fake.CommittedQueries(), orderStmt, toShop)
	for _, c := range fake.Log("Stmt.Close") {
		if strings.HasPrefix(c.Query, catalogQuery) {
			return
		}
	}
	t.Error("the statement is left open")
}

// lib/pq can be asked nothing between the PREPARE of a COPY and its end.
func TestNamesOfACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := sqltest.NewFake()
		asked := newCatalog(fake)
		db := open(t, fake, &spy{}, adriver.Capture(adriver.AllTables()))
		tx := begin(t, db)
		st, err := tx.PrepareContext(context.Background(), "COPY orders FROM STDIN")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			time.Sleep(2 * time.Minute)
			if _, err := st.ExecContext(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(st.Close(), tx.Commit()); err != nil {
			t.Fatal(err)
		}
		if len(asked.asked) != 1 {
			t.Errorf("asked %d times, want once", len(asked.asked))
		}
		if sent := fake.CommittedQueries(); !slices.Contains(sent, toShop) {
			t.Errorf("committed %q, want %s among them", sent, toShop)
		}
	})
}

// Some SQLite drivers execute a statement when its rows are read. Until then a
// question, other than for temporary tables, would begin the transaction as a
// reading one.
func TestNamesWaitForSQLite(t *testing.T) {
	fake := sqltest.NewFakeOf(sqltest.Modern, hooks.SQLite)
	db := open(t, fake, &spy{}, adriver.WithDialect(hooks.SQLite), adriver.Capture(adriver.AllTables()))
	asked := func() bool {
		return slices.ContainsFunc(fake.Log("QueryContext"), func(c sqltest.Call) bool { return strings.Contains(c.Query, `"main".sqlite_master`) })
	}
	tx := begin(t, db)
	for _, tt := range []struct {
		name string
		want bool
	}{{"the first write", false}, {"the second", true}} {
		rows, err := tx.QueryContext(context.Background(), "INSERT INTO orders VALUES (1) RETURNING id")
		if err != nil {
			t.Fatal(err)
		}
		if asked() != tt.want {
			t.Errorf("%s: asked %v before its rows are read, want %v", tt.name, asked(), tt.want)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// That no temporary table of SQLite has a name is asked for once, and again when the
// connection may have made one.
func TestNamesAreNotTemporary(t *testing.T) {
	fake := sqltest.NewFakeOf(sqltest.Modern, hooks.SQLite)
	db := open(t, fake, &spy{}, adriver.WithDialect(hooks.SQLite))
	for _, tt := range []struct {
		before string
		want   int
	}{{"SELECT 1", 1}, {"SELECT 1", 0}, {"CREATE TEMP TABLE scratch (id int)", 1}, {"SELECT 1", 0}} {
		exec(t, db, tt.before)
		fake.Reset()
		tx := begin(t, db)
		exec(t, tx, orderStmt)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		asked := 0
		for _, c := range fake.Log("QueryContext") {
			if strings.Contains(c.Query, "FROM sqlite_temp_master m") {
				asked++
			}
		}
		if asked != tt.want {
			t.Errorf("after %s: asked %d times, want %d", tt.before, asked, tt.want)
		}
	}
}

// A name without a schema that could not be asked for is one of the default
// schema: a rule that names that still matches.
func TestNamesOfTheDefaultSchema(t *testing.T) {
	for rule, events := range map[string][]string{"public.orders": {orderStmt, toNoOne}, "shop.orders": {orderStmt}} {
		fake := sqltest.NewFake()
		newCatalog(fake).err = errors.New("rows are open")
		db := open(t, fake, &spy{}, adriver.Capture(adriver.Tables(rule)))
		exec(t, db, orderStmt)
		want(t, rule, fake.CommittedQueries(), events...)
	}
}
