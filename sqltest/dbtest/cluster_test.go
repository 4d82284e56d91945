package dbtest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestClusterListensOnSocketAndPort(t *testing.T) {
	c := dbtest.Shared(t)
	dsn := c.Database(t)
	for _, driver := range []string{"postgres", "pgx"} {
		for name, dsn := range map[string]string{"socket": dsn, "port": dbtest.Via(dsn, c.Addr())} {
			db := dbtest.Open(t, driver, dsn)
			var onPort bool
			if err := db.QueryRowContext(context.Background(), "SELECT inet_server_port() IS NOT NULL").Scan(&onPort); err != nil {
				t.Fatalf("%s, %s: %v", driver, name, err)
			}
			if onPort != (name == "port") {
				t.Errorf("%s: the connection by %s came by the other way", driver, name)
			}
		}
	}
}

// TestCrashKeepsWhatWasCommitted crashes a durable server and reads back, with
// the setting that a commit waits for the disk and without.
func TestCrashKeepsWhatWasCommitted(t *testing.T) {
	c := dbtest.Start(t, &dbtest.Options{Durable: true, Settings: []string{"wal_writer_delay=10s"}})
	dsn := c.Database(t)
	execAll(t, dsn, "CREATE TABLE things (id int)", "INSERT INTO things VALUES (1)",
		"SET synchronous_commit=off", "INSERT INTO things VALUES (2)")
	c.Crash(t)
	c.Restart(t)
	var ids string
	db := dbtest.Open(t, "postgres", dsn)
	if err := db.QueryRowContext(context.Background(), "SELECT string_agg(id::text, ',') FROM things").Scan(&ids); err != nil {
		t.Fatal(err)
	}
	if ids != "1" {
		t.Errorf("rows after the crash: %s, want 1 alone", ids)
	}
	c.Stop(t)
	c.Restart(t)
}

func execAll(t *testing.T, dsn string, queries ...string) {
	t.Helper()
	ctx := context.Background()
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, q := range queries {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// TestWithoutPostgres looks for the server in an empty folder, in a process of
// its own: a process looks once.
func TestWithoutPostgres(t *testing.T) {
	for require, want := range map[string]string{"": "SKIP", "1": "FAIL"} {
		cmd := exec.CommandContext(context.Background(), os.Args[0], "-test.run=^TestClusterListensOnSocketAndPort$", "-test.v")
		cmd.Env = append(os.Environ(), "AFTERCOMMIT_PG_BINDIR="+t.TempDir(), "AFTERCOMMIT_REQUIRE_PG="+require)
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), "--- "+want) || !strings.Contains(string(out), "no PostgreSQL: install its server binaries") {
			t.Errorf("AFTERCOMMIT_REQUIRE_PG=%q: %v\n%s", require, err, out)
		}
	}
}

// TestKilledProcessLeavesNothing kills a test process that has a cluster. Its
// standard error stays open until the watchdog, which shares it, is done.
func TestKilledProcessLeavesNothing(t *testing.T) {
	if os.Getenv("DBTEST_CHILD") == "1" {
		fmt.Println(dbtest.Postgres(t))
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	dbtest.RequirePostgres(t)
	cmd := exec.CommandContext(context.Background(), os.Args[0], "-test.run=^TestKilledProcessLeavesNothing$")
	cmd.Env = append(os.Environ(), "DBTEST_CHILD=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("the child was not killed:\n%s", out)
	}
	dir, _, ok := strings.Cut(strings.TrimPrefix(string(out), "host="), " ")
	if !ok {
		t.Fatalf("no DSN: %s", out)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", dir, err)
	}
	if db, err := sql.Open("postgres", strings.TrimSpace(string(out))); err == nil {
		defer db.Close()
		if db.PingContext(context.Background()) == nil {
			t.Error("the server still answers")
		}
	}
}
