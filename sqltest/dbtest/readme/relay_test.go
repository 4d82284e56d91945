package readme_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// TestRelayInAProcess: what another process has committed, and not delivered, a
// relay delivers.
func TestRelayInAProcess(t *testing.T) {
	dsn := dbtest.Postgres(t)
	app := openAudited(t, dsn)
	exec(t, app, "CREATE TABLE orders (id bigint PRIMARY KEY)")
	delivered(t)
	if err := app.Close(); err != nil { // and its relay
		t.Fatal(err)
	}
	db := dbtest.Open(t, "postgres", dsn)
	exec(t, db, "DELETE FROM threadline.audit_actions")
	if n := replay(t, db, "threadline.Forwarder/default"); n == 0 {
		t.Fatal("nothing to replay")
	}

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- runRelay(ctx, db) }()
	store := threadline.NewStore(db, hooks.Postgres, nil)
	for deadline := time.Now().Add(dbtest.Patience); ; {
		page, err := store.Timeline(t.Context(), threadline.Query{})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Actions) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was delivered")
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func runRelay(ctx context.Context, db *sql.DB) error {
	err := audit.Relay(ctx, db, hooks.Postgres) // until ctx ends; db is of the base driver
	return err
}

// replay gives a sink everything since some day.
func replay(t *testing.T, db *sql.DB, sink string) int64 {
	t.Helper()
	ctx, tuesday := t.Context(), time.Now().AddDate(0, 0, -2)
	store, err := relay.New(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := store.Replay(ctx, db, relay.Selection{Forwarder: sink, From: tuesday}, false)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
