package readme_test

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/hooks/reqctx"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// openAudited opens an empty PostgreSQL database as the README does.
func openAudited(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres-audited", dsn) // was: sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func exec(t *testing.T, h hooks.Handle, queries ...string) {
	t.Helper()
	for _, q := range queries {
		if _, err := h.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// delivered waits until the relay has forwarded what is committed.
func delivered(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), dbtest.Patience)
	defer cancel()
	if err := audit.Drain(ctx); err != nil {
		t.Fatal(err)
	}
}

// timeline returns what the README's query finds.
func timeline(ctx context.Context, t *testing.T, db *sql.DB) []threadline.Action {
	t.Helper()
	store := threadline.NewStore(db, hooks.Postgres, &threadline.Options{
		Aliases: map[string][]string{"order": {"orders"}}, // what you record, and the table that is captured
	})
	page, err := store.Timeline(ctx, threadline.Query{TargetType: "order", TargetID: "42"})
	if err != nil {
		t.Fatal(err)
	}
	return page.Actions
}

func sessionOf(r *http.Request) (string, bool) {
	user, _, ok := r.BasicAuth()
	return user, ok
}

func TestAdopt(t *testing.T) {
	db := openAudited(t, dbtest.Postgres(t))
	exec(t, db, "CREATE TABLE orders (id bigint PRIMARY KEY)")

	var handler http.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := refund(r.Context(), db); err != nil {
			t.Error(err)
		}
	})
	handler = reqctx.Middleware(func(r *http.Request) hooks.Actor {
		user, ok := sessionOf(r)
		if !ok {
			return hooks.Actor{Type: hooks.Anonymous}
		}
		return hooks.Actor{Type: hooks.User, ID: user}
	}, nil)(handler)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
	r.SetBasicAuth("ada", "")
	handler.ServeHTTP(httptest.NewRecorder(), r)

	delivered(t)
	found := timeline(t.Context(), t, db)
	if len(found) != 1 || found[0].Action != "order.refunded" || found[0].ActorRef() != "user:ada" || found[0].Reason != "damaged in transit" {
		t.Errorf("the timeline of the order is %v, want one refund by user:ada with its reason", found)
	}
}

// refund writes, says why, and commits.
func refund(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err = tx.ExecContext(ctx, "INSERT INTO orders VALUES (42)"); err != nil {
		return err
	}
	err = hooks.Record(ctx, tx, hooks.Event{
		Action: "order.refunded",
		Target: hooks.Target{Type: "order", ID: "42"},
		Reason: "damaged in transit",
	})
	if err != nil {
		return err
	}
	return tx.Commit()
}

var recorder = sqltest.NewRecorder()

func init() {
	hub := forward.New(nil)
	hub.Register(recorder, forward.Sync)
	driver.Register("sqlite-audited", "sqlite", hub, driver.Capture(driver.AllTables()))
}

func TestRecorder(t *testing.T) {
	db := dbtest.Open(t, "sqlite-audited", dbtest.SQLite.DSN(t))
	exec(t, db, "CREATE TABLE orders (id bigint PRIMARY KEY)")
	recorder.Reset()

	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, "INSERT INTO orders VALUES (1)")
	recorder.None(t)
	if err := hooks.Record(t.Context(), tx, hooks.Event{Action: "order.placed"}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	recorder.Only(t, "orders.inserted", "order.placed")
}

func TestModes(t *testing.T) {
	db := openAudited(t, dbtest.Postgres(t))
	exec(t, db, "CREATE TABLE orders (id bigint PRIMARY KEY)")
	ctx := hooks.WithActor(t.Context(), hooks.Actor{Type: hooks.Admin, ID: "ada"})
	if err := driver.SetMode(ctx, "postgres-audited", hooks.BestEffort); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.SetMode(context.WithoutCancel(ctx), "postgres-audited", hooks.Strict); err != nil {
			t.Error(err)
		}
	})
	delivered(t)
	store := threadline.NewStore(db, hooks.Postgres, nil)
	page, err := store.Timeline(t.Context(), threadline.Query{ActionPrefix: "aftercommit."})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(page.Actions, func(a threadline.Action) bool {
		return a.Action == "aftercommit.mode_changed" && a.ActorRef() == "admin:ada"
	}) {
		t.Errorf("the change of mode is not in the timeline: %v", page.Actions)
	}
}
