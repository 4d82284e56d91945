package threadline_test

import (
	"context"
	"database/sql"
	_ "embed" // older scripts
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

var (
	//go:embed testdata/postgres_2.sql.txt
	postgresStep2 string
	//go:embed testdata/sqlite_2.sql.txt
	sqliteStep2 string
)

// of returns entries of one transaction, the n-th of them by these actors.
func of(tx int64, actors ...string) []journal.Entry {
	entries := make([]journal.Entry, len(actors))
	for i, id := range actors {
		e := entry(i)
		e.Tx = journal.TxKey{ID: tx, StartedAt: start}
		e.RequestID, e.Captured = "req-1", i > 0
		if id != "" {
			e.Actor = hooks.Actor{Type: hooks.User, ID: id, Name: "Name of " + id}
		}
		entries[i] = e
	}
	return entries
}

// transaction is a transaction's row in words.
func transaction(t *testing.T, db *sql.DB, e dbtest.Engine, tx int64) string {
	t.Helper()
	view, actors := "threadline.audit_transactions", "array_to_string(actors, ',')"
	if e.Dialect == hooks.SQLite {
		view, actors = "threadline_audit_transactions", "actors"
	}
	var actor, who sql.NullString
	var events int
	err := db.QueryRowContext(context.Background(), fmt.Sprintf("SELECT actor_ref, %s, events FROM %s WHERE txid = %d", actors, view, tx)).Scan(&actor, &who, &events)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(who.String, ",")
	slices.Sort(all)
	return fmt.Sprintf("%s of %s: %d", actor.String, strings.Join(all, ","), events)
}

// TestTransactions: the timeline keeps who made a transaction, whichever deliveries bring
// its events, and how often.
func TestTransactions(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		const none = "sql: no rows in result set"
		for i, tt := range []struct {
			want       string
			deliveries [][]journal.Entry
		}{
			{"user:a of user:a: 3", [][]journal.Entry{of(1, "a", "a", "a")}},
			{" of user:a,user:b: 3", [][]journal.Entry{of(2, "a", "b", "a")}},
			{" of unattributed,user:a: 2", [][]journal.Entry{of(3, "a", "")}},
			{" of unattributed: 1", [][]journal.Entry{of(4, "")}},
			{none, [][]journal.Entry{{entry(1)}}},
			{none, nil},
		} {
			for _, entries := range tt.deliveries {
				record(t, s, entries[:1]...) // a part
				record(t, s, entries...)     // the rest, and the part again
				record(t, s, entries...)
			}
			if got := transaction(t, db, e, int64(i+1)); got != tt.want {
				t.Errorf("transaction %d: %s, want %s", i+1, got, tt.want)
			}
		}
		another := of(1, "c")
		another[0].Tx.StartedAt = start.Add(time.Hour) // after a restore, XIDs begin anew
		record(t, s, another...)
		view := strings.Replace(table(e), "actions", "transactions", 1)
		var rows, first int
		scan(t, db, "SELECT count(*), count(action_id) FROM "+view+" WHERE txid = 1 AND id IS NOT NULL AND source IS NULL AND meta IS NOT NULL AND occurred_at IS NOT NULL AND last_recorded_at >= first_recorded_at", &rows, &first)
		if rows != 2 || first != 2 {
			t.Errorf("%d rows and %d recorded actions, want those of two transactions", rows, first)
		}
	})
}

// TestTransactionsSurvivePurge: the actions may go before the row that says who made them.
func TestTransactionsSurvivePurge(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		entries := of(1, "a", "b")
		record(t, s, entries...)
		exec(t, db, "DELETE FROM "+table(e))
		record(t, s, entries...) // replayed
		if got, want := transaction(t, db, e, 1), " of user:a,user:b: 2"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// TestTransactionsOfOlderTables: tables of an earlier version get the new ones, and keep what
// they have; where this role may not make them, recording goes on without.
func TestTransactionsOfOlderTables(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db := dbtest.Open(t, e.Driver, e.DSN(t))
		script := postgresStep2
		if e.Dialect == hooks.SQLite {
			script = sqliteStep2
		}
		exec(t, db, script)
		s := threadline.NewStore(db, e.Dialect, nil)
		if e.Dialect == hooks.Postgres { // on SQLite it is migrated in any case
			if err := s.Check(context.Background()); err != nil {
				t.Fatal(err)
			}
			record(t, s, of(1, "a")...)
		}
		for range 2 {
			if err := s.Migrate(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		record(t, s, of(2, "a")...)
		if got, want := transaction(t, db, e, 2), "user:a of user:a: 1"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if err := s.Check(context.Background()); err != nil {
			t.Error(err)
		}
		if got := timeline(t, s, threadline.Query{}).Actions; len(got) == 0 {
			t.Error("the timeline is empty")
		}
	})
}

// TestContextsGone: Check says which table is gone, and Migrate makes it again.
func TestContextsGone(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		if e.Dialect == hooks.Postgres {
			exec(t, db, "DROP TABLE threadline.audit_contexts CASCADE")
		} else {
			exec(t, db, "DROP TABLE threadline_audit_contexts")
		}
		if err := s.Check(context.Background()); !says(err, "audit_contexts") {
			t.Errorf("Check: %v", err)
		}
		if err := s.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		record(t, s, of(1, "a")...)
		if got, want := transaction(t, db, e, 1), "user:a of user:a: 1"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
