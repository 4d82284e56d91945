package capture_test

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestPreparedBeforeThePath: PostgreSQL plans a prepared statement again when the
// search_path has changed.
func TestPreparedBeforeThePath(t *testing.T) {
	each(t, "", func(w *world) {
		w.must(w.bare.ExecContext(ctx(), relationTables))
		conn := w.conn()
		insert, err := conn.PrepareContext(ctx(), "INSERT INTO orders (id) VALUES ($1)")
		w.must(err)
		set, err := conn.PrepareContext(ctx(), "SELECT set_config('search_path', $1, false)")
		w.must(err)
		w.must(insert.ExecContext(ctx(), 1))
		w.must(drain(set.QueryContext(ctx(), "t1")), nil)
		w.must(insert.ExecContext(ctx(), 2))
		w.execOn(conn, "SET search_path = t2")
		w.must(insert.ExecContext(ctx(), 3))
		w.wantCount("t1.orders", 1)
		w.want("orders.inserted orders#1"+row, "t1.orders.inserted t1.orders#2"+row, "t2.orders.inserted t2.orders#3"+row)
	}, pg...)
}

// TestRawMovesThePath: what is done past the driver may change what a name means.
func TestRawMovesThePath(t *testing.T) {
	each(t, "", func(w *world) {
		w.must(w.bare.ExecContext(ctx(), relationTables))
		conn := w.conn()
		w.execOn(conn, insert)
		w.must(conn.Raw(func(dc any) error {
			_, err := driver.Raw(dc).(sqldriver.ExecerContext).ExecContext(ctx(), "SET search_path = t1", nil)
			return err
		}))
		w.execOn(conn, insert)
		w.want("orders.inserted orders#1"+row, "t1.orders.inserted t1.orders#1"+row)
	}, pg...)
}

// TestThreePartNames: a database before the schema can only be this one.
func TestThreePartNames(t *testing.T) {
	each(t, "", func(w *world) {
		w.must(w.bare.ExecContext(ctx(), relationTables))
		var database string
		w.must(w.bare.QueryRowContext(ctx(), "SELECT quote_ident(current_database())").Scan(&database))
		w.exec("CREATE TEMP TABLE orders (id bigint)")
		w.exec("INSERT INTO " + database + ".public.orders (id) VALUES (1)")
		w.exec("UPDATE " + database + `.t1."orders" SET note = 'x'`)
		w.want("orders.inserted orders#1" + row)
	}, pg...)
}

// TestCopyIntoThePath: lib/pq copies from the moment at which the COPY is
// prepared, and can be asked nothing until its end.
func TestCopyIntoThePath(t *testing.T) {
	each(t, "", func(w *world) {
		w.must(w.bare.ExecContext(ctx(), relationTables))
		tx := w.begin()
		w.execOn(tx, "SET LOCAL search_path = t1")
		w.copyIn(tx, 0, 3)
		w.must(tx.Commit())
		tx = w.begin()
		w.execOn(tx, "CREATE TEMP TABLE orders (id bigint, note text) ON COMMIT DROP")
		w.copyIn(tx, 0, 3)
		w.must(tx.Commit())
		tx = w.begin()
		w.copyIn(tx, 0, 3)
		w.must(tx.Commit())
		w.want("t1.orders.inserted t1.orders statements=1 rows=3", "orders.inserted orders statements=1 rows=3")
	}, dbtest.PQ)
}

// TestAskingWithOpenRows: the question fails as the app's own statement does on
// PostgreSQL, and does no more harm; the name is asked for later.
func TestAskingWithOpenRows(t *testing.T) {
	each(t, "", func(w *world) {
		w.must(w.bare.ExecContext(ctx(), relationTables))
		try := func(name string) error {
			db := dbtest.Open(w.T, name, w.dsn)
			tx, err := db.BeginTx(ctx(), nil)
			w.must(err)
			_, err = tx.ExecContext(ctx(), "SET LOCAL search_path = t1")
			w.must(err)
			rows, err := tx.QueryContext(ctx(), "SELECT generate_series(1, 100000)")
			w.must(err)
			_, with := tx.ExecContext(ctx(), insert)
			closed := errors.Join(rows.Err(), rows.Close())
			if _, err = tx.ExecContext(ctx(), insert); err == nil {
				err = tx.Commit()
			} else {
				_ = tx.Rollback()
			}
			return errors.Join(with, closed, errors.New("then"), err)
		}
		bare := try(w.e.Driver)
		w.must(w.bare.ExecContext(ctx(), "TRUNCATE t1.orders"))
		if wrapped := try(w.name); wrapped.Error() != bare.Error() {
			w.Errorf("errors %q, bare %q", wrapped, bare)
		}
		if w.count("t1.orders") == 1 {
			w.want("t1.orders.inserted t1.orders#1" + row)
		} else {
			w.want()
		}
	}, pg...)
}

// TestAskingInTime: the question ends with the app's context, as its statement
// does, here behind a lock on the catalog.
func TestAskingInTime(t *testing.T) {
	each(t, "", func(w *world) {
		w.must(w.bare.ExecContext(ctx(), relationTables))
		conn := w.conn()
		w.must(conn.PingContext(ctx()))
		lock, err := w.bare.BeginTx(ctx(), nil)
		w.must(err)
		defer lock.Rollback()
		w.must(lock.ExecContext(ctx(), "LOCK TABLE pg_catalog.pg_inherits IN ACCESS EXCLUSIVE MODE"))
		brief, cancel := context.WithTimeout(ctx(), 200*time.Millisecond)
		defer cancel()
		w.within("a statement whose names are looked up", func() {
			if _, err := conn.ExecContext(brief, insert); err == nil {
				w.Error("the statement was executed")
			}
		})
	}, pg...)
}

// TestRowsOfForeignTables: how many rows of a foreign table were changed is what
// another server says.
func TestRowsOfForeignTables(t *testing.T) {
	each(t, "", func(w *world) {
		w.must(w.bare.ExecContext(ctx(), relationTables))
		var database, port, dir string
		w.must(w.bare.QueryRowContext(ctx(), "SELECT current_database(), current_setting('port'), current_setting('unix_socket_directories')").Scan(&database, &port, &dir))
		if _, err := w.bare.ExecContext(ctx(), "CREATE EXTENSION postgres_fdw"); err != nil {
			w.Skip("no postgres_fdw: ", err)
		}
		w.must(w.bare.ExecContext(ctx(), "CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '"+dir+"', port '"+port+"', dbname '"+database+"');"+
			"CREATE USER MAPPING FOR CURRENT_USER SERVER self OPTIONS (user 'postgres');"+
			"CREATE FOREIGN TABLE far (id bigint, note text) SERVER self OPTIONS (schema_name 't1', table_name 'orders')"))
		w.exec("INSERT INTO far (id) VALUES (1)")
		w.exec("DELETE FROM far WHERE id = 9")
		w.wantCount("t1.orders", 1)
		w.want("far.inserted far"+row, "far.deleted far statements=1 conditional=true")
	}, pg...)
}

// TestAskingWithFewRights: a schema of the path that the role may not use is no
// part of it, and a catalog that it may not read harms no transaction.
func TestAskingWithFewRights(t *testing.T) {
	each(t, ordersTable+"; CREATE SCHEMA hidden; CREATE TABLE hidden.orders (id bigint PRIMARY KEY)", func(w *world) {
		w.must(w.db.PingContext(ctx()))
		owner := w.dsn
		defer func() { w.dsn = owner }()
		_, w.dsn = w.role()
		w.register(driver.Capture(driver.AllTables()))
		var setup *journal.SetupError
		if err := w.db.PingContext(ctx()); !errors.As(err, &setup) {
			w.Fatalf("error %v, want a SetupError", err)
		}
		w.must(w.bare.ExecContext(ctx(), setup.SQL))

		conn := w.conn()
		w.execOn(conn, "SET search_path = hidden, public")
		w.execOn(conn, "BEGIN")
		w.execOn(conn, insert)
		w.execOn(conn, "SAVEPOINT s")
		if _, err := conn.ExecContext(ctx(), "DELETE FROM hidden.orders"); stateOf(err) != "42501" {
			w.Errorf("error %v, want the server's", err)
		}
		w.execOn(conn, "ROLLBACK TO s")
		w.execOn(conn, "COMMIT")
		w.want("orders.inserted orders#1" + row)
		w.must(conn.Close())

		w.setUp("REVOKE SELECT ON pg_catalog.pg_rewrite FROM PUBLIC")
		defer w.setUp("GRANT SELECT ON pg_catalog.pg_rewrite TO PUBLIC") // the database is used again
		w.register(driver.Capture(driver.AllTables()))
		tx := w.begin()
		w.execOn(tx, "DELETE FROM public.orders WHERE id = 1")
		w.must(tx.Commit())
		w.want("orders.deleted orders#1" + row)
		if told := w.told.of(hooks.NoticeUnmatched); len(told) != 1 || told[0].Reason != "no_catalog" {
			for _, n := range told {
				w.Errorf("told %s by %s: %v; want once that the catalog cannot be read", n.Reason, n.Driver, n.Err)
			}
		}
	}, pg...)
}
