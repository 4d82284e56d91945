package contract_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// elsewhere has statements on orders write to things, also if they change no row.
const elsewhere = `CREATE FUNCTION beside() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO things SELECT coalesce(max(id), 0) + 1 FROM things; RETURN NULL; END';
	CREATE TRIGGER beside AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON orders FOR EACH STATEMENT EXECUTE FUNCTION beside();
	CREATE FUNCTION seen(n bigint) RETURNS boolean LANGUAGE sql AS 'INSERT INTO things SELECT coalesce(max(id), 0) + 1 FROM things; SELECT false';
	CREATE VIEW shown AS SELECT id FROM orders;
	CREATE FUNCTION show() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO things SELECT coalesce(max(id), 0) + 1 FROM things; RETURN NULL; END';
	CREATE TRIGGER show INSTEAD OF INSERT OR UPDATE OR DELETE ON shown FOR EACH ROW EXECUTE FUNCTION show()`

// TestContextsOfNoRows: a captured statement that changes no row has no event, and a function or a trigger may
// have written by it all the same.
func TestContextsOfNoRows(t *testing.T) {
	eachContexts(t, func(w *world) {
		w.must(w.bare.ExecContext(ctx(), elsewhere))
		run := func(name string, statements func(tx *sql.Tx)) {
			w.Helper()
			before := w.list("SELECT count(*) FROM things")
			tx := w.begin()
			defer tx.Rollback()
			statements(tx)
			w.must(tx.Commit())
			if after := w.list("SELECT count(*) FROM things"); after == before {
				w.Errorf("%s: nothing was written", name)
			}
			if got := w.sink.got(); len(got) != 1 || got[0].Actor.ID != "alice" {
				w.Errorf("%s: %d events, want one by alice: %v", name, len(got), got)
			}
			w.sink.forget()
		}
		for _, query := range []string{
			"UPDATE orders SET id = id WHERE id < 0",
			"DELETE FROM orders WHERE id < 0",
			"INSERT INTO orders (id) SELECT 1 WHERE false",
			"UPDATE orders SET id = id WHERE id < 0 RETURNING id",
			"DELETE FROM orders WHERE seen(id)",
			"INSERT INTO orders (id) SELECT 1 WHERE seen(1)",
			"WITH s AS (SELECT seen(1)) UPDATE orders SET id = id FROM s WHERE orders.id < 0",
		} {
			for how, exec := range map[string]func(tx *sql.Tx) error{
				"Exec":  func(tx *sql.Tx) error { _, err := tx.ExecContext(as("alice"), query); return err },
				"Query": func(tx *sql.Tx) error { return closed(tx.QueryContext(as("alice"), query)) },
				"Prepare": func(tx *sql.Tx) error {
					stmt, err := tx.PrepareContext(ctx(), query)
					if err != nil {
						return err
					}
					defer stmt.Close()
					_, err = stmt.ExecContext(as("alice"))
					return err
				},
			} {
				run(how+" "+query, func(tx *sql.Tx) { w.must(exec(tx)) })
			}
		}
		run("a view", func(tx *sql.Tx) { w.must(tx.ExecContext(as("alice"), "INSERT INTO shown VALUES (1)")) })
		run("a string", func(tx *sql.Tx) { w.must(tx.ExecContext(as("alice"), "SELECT seen(1); SAVEPOINT s")) })
		run("a string of several reads", func(tx *sql.Tx) { w.must(tx.ExecContext(as("alice"), "SELECT 1; SELECT seen(1)")) })
		if w.e.Driver == dbtest.PQ.Driver {
			run("COPY of no rows", func(tx *sql.Tx) {
				stmt, err := tx.PrepareContext(as("alice"), "COPY orders (id) FROM STDIN")
				w.must(err)
				w.must(stmt.ExecContext(as("alice")))
				w.must(stmt.Close())
			})
		}
	}, dbtest.PostgresCommitEngines())
}

func closed(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	for rows.Next() { // lib/pq executes as it reads
	}
	if err = rows.Err(); err != nil {
		return err
	}
	return rows.Close()
}

// TestContextsOfRaw: what a transaction does over the base connection is seen by nobody.
func TestContextsOfRaw(t *testing.T) {
	eachContexts(t, func(w *world) {
		conn := w.conn()
		tx, err := conn.BeginTx(as("alice"), nil)
		w.must(err)
		defer tx.Rollback()
		w.must(conn.Raw(func(c any) error {
			return execBare(driver.Raw(c), "SELECT note(1)")
		}))
		w.must(tx.Commit())
		w.want("1", "transaction.committed", "transaction.committed")
	}, dbtest.PostgresCommitEngines())
}

func execBare(c any, query string) error {
	e, ok := c.(sqldriver.ExecerContext)
	if !ok {
		return fmt.Errorf("%T executes nothing", c)
	}
	_, err := e.ExecContext(context.Background(), query, nil)
	return err
}

// TestContextsFail: whatever keeps an event of who has written from being written, COMMIT does as it does without the
// option; but in strict mode not where the transaction may have written, since no event may be lost there.
func TestContextsFail(t *testing.T) {
	record := func(w *world, tx *sql.Tx) { w.record(tx, "order.paid") }
	exec := func(query string) func(w *world, tx *sql.Tx) {
		return func(w *world, tx *sql.Tx) { w.must(tx.ExecContext(as("alice"), query)) }
	}
	type step = func(w *world, tx *sql.Tx)
	temp := "CREATE TEMP TABLE IF NOT EXISTS own (id bigint)"
	readOnly := func(to string) func(w *world) { // where the driver does not see it
		return func(w *world) {
			if w.e.Dialect == hooks.Postgres {
				w.must(w.db.ExecContext(ctx(), "DO 'BEGIN PERFORM pg_catalog.set_config(''default_transaction_read_only'', ''"+to+"'', false); END'"))
			}
		}
	}
	tests := []struct {
		name           string
		postgres, both []step
		breaks, mends  func(w *world)
		strict         bool // fails in strict mode, with the option
	}{
		{name: "read-only, a function", postgres: []step{exec("SET TRANSACTION READ ONLY"), exec("SELECT abs(1)")}},
		{name: "read-only, a temporary table", postgres: []step{exec(temp), exec("SET TRANSACTION READ ONLY"), exec("INSERT INTO own VALUES (1)"), exec("SELECT abs(1)")}},
		{name: "read-only, a temporary table and an event", postgres: []step{exec("SET TRANSACTION READ ONLY"), exec("INSERT INTO own VALUES (1)"), record, exec("SELECT abs(1)")}},
		{name: "read-only, an event", postgres: []step{exec("SET TRANSACTION READ ONLY"), record, exec("SELECT abs(1)")}},
		{name: "read-only by default, a function", postgres: []step{exec("SELECT abs(1)"), record}, breaks: readOnly("on"), mends: readOnly("off")},
		{name: "read-only by default, a temporary table", postgres: []step{exec("INSERT INTO own VALUES (1)"), record, exec("SELECT abs(1)")}, breaks: readOnly("on"), mends: readOnly("off")},
		{name: "read-only by default, a block", postgres: []step{exec("DO 'BEGIN INSERT INTO own VALUES (1); END'"), record}, breaks: readOnly("on"), mends: readOnly("off")},
		{name: "no journal", both: []step{exec("INSERT INTO things (id) SELECT count(*) + 1 FROM things")}, breaks: (*world).breakJournal, mends: (*world).mendJournal, strict: true},
		{name: "no journal, nothing written", postgres: []step{exec("SELECT abs(1)")}, both: []step{exec("SELECT count(*) FROM things")}, breaks: (*world).breakJournal, mends: (*world).mendJournal},
	}
	for _, mode := range []hooks.Mode{hooks.Strict, hooks.BestEffort} {
		for _, told := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/told=%v", mode, told), func(t *testing.T) {
				forEach(t, func(t *testing.T, e dbtest.Engine) {
					opts := []driver.Option{driver.WithMode(mode)}
					if told {
						opts = append(opts, driver.CaptureTransactions())
					}
					w := newWorld(t, e, setup{driver: opts})
					w.makeJournal()
					w.db.SetMaxOpenConns(1) // whose temporary table it is
					for _, tt := range tests {
						steps := tt.both
						if e.Dialect == hooks.Postgres {
							steps = append(tt.postgres, tt.both...)
						}
						if tt.breaks != nil {
							tt.breaks(w)
						}
						tx := w.begin()
						for _, s := range steps {
							s(w, tx)
						}
						err := tx.Commit()
						if fails := told && tt.strict && mode == hooks.Strict; (err != nil) != fails {
							w.Errorf("%s: Commit: %v", tt.name, err)
						}
						_ = tx.Rollback()
						if tt.breaks != nil {
							tt.mends(w)
						}
					}
				})
			})
		}
	}
}
