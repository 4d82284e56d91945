package capture_test

import (
	"context"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func as(id string) context.Context {
	return hooks.WithActor(ctx(), hooks.Actor{Type: hooks.User, ID: id})
}

var nightly = hooks.Actor{Type: hooks.Job, ID: "nightly"}

// TestWho: the statement's context, else that of BeginTx, else the default
// actor. An event that names its actor keeps it.
func TestWho(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, ordersTable, driver.DefaultActor(nightly))
		for _, c := range []struct {
			name             string
			begin, statement context.Context
			own              hooks.Actor
			want             string
		}{
			{"nobody", ctx(), ctx(), hooks.Actor{}, "nightly"},
			{"the statement's", ctx(), as("s"), hooks.Actor{}, "s"},
			{"BeginTx's", as("b"), ctx(), hooks.Actor{}, "b"},
			{"both", as("b"), as("s"), hooks.Actor{}, "s"},
			{"the event's own", as("b"), as("s"), hooks.Actor{Type: hooks.Admin, ID: "o"}, "o"},
		} {
			w.sub(c.name, func(w *world) {
				w.setUp("DELETE FROM orders")
				tx, err := w.db.BeginTx(c.begin, nil)
				w.must(err)
				event := noted("n")
				event.Actor = c.own
				w.must(hooks.Record(c.statement, tx, event))
				if c.own.IsZero() {
					w.must(tx.ExecContext(c.statement, "INSERT INTO orders (id) VALUES (1)"))
				}
				w.must(tx.Commit())
				w.wantActors(c.want, w.events())
			})
		}
	})
}

func (w *world) wantActors(id string, entries []journal.Entry) {
	w.Helper()
	if len(entries) == 0 {
		w.Error("no events")
	}
	for _, e := range entries {
		if e.Actor.ID != id {
			w.Errorf("%s by %+v, want %q", e.Action, e.Actor, id)
		}
	}
}

// TestWhoInAutocommit: there is only the statement's context.
func TestWhoInAutocommit(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		w.must(w.db.ExecContext(as("s"), "INSERT INTO orders (id) VALUES (1)"))
		w.must(drain(w.db.QueryContext(as("s"), "UPDATE orders SET note = 'x' RETURNING id")))
		stmt, err := w.db.PrepareContext(as("p"), "DELETE FROM orders")
		w.must(err)
		defer stmt.Close()
		w.must(stmt.ExecContext(as("s")))
		w.must(hooks.Record(as("s"), w.db, noted("n")))
		w.wantActors("s", w.events())
	})
}

// TestWhoOfRawTransactions: a raw BEGIN has a context, too.
func TestWhoOfRawTransactions(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		conn := w.conn()
		w.must(conn.ExecContext(as("b"), "BEGIN"))
		w.execOn(conn, "INSERT INTO orders (id) VALUES (1)")
		w.execOn(conn, "COMMIT")
		w.wantActors("b", w.events())
		w.execOn(conn, "BEGIN")
		w.execOn(conn, "INSERT INTO orders (id) VALUES (2)")
		w.execOn(conn, "COMMIT")
		w.wantActors("", w.events())
	})
}

// TestNobody: an event without an actor has none in the journal, not somebody
// made up, and is counted.
func TestNobody(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		w.exec("INSERT INTO orders (id) VALUES (1)")
		tx := w.begin()
		w.execOn(tx, "UPDATE orders SET note = 'x'")
		w.execOn(tx, "DELETE FROM orders")
		w.must(tx.Commit())
		w.wantActors("", w.events())
		if n := w.told.total(hooks.NoticeUnattributed); n != 3 {
			w.Errorf("%d events are counted as unattributed, want 3", n)
		}
		table := "aftercommit_audit_events"
		if w.e.Dialect == hooks.Postgres {
			table = "aftercommit.audit_events"
		}
		w.wantCount(table+" WHERE actor_type IS NULL AND actor_id IS NULL", 3)
	})
}

// TestAllValues: what a context can say comes to the event, field by field.
func TestAllValues(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		begin := hooks.With(ctx(), hooks.Values{
			Actor: hooks.Actor{Type: hooks.Admin, ID: "1", Name: "Ada", OnBehalfOf: "2"}, TenantID: "tenant",
			RequestID: "request", CorrelationID: "correlation", CausationID: "causation", JobID: "job",
			TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", IPAddress: "2001:db8::1",
			UserAgent: "agent", Reason: "why",
		})
		tx, err := w.db.BeginTx(begin, nil)
		w.must(err)
		w.must(tx.ExecContext(hooks.With(ctx(), hooks.Values{Reason: "because", JobID: "other"}), "INSERT INTO orders (id) VALUES (1)"))
		w.must(tx.Commit())
		events := w.events()
		if len(events) != 1 {
			w.Fatalf("%d events, want 1", len(events))
		}
		got := events[0].Event
		want := hooks.FromContext(begin)
		want.Reason, want.JobID = "because", "other"
		said := hooks.Values{
			Actor: got.Actor, TenantID: got.TenantID, RequestID: got.RequestID, CorrelationID: got.CorrelationID,
			CausationID: got.CausationID, JobID: got.JobID, TraceParent: got.TraceParent, IPAddress: got.IPAddress,
			UserAgent: got.UserAgent, Reason: got.Reason,
		}
		if said != want {
			w.Errorf("the event says %+v, want %+v", said, want)
		}
		if got.Application == "" || got.Outcome != hooks.Success || !got.Captured {
			w.Errorf("application %q, outcome %q, captured %v", got.Application, got.Outcome, got.Captured)
		}
		if role := events[0].Role; w.e.Dialect == hooks.Postgres && role != "postgres" {
			w.Errorf("role %q, want postgres", role)
		}
	})
}

// TestWildContext: a captured event can never fail the app's statement, whatever
// its context says.
func TestWildContext(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		wild := hooks.With(ctx(), hooks.Values{
			Actor: hooks.Actor{Type: hooks.User, ID: "a\x00b"}, RequestID: "\xff\xfe", UserAgent: string(make([]byte, 5000)),
		})
		w.must(w.db.ExecContext(wild, "INSERT INTO orders (id) VALUES (1)"))
		events := w.events()
		if len(events) != 1 || events[0].Metadata["shortened"] != true {
			w.Fatalf("events %+v, want one that says shortened", events)
		}
		if err := hooks.Validate(events[0].Event); err != nil {
			w.Error(err)
		}
		w.wantCount("orders", 1)
	})
}
