package driver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// tokenTest executes statements in a transaction, each INSERT with an event, and compares
// the tokens of the flushes, as letters in the order in which they came. The last line of
// steps is the COMMIT.
type tokenTest struct {
	name    string
	dialect hooks.Dialect
	steps   []string
	fail    int // which flush fails, from 1
	tokens  string
	// ended are the tokens of the last part that ended: that of the last flush, and what
	// is known of earlier ones.
	ended string
}

const (
	write = "SET LOCAL transaction_read_only = off" // before which events are written
	aside = "hidden"                                // another transaction is begun, unseen
)

var tokenTests = []tokenTest{
	{name: "one write", steps: []string{"INSERT"}, tokens: "A", ended: "A"},
	{name: "what stands", steps: []string{"INSERT", write, "INSERT"}, tokens: "AA", ended: "A"},
	{name: "taken back", steps: []string{"SAVEPOINT s", "INSERT", write, "ROLLBACK TO SAVEPOINT s", "INSERT"}, tokens: "AB", ended: "B"},
	{name: "a part is taken back", steps: []string{"INSERT", write, "SAVEPOINT s", "INSERT", write, "ROLLBACK TO SAVEPOINT s", "INSERT"}, tokens: "AAA", ended: "A"},
	{name: "released", steps: []string{"SAVEPOINT s", "INSERT", write, "RELEASE SAVEPOINT s", "INSERT"}, tokens: "AA", ended: "A"},
	{name: "failed", steps: []string{"INSERT", write, "INSERT"}, fail: 1, tokens: "AB", ended: "B"},
	{name: "failed after one that stands", steps: []string{"INSERT", write, "INSERT", write, "INSERT"}, fail: 2, tokens: "AAA", ended: "A"},
	{name: "out of sight", steps: []string{"INSERT", aside, "INSERT"}, tokens: "AB", ended: "BA"},
	{name: "nothing written since", steps: []string{"INSERT", aside}, tokens: "A", ended: "A"},
	{name: "twice", steps: []string{"INSERT", aside, "INSERT", aside, "INSERT"}, tokens: "ABC", ended: "CAB"},
	{name: "often", steps: slices.Repeat([]string{"INSERT", aside}, 26), tokens: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", ended: "ZAHIJKLMNOPQRSTUVWXY"},
	{name: "SQLite", dialect: hooks.SQLite, steps: []string{"SAVEPOINT s", "INSERT", "SELECT 1; SAVEPOINT x; RELEASE SAVEPOINT x", "ROLLBACK TO SAVEPOINT s", "INSERT"}, tokens: "AA", ended: "A"},
}

// TestTokens: a token is used again only while a write with it stands, as far as can be
// known, and a transaction is known by all those that may stand.
func TestTokens(t *testing.T) {
	for _, tt := range tokenTests {
		t.Run(tt.name, tt.run)
	}
}

func (tt tokenTest) run(t *testing.T) {
	dialect := tt.dialect
	if dialect == "" {
		dialect = hooks.Postgres
	}
	var names []int64
	name := func(token int64) string {
		if !slices.Contains(names, token) {
			names = append(names, token)
		}
		return string(rune('A' + slices.Index(names, token)))
	}
	var tokens string
	s, n := &spy{}, 0
	s.flush = func(ctx context.Context, f hooks.Flush) (bool, error) {
		n++
		tokens += name(f.Token)
		if _, err := f.Conn.ExecContext(ctx, "INSERT journal"); err != nil {
			return false, err
		}
		if n == tt.fail {
			return false, errors.New("the journal cannot be written")
		}
		return true, nil
	}
	fake := sqltest.NewFakeOf(sqltest.Modern, dialect)
	fake.Answer("SELECT 1 WHERE pg_catalog.current_setting('aftercommit.witness'", sqltest.Affected(0)) // which is gone
	db := open(t, fake, s, adriver.WithDialect(dialect), adriver.WithMode(hooks.BestEffort))
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	exec(t, conn, "BEGIN")
	for _, step := range append(tt.steps, "COMMIT") {
		switch step {
		case aside:
			endUnseen(t, conn)
		case "INSERT":
			exec(t, conn, "INSERT INTO orders VALUES (1)")
			record(t, conn, "order.placed")
		default:
			exec(t, conn, step)
		}
	}
	if tokens != tt.tokens {
		t.Errorf("tokens of the flushes: %s, want %s", tokens, tt.tokens)
	}
	var ended string
	for i := range s.ended {
		if e := &s.ended[i]; e.Outcome != hooks.RolledBack {
			ended = name(e.Token)
			for _, token := range e.Earlier {
				ended += name(token)
			}
		}
	}
	if ended != tt.ended {
		t.Errorf("the last part has the tokens %s, want %s", ended, tt.ended)
	}
	for _, query := range fake.Sent() {
		for _, token := range names {
			if strings.Contains(query, strconv.FormatInt(token, 10)) {
				t.Errorf("a token is shown by %s", query)
			}
		}
	}
}

// endUnseen ends the transaction and begins another one over the base connection.
func endUnseen(t *testing.T, conn *sql.Conn) {
	t.Helper()
	err := conn.Raw(func(dc any) (err error) {
		base := adriver.Raw(dc).(driver.ExecerContext)
		for _, query := range []string{"COMMIT", "BEGIN"} {
			if err == nil {
				_, err = base.ExecContext(context.Background(), query, nil)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
