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

	"github.com/google/uuid"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// flushTest executes statements in a transaction, each INSERT with an event, and compares
// what the parts that ended say of their flushes. The last line of steps is the COMMIT.
type flushTest struct {
	name    string
	dialect hooks.Dialect
	steps   []string
	fail    int // which flush fails, from 1
	// ended are the flushes of which something may stand in the parts that ended, as letters in
	// the order in which they came, each with the number of its events. R is in front of those
	// of a part that was rolled back.
	ended string
}

const (
	write = "SET LOCAL transaction_read_only = off" // before which events are written
	aside = "hidden"                                // another transaction is begun, unseen
)

var flushTests = []flushTest{
	{name: "one write", steps: []string{"INSERT"}, ended: "A1"},
	{name: "what stands", steps: []string{"INSERT", write, "INSERT"}, ended: "A1B1"},
	{name: "taken back", steps: []string{"SAVEPOINT s", "INSERT", write, "ROLLBACK TO SAVEPOINT s", "INSERT"}, ended: "B1"},
	{name: "a part is taken back", steps: []string{"INSERT", write, "SAVEPOINT s", "INSERT", write, "ROLLBACK TO SAVEPOINT s", "INSERT"}, ended: "A1C1"},
	{name: "released", steps: []string{"SAVEPOINT s", "INSERT", write, "RELEASE SAVEPOINT s", "INSERT"}, ended: "A1B1"},
	{name: "failed", steps: []string{"INSERT", write, "INSERT"}, fail: 1, ended: "B1"},
	{name: "out of sight", steps: []string{"INSERT", aside, "INSERT"}, ended: "A1 B1"},
	{name: "nothing written since", steps: []string{"INSERT", aside}, ended: "A1"},
	{name: "SQLite", dialect: hooks.SQLite, steps: []string{"SAVEPOINT s", "INSERT", "SELECT 1; SAVEPOINT x; RELEASE SAVEPOINT x", "ROLLBACK TO SAVEPOINT s", "INSERT"}, ended: "B1"},
}

// TestKeysOfFlushes: each flush has a key that no other has, all those of a transaction have
// its number, and the end names the flushes of which something may stand.
func TestKeysOfFlushes(t *testing.T) {
	for _, tt := range flushTests {
		t.Run(tt.name, tt.run)
	}
}

func (tt flushTest) run(t *testing.T) {
	dialect := tt.dialect
	if dialect == "" {
		dialect = hooks.Postgres
	}
	var keys []uuid.UUID
	var txs []int64
	s := &spy{}
	s.flush = func(ctx context.Context, f hooks.Flush) (bool, error) {
		if len(keys) > 0 && f.Key.String() <= keys[len(keys)-1].String() || f.Key.Version() != 7 {
			t.Errorf("the key %s comes after %s", f.Key, keys)
		}
		keys, txs = append(keys, f.Key), append(txs, f.Tx)
		if _, err := f.Conn.ExecContext(ctx, "INSERT journal"); err != nil {
			return false, err
		}
		if len(keys) == tt.fail {
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
	var ended []string
	for i := range s.ended {
		e := &s.ended[i]
		if e.Outcome == hooks.RolledBack {
			continue
		}
		var writes string
		for _, w := range e.Writes {
			i := slices.Index(keys, w.Key)
			if writes += string(rune('A'+i)) + strconv.Itoa(len(w.Events)); w.First != 0 || e.Tx != txs[i] {
				t.Errorf("flush %d begins at %d, in the transaction %d, want %d", i, w.First, e.Tx, txs[i])
			}
		}
		ended = append(ended, writes)
	}
	if got := strings.Join(ended, " "); got != tt.ended {
		t.Errorf("the parts that ended have the flushes %s, want %s", got, tt.ended)
	}
	for _, query := range fake.Sent() {
		for _, key := range keys {
			if strings.Contains(query, key.String()) {
				t.Errorf("a key is shown by %s", query)
			}
		}
	}
}

// TestManyEvents: what is more than a row may have is written in several flushes, of which
// only the last has the COMMIT behind it.
func TestManyEvents(t *testing.T) {
	var sizes []int
	s := &spy{}
	s.flush = func(ctx context.Context, f hooks.Flush) (bool, error) {
		sizes = append(sizes, len(f.Events))
		_, err := f.Conn.ExecContext(ctx, "INSERT journal")
		return true, err
	}
	db := open(t, sqltest.NewFakeOf(sqltest.Modern, hooks.Postgres), s, adriver.WithDialect(hooks.Postgres))
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2500 {
		if err := hooks.Record(context.Background(), tx, hooks.Event{Action: "order.placed"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(sizes, []int{1000, 1000, 500}) {
		t.Errorf("flushes of %d events", sizes)
	}
	if len(s.ended) != 1 || len(s.ended[0].Writes) != 3 || len(s.ended[0].Events) != 2500 {
		t.Fatalf("%d parts have ended", len(s.ended))
	}
	at := 0
	for _, w := range s.ended[0].Writes {
		for i, e := range w.Events {
			if w.First != 0 || e.ID != s.ended[0].Events[at].ID {
				t.Fatalf("event %d of a write is not event %d of the transaction", i, at)
			}
			at++
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
