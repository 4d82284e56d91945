package dbtest

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // "pgx"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/driver/pgxdriver"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Engine is a base driver together with databases to use it on.
type Engine struct {
	// Name is that of the subtest: pq, pgx, pgxdriver or sqlite.
	Name string
	// Driver is the base driver's name: postgres (lib/pq), pgx or sqlite.
	Driver string
	// Dialect is what the database speaks.
	Dialect hooks.Dialect
	// DSN creates an empty database for one test and returns its name. It
	// skips the test if there is no server.
	DSN func(tb testing.TB) string

	register func(name string, hook hooks.Hook, opts ...driver.Option) // nil for driver.Register
}

// Register registers the engine's driver, wrapped, under name.
func (e Engine) Register(name string, hook hooks.Hook, opts ...driver.Option) {
	if e.register != nil {
		e.register(name, hook, opts...)
		return
	}
	driver.Register(name, e.Driver, hook, opts...)
}

// The engines. PGXDriver is pgx through package pgxdriver.
var (
	PQ     = Engine{Name: "pq", Driver: "postgres", Dialect: hooks.Postgres, DSN: Postgres}
	PGX    = Engine{Name: "pgx", Driver: "pgx", Dialect: hooks.Postgres, DSN: Postgres}
	SQLite = Engine{Name: "sqlite", Driver: "sqlite", Dialect: hooks.SQLite, DSN: sqliteDSN}

	PGXDriver = Engine{Name: "pgxdriver", Driver: "pgx", Dialect: hooks.Postgres, DSN: Postgres, register: pgxdriver.Register}
)

// Engines returns an engine for each base driver.
func Engines() []Engine { return []Engine{PQ, PGX, SQLite} }

// PostgresEngines returns those that speak to PostgreSQL.
func PostgresEngines() []Engine { return []Engine{PQ, PGX} }

// CommitEngines returns an engine for each way to commit: Engines and PGXDriver.
func CommitEngines() []Engine { return append(Engines(), PGXDriver) }

// PostgresCommitEngines returns those that speak to PostgreSQL.
func PostgresCommitEngines() []Engine { return append(PostgresEngines(), PGXDriver) }

// ForEach runs f as a subtest for each engine, or for those given, if any. Where a build tag has chosen another
// SQLiteDriver, it is for SQLite only.
func ForEach(t *testing.T, f func(t *testing.T, e Engine), engines ...Engine) {
	t.Helper()
	if len(engines) == 0 {
		engines = Engines()
	}
	if otherSQLite {
		engines = slices.DeleteFunc(slices.Clone(engines), func(e Engine) bool { return e.Dialect != hooks.SQLite })
		if len(engines) == 0 {
			t.Skip(notSQLite)
		}
	}
	for _, e := range engines {
		t.Run(e.Name, func(t *testing.T) {
			t.Helper()
			f(t, e)
		})
	}
}

const (
	// otherSQLite reports whether the tests are run for the sake of another driver for SQLite.
	otherSQLite = SQLiteDriver != "modernc.org/sqlite"
	notSQLite   = "the test is not about SQLite"
)

func sqliteDSN(tb testing.TB) string {
	tb.Helper()
	busy := fmt.Sprintf("busy_timeout(%d)", Patience.Milliseconds())
	return SQLiteFile(tb, busy, "journal_mode(WAL)")
}

// SQLiteFile returns the DSN of a file in the test's temporary folder, which
// does not exist yet, with pragmas for every connection.
func SQLiteFile(tb testing.TB, pragmas ...string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "test.db")
	path = strings.ReplaceAll(path, "#", "%23") // of a second subtest of a name, say
	return "file:" + path + "?" + sqliteParameters(pragmas).Encode()
}

// With returns the engine with another way to a DSN.
func (e Engine) With(name string, dsn func(tb testing.TB) string) Engine {
	e.Name, e.DSN = name, dsn
	return e
}

// Rebind returns query with each ? replaced by the engine's placeholder. It
// does not look for literals; queries of tests do not need one with a question
// mark.
func (e Engine) Rebind(query string) string {
	if e.Dialect != hooks.Postgres {
		return query
	}
	var b strings.Builder
	n := 0
	for _, r := range query {
		if r != '?' {
			b.WriteRune(r)
			continue
		}
		n++
		b.WriteString("$" + strconv.Itoa(n))
	}
	return b.String()
}

// Open opens a database, which is closed when the test ends.
func Open(tb testing.TB, driver, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	// Its error is no news to a test that cut the connections.
	tb.Cleanup(func() { _ = db.Close() })
	return db
}
