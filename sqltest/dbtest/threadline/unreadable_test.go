package threadline_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// unreadable are changes to a row of the timeline that its owner can make, by the
// column that cannot be read then.
var unreadable = map[hooks.Dialect]map[string]string{
	hooks.Postgres: {
		"recorded_at = 'infinity'":      "recorded_at",
		"recorded_at = '-infinity'":     "recorded_at",
		"recorded_at = '20000-01-01'":   "recorded_at",
		"recorded_at = '0044-03-15 BC'": "recorded_at",
		"occurred_at = 'infinity'":      "occurred_at",
		"tx_started_at = 'infinity'":    "tx_started_at",
		"inserted_at = '12026-01-01'":   "inserted_at",
		"metadata = '[1]'":              "metadata",
		"metadata = '\"x\"'":            "metadata",
	},
	hooks.SQLite: {
		"recorded_at = 'infinity'": "recorded_at",
		"recorded_at = ''":         "recorded_at",
		"recorded_at = 7":          "recorded_at",
		"recorded_at = x'00ff'":    "recorded_at",
		"seq = 'x'":                "seq",
		"tx_id = 'x'":              "tx_id",
		"captured = 'maybe'":       "captured",
		"actor_name = x'ff'":       "actor_name",
		"metadata = '[1]'":         "metadata",
		"metadata = 'x'":           "metadata",
	},
}

// An action that cannot be read is shown as one, in its place, and hides no other,
// however small the pages are.
func TestUnreadableActions(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		table := "threadline.audit_actions"
		if e.Dialect == hooks.SQLite {
			table = "threadline_audit_actions"
		}
		for change, column := range unreadable[e.Dialect] {
			exec(t, db, "DELETE FROM "+table)
			entries := []journal.Entry{entry(0), entry(1), entry(2), entry(3)}
			record(t, s, entries...)
			bad := entries[1].ID
			exec(t, db, "UPDATE "+table+" SET "+change+" WHERE id = '"+bad.String()+"'")
			checkUnreadable(t, s, change, column, bad)
		}
	})
}

func checkUnreadable(t *testing.T, s *threadline.Store, change, column string, bad uuid.UUID) {
	t.Helper()
	for limit := 1; limit <= 5; limit++ {
		seen := map[uuid.UUID]bool{}
		for _, id := range walk(t, s, threadline.Query{Limit: limit}, nil) {
			seen[id] = true
		}
		if len(seen) != 4 {
			t.Errorf("after %s pages of %d show %d actions, want 4", change, limit, len(seen))
		}
	}
	n := 0
	for a, err := range s.Each(context.Background(), threadline.Query{}) {
		if err != nil {
			t.Errorf("after %s Each ends: %v", change, err)
			break
		}
		if n++; (a.Unreadable != "") != (a.ID == bad) {
			t.Errorf("after %s %s says %q", change, a.ID, a.Unreadable)
		}
	}
	got, err := s.Get(context.Background(), bad)
	if err != nil || n != 4 || !strings.HasPrefix(got.Unreadable, column+": ") || got.Action != "order.placed" {
		t.Errorf("after %s: %d actions, and %+v, %v", change, n, got, err)
	}
	if !strings.Contains(got.String(), "unreadable") {
		t.Errorf("after %s its line is %q", change, got)
	}
}

// TestRowChangesAreRefused: without the source of the changes the forwarder refuses them, and records the events among them.
func TestRowChangesAreRefused(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		entries := []journal.Entry{entry(0), entry(1), entry(2)}
		entries[1].Change = []byte("{}")
		err := threadline.NewForwarder(nil).Forward(forward.WithConn(context.Background(), db), entries)
		if !strings.Contains(fmt.Sprint(err), "row changes come from a Hub") {
			t.Errorf("err = %v", err)
		}
		var got []uuid.UUID
		for a, err := range s.Each(context.Background(), threadline.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, a.ID)
		}
		slices.SortFunc(got, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
		want := []uuid.UUID{entries[0].ID, entries[2].ID}
		slices.SortFunc(want, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
		if !slices.Equal(got, want) {
			t.Errorf("the timeline has %v, want %v", got, want)
		}
	})
}

// What is unreadable in the journal is not made readable by its copy.
func TestUnreadableEntriesAreRefused(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, _ := migrated(t, e)
		bad := entry(0)
		bad.Unreadable = "occurred_at: infinity"
		if err := s.Record(context.Background(), []journal.Entry{bad}); err == nil || !strings.Contains(err.Error(), bad.Unreadable) {
			t.Errorf("err = %v", err)
		}
	})
}
