package threadline_test

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

type json = stdjson.Number

func TestEveryFieldComesBack(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, _ := migrated(t, e)
		want := full(t)
		record(t, s, want)
		got, err := s.Get(context.Background(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Entry, want) {
			t.Errorf("got  %+v\nwant %+v", got.Entry, want)
		}
		if d := time.Since(got.InsertedAt); d < -dbtest.Patience || d > dbtest.Patience {
			t.Errorf("inserted at %s", got.InsertedAt)
		}
		if page := timeline(t, s, threadline.Query{}); len(page.Actions) != 1 || !reflect.DeepEqual(page.Actions[0], got) {
			t.Errorf("Timeline and Get differ: %+v", page)
		}
	})
}

func TestEmptyFieldsAreNull(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		want := entry(1)
		record(t, s, want)
		got, err := s.Get(context.Background(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.CorrelationID != want.ID.String() {
			t.Errorf("correlation id %q, want the event's own, %s", got.CorrelationID, want.ID)
		}
		got.CorrelationID = ""
		if !reflect.DeepEqual(got.Entry, want) {
			t.Errorf("got  %+v\nwant %+v", got.Entry, want)
		}
		if got.ActorRef() != "unattributed" {
			t.Errorf("nobody is shown as %q", got.ActorRef())
		}
		var nulls bool
		scan(t, db, "SELECT actor_ref IS NULL AND actor_type IS NULL AND target_id IS NULL AND metadata IS NULL AND comment IS NULL AND tx_id IS NULL AND tx_started_at IS NULL FROM "+table(e), &nulls)
		if !nulls {
			t.Error("an empty field was stored as something else than null")
		}
	})
}

// table is the default name of audit_actions.
func table(e dbtest.Engine) string {
	if e.Dialect == hooks.SQLite {
		return "threadline_audit_actions"
	}
	return "threadline.audit_actions"
}

func TestGeneratedColumnsAgreeWithTheAction(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		for i, outcome := range []hooks.EventOutcome{hooks.Success, hooks.Failure, hooks.Errored} {
			for j, actor := range []hooks.Actor{{}, {Type: hooks.System}, {Type: hooks.User, ID: "a:b"}} {
				for k, action := range []string{"order.refunded", "billing.order.line_2.refunded"} {
					want := entry(100*i + 10*j + k)
					want.Outcome, want.Actor, want.Action = outcome, actor, action
					record(t, s, want)
				}
			}
		}
		for a, err := range s.Each(context.Background(), threadline.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			var ref, status, category, verb string
			scan(t, db, "SELECT coalesce(actor_ref, 'unattributed'), status, category, verb FROM "+table(e)+" WHERE id = '"+a.ID.String()+"'",
				&ref, &status, &category, &verb)
			if ref != a.ActorRef() || status != a.Status() || category != a.Category() || verb != a.Verb() {
				t.Errorf("%s: the table says %s, %s, %s, %s", a, ref, status, category, verb)
			}
		}
	})
}

func TestSecondDeliveryChangesNothing(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, _ := migrated(t, e)
		first, second := entry(1), entry(2)
		record(t, s, first, second, first)
		before := timeline(t, s, threadline.Query{})
		changed := first
		changed.Comment = "rewritten"
		record(t, s, changed, entry(3), second)
		after := timeline(t, s, threadline.Query{})
		if len(after.Actions) != 3 || !reflect.DeepEqual(after.Actions[1:], before.Actions) {
			t.Errorf("before %v\nafter  %v", before.Actions, after.Actions)
		}
	})
}

func TestRecordManyInOneStatement(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		spy, statements := spied(t, e)
		s := threadline.NewStore(spy, e.Dialect, nil)
		if err := s.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		entries := make([]journal.Entry, 3000)
		for i := range entries {
			entries[i] = entry(i)
			entries[i].Metadata = map[string]any{"quote": `it's "\" here`}
		}
		statements.reset()
		record(t, s, entries...)
		seen := statements.all()
		if len(seen) != 1 {
			t.Fatalf("%d statements, want 1", len(seen))
		}
		if seen[0].prepared || e.Dialect == hooks.Postgres && len(seen[0].args) > 0 {
			t.Error("on PostgreSQL the statement must have no parameters and not be prepared")
		}
		n := 0
		for _, err := range s.Each(context.Background(), threadline.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != len(entries) {
			t.Errorf("%d actions, want %d", n, len(entries))
		}
	})
}

func TestRecordNothing(t *testing.T) {
	s := threadline.NewStore(nil, hooks.Postgres, nil)
	if err := s.Record(context.Background(), nil); err != nil {
		t.Error(err)
	}
}

func TestRecordIsAllOrNone(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, _ := migrated(t, e)
		bad := entry(2)
		bad.Outcome = "maybe"
		if err := s.Record(context.Background(), []journal.Entry{entry(1), bad, entry(3)}); err == nil {
			t.Error("an impossible outcome was stored")
		}
		if page := timeline(t, s, threadline.Query{}); len(page.Actions) != 0 {
			t.Errorf("%d actions of a refused batch", len(page.Actions))
		}
	})
}

// TestQuotingWhateverTheServerTakesForAString records under both settings of
// standard_conforming_strings and of backslash_quote.
func TestQuotingWhateverTheServerTakesForAString(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		db.SetMaxOpenConns(1)
		for _, setting := range []string{"standard_conforming_strings = off", "standard_conforming_strings = on", "backslash_quote = off"} {
			exec(t, db, "SET "+setting)
			want := full(t)
			record(t, s, want)
			got, err := s.Get(context.Background(), want.ID)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.Entry, want) {
				t.Errorf("%s:\ngot  %+v\nwant %+v", setting, got.Entry, want)
			}
		}
	}, dbtest.PostgresEngines()...)
}

func TestRecordNeedsNoSearchPath(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		db.SetMaxOpenConns(1)
		exec(t, db, "CREATE SCHEMA other")
		exec(t, db, "CREATE TABLE other.audit_actions (id int)")
		exec(t, db, "SET search_path = other")
		record(t, s, entry(1))
		if page := timeline(t, s, threadline.Query{}); len(page.Actions) != 1 {
			t.Errorf("%d actions, want 1", len(page.Actions))
		}
	}, dbtest.PostgresEngines()...)
}

func TestSQLiteTemporaryTableDoesNotShadow(t *testing.T) {
	s, db := migrated(t, dbtest.SQLite)
	db.SetMaxOpenConns(1)
	exec(t, db, "CREATE TEMP TABLE threadline_audit_actions (id)")
	exec(t, db, "CREATE TEMP TABLE threadline_record (doc)")
	record(t, s, entry(1))
	if page := timeline(t, s, threadline.Query{}); len(page.Actions) != 1 {
		t.Errorf("%d actions, want 1", len(page.Actions))
	}
}

func TestSQLiteKeepsLastInsertRowid(t *testing.T) {
	s, db := migrated(t, dbtest.SQLite)
	db.SetMaxOpenConns(1)
	exec(t, db, "CREATE TABLE orders (id INTEGER PRIMARY KEY)")
	exec(t, db, "INSERT INTO orders VALUES (4711)")
	record(t, s, entry(1), entry(2))
	var rowid int64
	scan(t, db, "SELECT last_insert_rowid()", &rowid)
	if rowid != 4711 {
		t.Errorf("last_insert_rowid() is %d, the app's was 4711", rowid)
	}
}

// TestWriterCannotChangeOrRead records as a role that may execute the function
// and do nothing else.
func TestWriterCannotChangeOrRead(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, db := migrated(t, e)
		db.SetMaxOpenConns(1)
		role := "writer_" + e.Name
		exec(t, db, "CREATE ROLE "+role)
		defer exec(t, db, "RESET ROLE; DROP OWNED BY "+role+"; DROP ROLE "+role)
		exec(t, db, "SET ROLE "+role)
		ctx := context.Background()
		if err := s.Record(ctx, []journal.Entry{entry(1)}); !says(err, "GRANT") {
			t.Errorf("without rights: %v, want the GRANTs named", err)
		}
		var schemaErr *threadline.SchemaError
		if err := s.Check(ctx); !errors.As(err, &schemaErr) || !says(err, "GRANT USAGE") {
			t.Errorf("Check without rights: %v", err)
		}
		for _, o := range []*threadline.ForwarderOptions{nil, {NoMigrate: true}, {Store: s}} {
			if err := threadline.NewForwarder(o).Attach(ctx, db); !isPermanent(err, "insufficient_privilege") || !says(err, "GRANT EXECUTE ON FUNCTION") {
				t.Errorf("Attach without rights, %+v: %v", o, err)
			}
		}
		exec(t, db, "RESET ROLE")
		exec(t, db, "GRANT USAGE ON SCHEMA threadline TO "+role)
		exec(t, db, "GRANT EXECUTE ON FUNCTION threadline.record(json) TO "+role)
		exec(t, db, "SET ROLE "+role)
		record(t, s, entry(1))
		if err := s.Check(ctx); err != nil {
			t.Errorf("Check with the rights of a writer: %v", err)
		}
		for _, query := range []string{
			"SELECT * FROM threadline.audit_actions", "DELETE FROM threadline.audit_actions",
			"UPDATE threadline.audit_actions SET name = 'a.b'", "INSERT INTO threadline.schema_version VALUES (2)",
		} {
			if _, err := db.ExecContext(ctx, query); !says(err, "permission denied") {
				t.Errorf("%s: %v, want permission denied", query, err)
			}
		}
	}, dbtest.PostgresEngines()...)
}

func TestGetOfNothing(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, _ := migrated(t, e)
		if _, err := s.Get(context.Background(), uuid.New()); !errors.Is(err, threadline.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

// ids are the actions' IDs in order.
func ids(actions []threadline.Action) []uuid.UUID {
	out := make([]uuid.UUID, 0, len(actions))
	for _, a := range actions {
		out = append(out, a.ID)
	}
	return out
}

func reversed(in []journal.Entry) []uuid.UUID {
	out := make([]uuid.UUID, 0, len(in))
	for _, e := range slices.Backward(in) {
		out = append(out, e.ID)
	}
	return out
}
