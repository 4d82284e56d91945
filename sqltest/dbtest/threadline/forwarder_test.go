package threadline_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// lent is a new database as the app lends it: one connection, and a context that
// carries it.
func lent(t *testing.T, e dbtest.Engine) (*sql.DB, context.Context) {
	t.Helper()
	db := dbtest.Open(t, e.Driver, e.DSN(t))
	db.SetMaxOpenConns(1)
	return db, forward.WithDialect(forward.WithConn(context.Background(), db), e.Dialect)
}

// migrate makes the tables, as on SQLite the first Forward would.
func migrate(t *testing.T, e dbtest.Engine, db *sql.DB) {
	t.Helper()
	if err := threadline.NewStore(db, e.Dialect, nil).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func isPermanent(err error, reason string) bool {
	var p *forward.PermanentError
	return errors.As(err, &p) && p.Reason == reason
}

func TestForwardToTheAppsOwnDatabase(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db, ctx := lent(t, e)
		f := threadline.NewForwarder(nil)
		if err := f.Attach(ctx, db); err != nil {
			t.Fatal(err)
		}
		entries := []journal.Entry{entry(1), entry(2)}
		for range 2 {
			if err := f.Forward(ctx, entries); err != nil {
				t.Fatal(err)
			}
		}
		// One that was never attached, as after a restart that found the tables.
		entries = append(entries, entry(3))
		if err := threadline.NewForwarder(nil).Forward(ctx, entries); err != nil {
			t.Fatal(err)
		}
		if got := ids(timeline(t, threadline.NewStore(db, e.Dialect, nil), threadline.Query{}).Actions); !slices.Equal(got, reversed(entries)) {
			t.Errorf("got %v, want %v", got, reversed(entries))
		}
	})
}

func TestForwardAfterAttachIsOneStatement(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db, statements := spied(t, e)
		db.SetMaxOpenConns(1)
		f := threadline.NewForwarder(nil)
		if err := f.Attach(context.Background(), db); err != nil {
			t.Fatal(err)
		}
		migrate(t, e, db)
		statements.reset()
		ctx := forward.WithDialect(forward.WithConn(context.Background(), db), e.Dialect)
		if err := f.Forward(ctx, []journal.Entry{entry(1), entry(2)}); err != nil {
			t.Fatal(err)
		}
		if n := len(statements.all()); n != 1 {
			t.Errorf("%d statements, want 1", n)
		}
	})
}

// TestOneForwarderForTwoKindsOfDatabase alternates between the dialects.
func TestOneForwarderForTwoKindsOfDatabase(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		f := threadline.NewForwarder(nil)
		pg, pgCtx := lent(t, e)
		lite, liteCtx := lent(t, dbtest.SQLite)
		for _, db := range []*sql.DB{pg, lite} {
			if err := f.Attach(context.Background(), db); err != nil {
				t.Fatal(err)
			}
		}
		unsaid := func(db *sql.DB) context.Context { return forward.WithConn(context.Background(), db) }
		for _, ctx := range []context.Context{pgCtx, liteCtx, unsaid(lite), unsaid(pg)} {
			if err := f.Forward(ctx, []journal.Entry{entry(1)}); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range []*threadline.Store{threadline.NewStore(pg, e.Dialect, nil), threadline.NewStore(lite, hooks.SQLite, nil)} {
			if n := len(timeline(t, s, threadline.Query{}).Actions); n != 2 {
				t.Errorf("%d actions, want 2", n)
			}
		}
	}, dbtest.PostgresEngines()...)
}

// In a transaction, as the relay's, nothing is tried that another database would
// refuse: that would end the transaction, and hide the cause.
func TestRefusalWithinATransaction(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		f := threadline.NewForwarder(nil)
		db, ctx := lent(t, e)
		lite, liteCtx := lent(t, dbtest.SQLite)
		if err := f.Attach(ctx, db); err != nil {
			t.Fatal(err)
		}
		if err := f.Attach(liteCtx, lite); err != nil {
			t.Fatal(err)
		}
		exec(t, db, "BEGIN")
		if err := f.Forward(ctx, []journal.Entry{entry(1)}); err != nil {
			t.Errorf("after a delivery to SQLite: %v", err)
		}
		exec(t, db, "COMMIT")
		exec(t, db, "DROP SCHEMA threadline CASCADE")
		exec(t, db, "BEGIN")
		if err := f.Forward(ctx, []journal.Entry{entry(2)}); !isPermanent(err, "schema_mismatch") {
			t.Errorf("without the schema: %v", err)
		}
		exec(t, db, "ROLLBACK")
	}, dbtest.PostgresEngines()...)
}

func TestForwardToAStore(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s := threadline.NewStore(dbtest.Open(t, e.Driver, e.DSN(t)), e.Dialect, nil)
		app, ctx := lent(t, dbtest.SQLite)
		f := threadline.NewForwarder(&threadline.ForwarderOptions{Store: s})
		if err := f.Attach(ctx, app); !isPermanent(err, "schema_mismatch") {
			t.Errorf("Attach to a store without tables: %v", err)
		}
		if err := s.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		if err := f.Attach(ctx, app); err != nil {
			t.Fatal(err)
		}
		if err := f.Forward(ctx, []journal.Entry{entry(1)}); err != nil {
			t.Fatal(err)
		}
		if n := len(timeline(t, s, threadline.Query{}).Actions); n != 1 {
			t.Errorf("%d actions in the store, want 1", n)
		}
		if err := threadline.NewStore(app, hooks.SQLite, nil).Check(ctx); !says(err, "does not exist") {
			t.Errorf("the app's own database: %v, want it left alone", err)
		}
	})
}

func TestMissingTablesArePermanent(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db, ctx := lent(t, e)
		f := threadline.NewForwarder(&threadline.ForwarderOptions{NoMigrate: true})
		if err := f.Attach(ctx, db); !isPermanent(err, "schema_mismatch") || !says(err, "run Store.Migrate") {
			t.Errorf("Attach: %v", err)
		}
		if err := f.Forward(ctx, []journal.Entry{entry(1)}); !isPermanent(err, "schema_mismatch") {
			t.Errorf("Forward: %v", err)
		}
		if err := threadline.NewForwarder(nil).Attach(ctx, db); err != nil {
			t.Fatal(err)
		}
		migrate(t, e, db)
		if err := f.Forward(ctx, []journal.Entry{entry(1)}); err != nil {
			t.Errorf("once the tables are there: %v", err)
		}
		drop := "ALTER TABLE threadline.audit_actions DROP COLUMN host"
		if e.Dialect == hooks.SQLite {
			drop = "DROP TABLE threadline_audit_actions"
		}
		exec(t, db, drop)
		if err := f.Forward(ctx, []journal.Entry{entry(2)}); !isPermanent(err, "schema_mismatch") {
			t.Errorf("Forward to broken tables: %v", err)
		}
		if err := threadline.NewForwarder(nil).Attach(ctx, db); !isPermanent(err, "schema_mismatch") {
			t.Errorf("Attach to broken tables: %v", err)
		}
	})
}

func TestNewerTablesArePermanent(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db, ctx := lent(t, e)
		if err := threadline.NewForwarder(nil).Attach(ctx, db); err != nil {
			t.Fatal(err)
		}
		migrate(t, e, db)
		exec(t, db, map[hooks.Dialect]string{
			hooks.Postgres: "INSERT INTO threadline.schema_version VALUES (2)",
			hooks.SQLite:   "INSERT INTO threadline_schema_version VALUES (2, '')",
		}[e.Dialect])
		for _, noMigrate := range []bool{false, true} {
			f := threadline.NewForwarder(&threadline.ForwarderOptions{NoMigrate: noMigrate})
			if err := f.Attach(ctx, db); !isPermanent(err, "schema_mismatch") || !says(err, "upgrade the program") {
				t.Errorf("NoMigrate %t: %v", noMigrate, err)
			}
		}
	})
}

// TestBadEntryLosesNoOther hides bad ones at every place of a batch.
func TestBadEntryLosesNoOther(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db, ctx := lent(t, e)
		f := threadline.NewForwarder(nil)
		if err := f.Attach(ctx, db); err != nil {
			t.Fatal(err)
		}
		spoil := []func(*journal.Entry){
			func(e *journal.Entry) { e.Outcome = "maybe" },
			func(e *journal.Entry) { e.Metadata = map[string]any{"f": func() {}} },
			func(e *journal.Entry) { e.ID = uuid.Nil },
		}
		if e.Dialect == hooks.Postgres {
			spoil = append(spoil, func(e *journal.Entry) { e.Metadata = map[string]any{"nul": "\x00"} })
		}
		want := map[uuid.UUID]bool{}
		for n := 1; n <= 5; n++ {
			for at := range n {
				entries := make([]journal.Entry, n)
				for i := range entries {
					if entries[i] = entry(i); i != at {
						want[entries[i].ID] = true
					}
				}
				spoil[(n+at)%len(spoil)](&entries[at])
				err := f.Forward(ctx, entries)
				var partial *forward.PartialError
				if !errors.As(err, &partial) || len(partial.Failed) != 1 || !isPermanent(partial.Failed[entries[at].ID], "invalid_entry") {
					t.Errorf("entry %d of %d is bad: %v", at+1, n, err)
				}
			}
		}
		got := timeline(t, threadline.NewStore(db, e.Dialect, nil), threadline.Query{}).Actions
		if len(got) != len(want) {
			t.Errorf("%d actions, want %d", len(got), len(want))
		}
		for _, a := range got {
			if !want[a.ID] {
				t.Errorf("%s was not to be stored", a)
			}
		}
	})
}

func TestTransientErrorsAreNotPermanent(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db, ctx := lent(t, e)
		f := threadline.NewForwarder(nil)
		if err := f.Attach(ctx, db); err != nil {
			t.Fatal(err)
		}
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		closed, closedCtx := lent(t, e)
		if err := closed.Close(); err != nil {
			t.Fatal(err)
		}
		for name, ctx := range map[string]context.Context{"no connection": context.Background(), "cancelled": cancelled, "closed": closedCtx} {
			err := f.Forward(ctx, []journal.Entry{entry(1)})
			var permanent *forward.PermanentError
			var partial *forward.PartialError
			if err == nil || errors.As(err, &permanent) || errors.As(err, &partial) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
