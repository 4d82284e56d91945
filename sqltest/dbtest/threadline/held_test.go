package threadline_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// Record waits for no other transaction that writes an entry of the same ID, and names it.
func TestRecordNamesWhatIsHeld(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		all := []journal.Entry{entry(1), entry(2), entry(3)}
		tx, err := db.BeginTx(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(context.Background(), `SELECT threadline.record('[{"id": "`+all[1].ID.String()+`", "name": "order.placed", "outcome": "success", "occurred_at": "2026-01-01T00:00:00Z", "recorded_at": "2026-01-01T00:00:00Z"}]')`); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time, the others are there
			var held *threadline.HeldError
			if err := s.Record(context.Background(), all); !errors.As(err, &held) || !slices.Equal(held.IDs, []uuid.UUID{all[1].ID}) {
				t.Fatalf("got %v, want %s held", err, all[1].ID)
			}
		}
		if got := timeline(t, s, threadline.Query{}).Actions; len(got) != 2 {
			t.Errorf("%d actions, want the 2 others", len(got))
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		record(t, s, all...)
		if got := timeline(t, s, threadline.Query{}).Actions; len(got) != 3 {
			t.Errorf("%d actions, want 3", len(got))
		}
	}, dbtest.PostgresEngines()...)
}

// A lock on the table itself is that of maintenance. It is waited for as long as the
// session's lock_timeout lets it, and no entry is at fault.
func TestRecordWaitsForTheTable(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		hold(t, db, "BEGIN; LOCK TABLE threadline.audit_actions IN SHARE MODE")
		db.SetMaxOpenConns(2) // the one that holds it, and the one with the setting
		exec(t, db, "SET lock_timeout = '300ms'")
		err := s.Record(context.Background(), []journal.Entry{entry(1)})
		if hooks.SQLState(err) != "55P03" {
			t.Errorf("got %v, want SQLSTATE 55P03", err)
		}
	}, dbtest.PostgresEngines()...)
}
