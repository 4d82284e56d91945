package contract_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestWriteFree: a transaction that wrote nothing itself is not made a writing
// one; its events follow in one of their own.
func TestWriteFree(t *testing.T) {
	check(t, []way{byExec},
		kept("read", "Begin | SELECT count(*) FROM things | !a | !b | Commit", "", "a b"),
		kept("nothing at all", "Begin | !a | Commit", "", "a"),
		kept("raw", "BEGIN | !a | COMMIT", "", "a"),
		kept("rolled back", "Begin | !a | Rollback", "", ""),
		kept("raw, rolled back", "BEGIN | !a | ROLLBACK", "", ""),
		kept("failed, Commit", "Begin | !a | SELECT nonsense | Commit", "", "", pg...),
		kept("failed, raw COMMIT", "BEGIN | !a | SELECT nonsense | COMMIT", "", "", pg...),
		kept("read only", "BEGIN READ ONLY | !a | COMMIT", "", "a", pg...),
		kept("read only by SET", "Begin | SET TRANSACTION READ ONLY | !a | Commit", "", "a", pg...),
		kept("read only by default", "SET default_transaction_read_only = on | Begin | !a | Commit | !b", "", "a b", pg...),
		kept("read only, a write refused", "BEGIN READ ONLY | !a | +1 | COMMIT", "", "", pg...),
		kept("savepoint", "Begin | !a | SAVEPOINT s | !b | ROLLBACK TO s | !c | Commit", "", "a c"),
		kept("a captured statement that changed nothing", "Begin | UPDATE orders SET note = 'x' WHERE id = 99 | !a | Commit", "", "a"),
		kept("and chain", "BEGIN | !a | COMMIT AND CHAIN | +1 | !b | COMMIT", "1", "a b", pg...),
		kept("and chain, rolled back", "BEGIN | !a | COMMIT AND CHAIN | +1 | !b | ROLLBACK", "", "a", pg...),
	)
}

// TestMadeReadOnly: what has been recorded is written before the transaction can
// no longer be written in.
func TestMadeReadOnly(t *testing.T) {
	check(t, []way{byExec, byQuery, byPrepare},
		kept("set transaction", "Begin | @1 | !a | SET TRANSACTION READ ONLY | Commit", "1", "orders.inserted a", pg...),
		kept("raw", "BEGIN | @1 | !a | SET TRANSACTION READ ONLY | COMMIT", "1", "orders.inserted a", pg...),
		kept("not captured", "Begin | +1 | !a | set transaction read only | Commit", "1", "a", pg...),
		kept("set local", "Begin | +1 | !a | SET LOCAL transaction_read_only = on | Commit", "1", "a", pg...),
		kept("set_config", "Begin | @1 | !a | SELECT set_config('transaction_read_only', 'on', true) | Commit", "1", "orders.inserted a", pg...),
		kept("quoted", `Begin | +1 | !a | SET "transaction_read_only" TO on | Commit`, "1", "a", pg...),
		kept("characteristics", "Begin | +1 | !a | SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY | Commit", "1", "a", pg...),
		kept("a second begin", "BEGIN | +1 | !a | BEGIN READ ONLY | COMMIT", "1", "a", pg...),
		kept("rolled back", "Begin | @1 | !a | SET TRANSACTION READ ONLY | Rollback", "", "", pg...),
		kept("within a savepoint", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | SET TRANSACTION READ ONLY | ROLLBACK TO s | +3 | !c | Commit", "1 3", "a c", pg...),
		kept("written nothing", "Begin | !a | SET TRANSACTION READ ONLY | !b | Commit", "", "a b", pg...),
		kept("isolation first", "Begin | !a | SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY | Commit", "", "a", pg...),
		kept("a temporary table", "CREATE TEMP TABLE scratch (id int) | BEGIN READ ONLY | INSERT INTO scratch VALUES (1) | !a | COMMIT", "", "a", pg...),
		kept("a temporary table, no row", "CREATE TEMP TABLE scratch (id int) | BEGIN READ ONLY | UPDATE scratch SET id = 2 | !a | COMMIT", "", "a", pg...),
		kept("a temporary table, read only again", "CREATE TEMP TABLE scratch (id int) | BEGIN READ ONLY | INSERT INTO scratch VALUES (1) | !a | SET TRANSACTION READ ONLY | !b | COMMIT", "", "a b", pg...),
		kept("a number alone", "BEGIN READ ONLY | SELECT txid_current() | !a | COMMIT", "", "a", pg...),
		kept("what was written taken back", "BEGIN | SAVEPOINT s | +1 | ROLLBACK TO s | SET TRANSACTION READ ONLY | !a | COMMIT", "", "a", pg...),
	)
}

// TestMadeReadOnlyInAString is the same where one string has several statements,
// and on SQLite, which executes a PRAGMA when it is prepared.
func TestMadeReadOnlyInAString(t *testing.T) {
	check(t, []way{byExec},
		kept("with others", "Begin | @1 | !a | SELECT 1; SET TRANSACTION READ ONLY | Commit", "1", "orders.inserted a", pg...),
		kept("query_only", "Begin | @1 | !a | PRAGMA query_only = 1 | Commit | PRAGMA query_only = 0", "1", "orders.inserted a", lite...),
		kept("with COMMIT", "BEGIN | @1 | !a | SET TRANSACTION READ ONLY; COMMIT", "1", "orders.inserted a", pg...),
	)
}

// TestRefusedWrite: a write that SQLite refused before it began leaves a transaction
// that has written nothing, and is over when its events are written. PRAGMA query_only
// is for what the app writes, and stays on for that.
func TestRefusedWrite(t *testing.T) {
	check(t, []way{byExec},
		kept("query_only", "BEGIN | PRAGMA query_only = 1 | +1 | !a | COMMIT", "", "a", lite...),
		kept("query_only, captured", "BEGIN | PRAGMA query_only = 1 | @1 | !a | COMMIT | @2", "", "a", lite...),
		kept("query_only, a savepoint", "BEGIN | PRAGMA query_only = 1 | SAVEPOINT s | @1 | !a | RELEASE s | COMMIT", "", "a", lite...),
		kept("query_only from the start", "PRAGMA query_only = 1 | Begin | @1 | !a | Commit | @2", "", "a", lite...),
		kept("query_only, in no transaction", "PRAGMA query_only = 1 | !a | @1", "", "a", lite...),
		kept("an old snapshot", "PRAGMA journal_mode = WAL | BEGIN | SELECT * FROM orders | ^INSERT INTO things (id) VALUES (5) | @1 | !a | COMMIT", "5", "a", lite...),
		kept("written before", "BEGIN | @1 | PRAGMA query_only = 1 | @2 | COMMIT", "1", "orders.inserted", lite...),
		kept("recorded after it", "BEGIN | +1 | PRAGMA query_only = 1 | !a | COMMIT | @2", "1", "a", lite...),
		kept("recorded after it, rolled back", "BEGIN | +1 | PRAGMA query_only = 1 | !a | ROLLBACK | @2", "", "", lite...),
	)
}

// TestQueryOnlyFunction: a function learns of the COMMIT of what was written before
// PRAGMA query_only, which is on again after it.
func TestQueryOnlyFunction(t *testing.T) {
	each(t, func(w *world) {
		conn, ran := w.conn(), 0
		for _, s := range []string{"BEGIN", "INSERT INTO orders (id) VALUES (1)", "PRAGMA query_only = 1", "COMMIT"} {
			if s == "PRAGMA query_only = 1" {
				w.must(hooks.OnCommit(ctx(), conn, func(context.Context) { ran++ }))
			}
			_, err := conn.ExecContext(ctx(), s)
			w.must(err)
		}
		var on int
		w.must(conn.QueryRowContext(ctx(), "PRAGMA query_only").Scan(&on))
		if ran != 1 || on != 1 {
			w.Errorf("ran %d times, want 1; query_only is %d, want 1", ran, on)
		}
	}, lite...)
}

// TestQueryOnlyAfterDDL: PRAGMA query_only after DDL does not hide that the DDL has
// written, so that its transaction cannot be committed without its events.
func TestQueryOnlyAfterDDL(t *testing.T) {
	each(t, func(w *world) {
		w.breakJournal()
		conn := w.conn()
		w.must(conn.ExecContext(ctx(), "BEGIN"))
		w.must(conn.ExecContext(ctx(), "CREATE TABLE IF NOT EXISTS made (id int)"))
		w.must(conn.ExecContext(ctx(), "PRAGMA query_only = 1"))
		w.record(conn, "a")
		if _, err := conn.ExecContext(ctx(), "COMMIT"); err == nil || !strings.Contains(err.Error(), "broken") {
			w.Errorf("COMMIT says %v", err)
		}
		if got := w.list("SELECT count(*) FROM sqlite_master WHERE name = 'made'"); got != "0" {
			w.Error("the table was made without the event of its transaction")
		}
		w.want("", "", "")
	}, lite...)
}

// TestTooLateToWrite: events that come when the transaction has written and is
// read-only can be written nowhere: in another transaction they would be there
// whether or not this one commits.
func TestTooLateToWrite(t *testing.T) {
	for _, how := range []script{
		"Begin | +1 | SET TRANSACTION READ ONLY | !a | Commit",
		"Begin | @1 | SELECT 1, set_config('transaction_read_only', 'on', true) | Commit",
		"BEGIN | +1 | !a | SELECT 1, set_config('transaction_read_only', 'on', true) | COMMIT",
		"BEGIN | CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1' | GRANT SELECT ON things TO PUBLIC | +1 | !a | SELECT 1, set_config('transaction_read_only', 'on', true) | COMMIT AND CHAIN",
		"BEGIN | +1 | !a | SELECT 1, set_config('transaction_read_only', 'on', true) | SELECT 1; COMMIT",
	} {
		t.Run(string(how), func(t *testing.T) {
			for _, mode := range []hooks.Mode{hooks.Strict, hooks.BestEffort} {
				forEach(t, func(t *testing.T, e dbtest.Engine) {
					w := newWorld(t, e, setup{driver: []driver.Option{driver.WithMode(mode)}})
					conn := w.conn()
					r := &runner{e: e, conn: conn, way: byExec, other: w.bare}
					var err error
					for _, step := range how.steps() {
						w.must(err)
						err = r.step(step)
					}
					if mode == hooks.Strict {
						if err == nil || !strings.Contains(err.Error(), "read-only") {
							t.Errorf("the end says %v", err)
						}
						_, _ = conn.ExecContext(ctx(), "ROLLBACK") // where the app's string did not run
						w.want("", "", "")
						return
					}
					w.must(err)
					w.want("1", "", "")
					w.wantNotice(hooks.NoticeLost)
				}, pg...)
			}
		})
	}
}

// TestSchemaThenReadOnly: DDL may leave neither a row nor a lock, but its event
// says that something was written.
func TestSchemaThenReadOnly(t *testing.T) {
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, setup{driver: []driver.Option{driver.Capture(driver.AllTables())}})
		tx := w.begin()
		w.must(tx.ExecContext(ctx(), "GRANT SELECT ON things TO PUBLIC"))
		w.must(tx.ExecContext(ctx(), "SELECT 1, set_config('transaction_read_only', 'on', true)"))
		if err := tx.Commit(); err == nil || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("Commit says %v", err)
		}
		w.want("", "", "")
	}, pg...)
}

// TestReadOnlyTxInsideRaw: pgx's BeginTx sends BEGIN READ ONLY into the
// transaction that the app began itself.
func TestReadOnlyTxInsideRaw(t *testing.T) {
	each(t, func(w *world) {
		conn := w.conn()
		w.must(conn.ExecContext(ctx(), "BEGIN"))
		w.insert(conn, 1)
		w.record(conn, "a")
		tx, err := conn.BeginTx(ctx(), &sql.TxOptions{ReadOnly: true})
		w.must(err)
		w.must(tx.Commit())
		w.want("1", "a", "a")

		w.must(conn.ExecContext(ctx(), "BEGIN"))
		w.insert(conn, 2)
		tx, err = conn.BeginTx(ctx(), &sql.TxOptions{ReadOnly: true})
		w.must(err)
		w.record(tx, "b")
		if err := tx.Commit(); err == nil || !strings.Contains(err.Error(), "read-only") {
			w.Errorf("Commit says %v", err)
		}
		w.want("1", "a", "a")
	}, dbtest.PGX)
}

// TestForeignTable: a row of another server takes no transaction number here,
// but it is committed with this transaction, and so is its event.
func TestForeignTable(t *testing.T) {
	each(t, func(w *world) {
		if _, err := w.bare.ExecContext(ctx(), "CREATE EXTENSION postgres_fdw"); err != nil {
			w.Skip("no postgres_fdw: ", err)
		}
		w.must(w.bare.ExecContext(ctx(), `DO $$ BEGIN
			EXECUTE format('CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L)',
				split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database());
			CREATE USER MAPPING FOR CURRENT_USER SERVER loop;
			DROP TABLE orders;
			CREATE FOREIGN TABLE orders (id bigint) SERVER loop OPTIONS (table_name 'things');
			CREATE FOREIGN TABLE elsewhere (id bigint) SERVER loop OPTIONS (table_name 'things');
		END $$`))
		write := func(query, event string) error {
			tx := w.begin()
			w.must(tx.ExecContext(ctx(), query))
			if event != "" {
				w.record(tx, event)
			}
			return tx.Commit()
		}
		rows := func(want string) {
			w.Helper()
			if got := w.list("SELECT id FROM things ORDER BY id"); got != want {
				w.Errorf("rows: [%s], want [%s]", got, want)
			}
		}
		w.must(write("INSERT INTO orders VALUES (1)", ""))
		w.must(write("INSERT INTO elsewhere VALUES (2)", "a"))
		rows("1 2")
		if got := w.journal(); got != "orders.inserted a" {
			w.Errorf("journal: [%s]", got)
		}
		w.breakJournal()
		if write("INSERT INTO orders VALUES (3)", "") == nil || write("INSERT INTO elsewhere VALUES (4)", "b") == nil {
			w.Error("a foreign row was committed without its event")
		}
		rows("1 2")
	}, pg...)
}

func TestReadOnlyTx(t *testing.T) {
	each(t, func(w *world) {
		tx, err := w.db.BeginTx(ctx(), &sql.TxOptions{ReadOnly: true})
		w.must(err)
		var n int
		w.must(tx.QueryRowContext(ctx(), "SELECT count(*) FROM things").Scan(&n))
		w.record(tx, "a")
		w.must(tx.Commit())
		w.want("", "a", "a")
	}, pg...)
}

// TestWriteFreeTakesNoXID: the events of a write-free transaction do not make it
// take a transaction number before its COMMIT.
func TestWriteFreeTakesNoXID(t *testing.T) {
	each(t, func(w *world) {
		tx := w.begin()
		w.record(tx, "a")
		var assigned bool
		w.must(tx.QueryRowContext(ctx(), "SELECT pg_current_xact_id_if_assigned() IS NOT NULL").Scan(&assigned))
		if assigned {
			w.Error("recording has given the transaction a number")
		}
		w.must(tx.Commit())
		w.want("", "a", "a")
	}, pg...)
}

// TestReaderAmongWriters: on SQLite in WAL mode a transaction that has read
// cannot become a writing one once another has written; its events must be
// written all the same.
func TestReaderAmongWriters(t *testing.T) {
	each(t, func(w *world) {
		tx := w.begin()
		var n int
		w.must(tx.QueryRowContext(ctx(), "SELECT count(*) FROM things").Scan(&n))
		w.insert(w.bare, 1)
		w.record(tx, "a")
		w.must(tx.Commit())
		w.want("1", "a", "a")
	})
}
