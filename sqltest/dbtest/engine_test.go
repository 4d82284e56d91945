package dbtest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestEngineHasAnEmptyDatabaseForEachTest(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		ctx := context.Background()
		for range 2 {
			db := dbtest.Open(t, e.Driver, e.DSN(t))
			if _, err := db.ExecContext(ctx, "CREATE TABLE things (id bigint)"); err != nil {
				t.Fatal(err)
			}
			if _, err := db.ExecContext(ctx, e.Rebind("INSERT INTO things (id) VALUES (?)"), 7); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestSQLitePragmasReachEveryConnection(t *testing.T) {
	ctx := context.Background()
	db := dbtest.Open(t, "sqlite", dbtest.SQLite.DSN(t))
	for range 2 {
		conn, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var mode string
		var timeout int64
		if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
			t.Fatal(err)
		}
		if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&timeout); err != nil {
			t.Fatal(err)
		}
		if mode != "wal" || timeout != dbtest.Patience.Milliseconds() {
			t.Errorf("journal_mode %s, busy_timeout %d; want wal, %d", mode, timeout, dbtest.Patience.Milliseconds())
		}
	}
}

func TestRebind(t *testing.T) {
	if got, want := dbtest.PQ.Rebind("a = ? AND b = ?"), "a = $1 AND b = $2"; got != want {
		t.Errorf("PostgreSQL: %s, want %s", got, want)
	}
	if got, want := dbtest.SQLite.Rebind("a = ?"), "a = ?"; got != want {
		t.Errorf("SQLite: %s, want %s", got, want)
	}
}

func TestNameIsNewAndBeginsAsTheBase(t *testing.T) {
	a, b := dbtest.Name("pgx"), dbtest.Name("pgx")
	if a == b || !strings.HasPrefix(a, "pgx-") {
		t.Errorf("names %s and %s", a, b)
	}
}

func TestEnginesSpeakWhatTheySay(t *testing.T) {
	for _, e := range dbtest.Engines() {
		if (e.Driver == "sqlite") != (e.Dialect == hooks.SQLite) {
			t.Errorf("%s speaks %s", e.Driver, e.Dialect)
		}
	}
	if n := len(dbtest.PostgresEngines()); n != 2 {
		t.Errorf("%d PostgreSQL engines", n)
	}
}
