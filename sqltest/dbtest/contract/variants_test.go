package contract_test

import (
	sqldriver "database/sql/driver"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// withStatus is pgx whose transaction status is looked at.
const withStatus = "pgx with its status"

func status(base sqldriver.Conn) driver.TxStatus {
	return driver.TxStatus(base.(*stdlib.Conn).Conn().PgConn().TxStatus())
}

// variants are the engines as some apps set them up: other protocols, other
// ways to lock and to keep the journal of a file.
func variants() []dbtest.Engine {
	param := func(e dbtest.Engine, name, param string) dbtest.Engine {
		return e.With(e.Name+" "+name, func(tb testing.TB) string {
			tb.Helper()
			return e.DSN(tb) + " " + param
		})
	}
	file := func(name, suffix string, pragmas ...string) dbtest.Engine {
		return dbtest.SQLite.With("sqlite "+name, func(tb testing.TB) string {
			tb.Helper()
			return dbtest.SQLiteFile(tb, pragmas...) + suffix
		})
	}
	return []dbtest.Engine{
		param(dbtest.PQ, "binary parameters", "binary_parameters=yes"),
		param(dbtest.PQ, "old strings", "standard_conforming_strings=off backslash_quote=on"),
		param(dbtest.PGX, "simple protocol", "default_query_exec_mode=simple_protocol"),
		param(dbtest.PGX, "exec mode", "default_query_exec_mode=exec"),
		param(dbtest.PGX, "describe cache", "default_query_exec_mode=cache_describe"),
		param(dbtest.PGX, "describe and execute", "default_query_exec_mode=describe_exec"),
		dbtest.PGX.With(withStatus, dbtest.PGX.DSN),
		param(dbtest.PGX, "old strings", "standard_conforming_strings=off backslash_quote=on"),
		file("rollback journal", "", "busy_timeout(180000)", "journal_mode(DELETE)"),
		file("immediate", "&_txlock=immediate", "busy_timeout(180000)", "journal_mode(WAL)"),
		file("no busy timeout", ""),
	}
}

// TestVariants plays one row of each kind.
func TestVariants(t *testing.T) {
	rows := []row{
		kept("commit", "Begin | +1 | !a'\\ü | @2 | Commit", "1 2", `a'\ü orders.inserted`),
		kept("rollback", "Begin | +1 | !a | Rollback", "", ""),
		kept("savepoint", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | ROLLBACK TO s | +3 | !c | Commit", "1 3", "a c"),
		kept("raw", "BEGIN | +1 | !a | COMMIT | BEGIN | +2 | !b | ROLLBACK", "1", "a"),
		kept("rollback; begin", "Begin | +1 | !a | ROLLBACK; BEGIN | +2 | !b | Commit", "2", "b"),
		kept("early write taken back", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | SELECT 1; SAVEPOINT t | ROLLBACK TO s | +3 | !c | Commit", "1 3", "a c"),
		kept("autocommit", "@1 | !a | INSERT INTO orders (id) VALUES (2)", "1 2", "orders.inserted a orders.inserted"),
		kept("write-free", "Begin | SELECT 1 | !a | Commit", "", "a"),
		kept("a failed statement", "Begin | +1 | !a | +1 | Rollback", "", ""),
		kept("returning", "INSERT INTO orders (id) VALUES (1) RETURNING id", "1", "orders.inserted"),
	}
	each(t, func(w *world) {
		w.play(newTwin(w.T, w.e), []way{byExec}, rows)
	}, variants()...)
}
