package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/internal/command"
)

// noDatabase leaves no variable that names a database.
func noDatabase(t *testing.T) {
	t.Helper()
	for _, name := range []string{"DATABASE_URL", "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE", "PGUSER"} {
		t.Setenv(name, "") // which is undone at the end
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMistakes are those of people at a keyboard: each answer says what to write.
func TestMistakes(t *testing.T) {
	noDatabase(t)
	here := t.TempDir()
	broken := filepath.Join(here, "tables.json")
	if err := os.WriteFile(broken, []byte(`{"tables": [{"name": "orders", "masked": ["card"]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		args string
		code int
		want string
	}{
		{"serch actor:alice", exitUsage, `did you mean "search"?`},
		{"undo transactoin 1@2", exitUsage, `did you mean "transaction"?`},
		{"search --limt 3", exitUsage, `did you mean "--limit"?`},
		{"search actr:alice", exitUsage, "Did you mean actor?"},
		{"search after:tomorow", exitUsage, "is no time"},
		{"search --limit 0", exitUsage, "at least 1"},
		{"history", exitUsage, "the table is missing"},
		{"history orders", exitUsage, "the key of the row is missing"},
		{"as-of orders 42", exitUsage, "--at is missing"},
		{"as-of orders 42 --at noon", exitUsage, `"noon" is no time`},
		{"show x775", exitUsage, "775@2026-11-30T10:00:00.000001Z"},
		{"show -- -1", exitUsage, "is no transaction"},
		{"undo transaction 0", exitUsage, "is no transaction"},
		{"show 775@now", exitUsage, "is no time"},
		{"undo row orders 42", exitUsage, "--to is missing"},
		{"triggers plan", exitUsage, "no tables: name them"},
		{"triggers plan orders:mask", exitUsage, "comes mask="},
		{"triggers plan orders:maks=card", exitUsage, `"maks" is none of mask`},
		{"triggers plan --file " + broken, exitUsage, `unknown field "masked"`},
		{"triggers plan --file " + broken + " orders", exitUsage, "and not both"},
		{"migrate print oracle", exitUsage, "write postgres or sqlite"},
		{"forwarders replay x --id 12", exitUsage, "is no UUID"},
		{"version --zone Mars", exitUsage, "no time zone"},
		{"forwarders dead-letters a b", exitUsage, "a word too many"},
		{"version 1", exitUsage, "a word too many"},
		{"search x", exitUsage, "which database?"},
		{"search x --alias order --database-url postgres://localhost/shop", exitUsage, "write order=orders"},
		{"search x --database-url mysql://localhost/shop", exitUsage, "MySQL"},
		{"search x --database-url " + here + "/shop.db", exitUnreachable, "no SQLite file"},
		{"search x --database-url postgres://app:s3cret@localhost/shop", exitUsage, "PGPASSWORD"},
		{"search x --database-url postgres://app:s3cret@localhost:port/shop", exitUsage, "PGPASSWORD"},
	} {
		r := run(t, strings.Fields(m.args)...)
		if r.code != m.code || !strings.Contains(r.err, m.want) || r.out != "" || strings.Contains(r.err, "s3cret") {
			t.Errorf("threadline %s: %d, %q, %q; want %d and %q", m.args, r.code, r.err, r.out, m.code, m.want)
		}
	}
}

// TestTxText: the start of a transaction has six digits of a second, as in a change's JSON; fewer are read, too.
func TestTxText(t *testing.T) {
	for text, want := range map[string]string{
		"775@2026-11-30T10:00:00.064060Z": "775@2026-11-30T10:00:00.064060Z", "775@2026-11-30T10:00:00.06406Z": "775@2026-11-30T10:00:00.064060Z",
		"775@2026-11-30T11:00:00+01:00": "775@2026-11-30T10:00:00.000000Z",
	} {
		tx, err := txKey(text)
		if got := command.Tx(tx); got != want || err != nil {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

// TestNoPasswordInErrors: a URL that cannot be read is not quoted.
func TestNoPasswordInErrors(t *testing.T) {
	noDatabase(t)
	for _, dsn := range []string{"postgres://app:s3cret@localhost:port/shop", "postgres://app:s3cret@%zz/shop", "host=localhost password=s3cret port=x"} {
		t.Setenv("DATABASE_URL", dsn)
		if r := run(t, "search", "x"); r.code == exitOK || strings.Contains(r.err, "s3cret") {
			t.Errorf("%d, %s", r.code, r.err)
		}
	}
}
