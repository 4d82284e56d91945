package roles_test

import (
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/walk"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
	"github.com/go-aftercommit/aftercommit/threadline/coverage"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// rowChanges captures tables of all shapes, and asks what there is to ask of their history.
func (w *world) rowChanges() {
	w.Helper()
	tables := []string{"by_row", "by_statement", "keyless", "typed", "divided"}
	columns := "(id int, part text, a numeric, b text, c timestamptz, r int4range[], card text, h text"
	w.must(w.owner.ExecContext(ctx, "DROP TABLE IF EXISTS "+strings.Join(tables, ", ")+" CASCADE"))
	for _, query := range []string{
		"CREATE TABLE public.by_row " + columns + ", PRIMARY KEY (id))", "CREATE TABLE public.by_statement " + columns + ", PRIMARY KEY (id))", "CREATE TABLE public.keyless " + columns + ")",
		"CREATE TABLE public.typed " + columns + ", u regclass, m money, PRIMARY KEY (id), UNIQUE (part, a), FOREIGN KEY (id) REFERENCES by_row, CHECK (a OPERATOR(pg_catalog.>) 0))",
		"CREATE TABLE public.divided " + columns + ", PRIMARY KEY (id, part)) PARTITION BY LIST (part)", "CREATE TABLE public.divided_x PARTITION OF divided FOR VALUES IN ('x')",
	} {
		w.must(w.owner.ExecContext(ctx, query))
	}
	db := dbtest.Open(w.T, w.e.Driver, w.noted())
	installer, store := capture.NewInstaller(db, hooks.Postgres, nil), changes.NewStore(db, hooks.Postgres, nil)
	w.must(installer.Migrate(ctx))
	divided := capture.NewInstaller(db, hooks.Postgres, &capture.Options{Schema: "in_months", Partition: capture.Monthly})
	w.must(divided.Migrate(ctx))
	var list []capture.Table
	for _, name := range tables {
		list = append(list, capture.Table{Name: name, Mask: []string{"card"}, Hash: []string{"h"}, Bulk: name == "by_statement"})
	}
	plan, err := installer.Plan(ctx, list...)
	w.must(err)
	w.must(installer.Apply(ctx, plan))
	for _, table := range tables {
		for _, query := range []string{"INSERT INTO public." + table + " (id, part, a) VALUES (1, 'x', 1)", "UPDATE public." + table + " SET a = 2, id = 1", "ALTER TABLE public." + table + " ADD more int", "UPDATE public." + table + " SET more = 1"} {
			w.must(db.ExecContext(ctx, query))
		}
	}
	at := time.Now()
	for _, table := range tables {
		w.must(store.Breaks(ctx, table))
	}
	w.historyOf(store, "typed", at, "1")
	w.historyOf(store, "divided", at, "1", "x")
	w.must(store.Reached(ctx, tables))
	w.must(store.Captured(ctx))
	w.must(store.Starts(ctx, 1))
	w.must(store.CopiedFrom(ctx))
	w.must(coverage.NewChecker(db, hooks.Postgres, &coverage.Options{Tables: list, Window: time.Hour}).Check(ctx))
	for _, q := range []changes.Query{{Limit: 1}, {Tables: tables, Fields: []string{"a"}, OldestFirst: true}, {Tables: tables[:1], To: at, New: []changes.FieldValue{{Field: "a", Text: "2"}}}, {Text: []string{"x"}, Ops: []changes.Op{changes.Insert}}} {
		page, e := store.Page(ctx, q)
		w.must(e)
		if q.Cursor = page.Next; q.Cursor != "" {
			w.must(store.Page(ctx, q))
		}
	}
	w.kept(list)
	timeline := threadline.NewStore(db, hooks.Postgres, nil)
	w.must(trail.NewReader(timeline, store).Page(ctx, trail.Query{}))
	for _, table := range tables {
		w.must(installer.Remove(ctx, table))
	}
	plan, err = installer.Plan(ctx, list...) // so that what was sent can be planned
	w.must(err)
	w.must(installer.Apply(ctx, plan))
}

// kept is a program whose Hub makes the captures, and whose relay delivers row changes.
func (w *world) kept(list []capture.Table) {
	w.Helper()
	far := &sink{}
	hub := forward.New(&forward.Options{Logger: zap.NewNop(), Environment: "kept"})
	hub.Keep(capture.Of(list...))
	hub.Register(threadline.NewForwarder(nil), forward.Auto)
	hub.Register(far, forward.Async, forward.ID("changes"), forward.WithChanges(changes.NewSource(nil)))
	name := dbtest.Name(w.e.Driver)
	driver.Register(name, w.e.Driver, hub, driver.Capture(driver.AllTables()), driver.WriteTimeout(dbtest.Patience))
	db := dbtest.Open(w.T, name, w.noted())
	w.must(db.PingContext(ctx))
	w.must(hub.AwaitKept(ctx))
	w.must(db.ExecContext(ctx, "INSERT INTO public.by_row (id) VALUES (7)"))
	w.until("the relay delivers the row", func() bool { return far.calls() > 0 })
	w.must(db.Close())
}

// historyOf asks for the history of a row, and what would undo it.
func (w *world) historyOf(store *changes.Store, table string, at time.Time, key ...string) {
	w.Helper()
	for _, err := range store.TableAsOf(ctx, table, at) {
		w.must(err)
	}
	history, err := store.History(ctx, table, key...)
	w.must(err)
	w.must(store.RowAsOf(ctx, table, at, key...))
	w.must(store.RowAfter(ctx, history[0]))
	w.must(store.Transaction(ctx, history[0].XID, history[0].TxStartedAt, 10))
	w.must(undo.Transaction(ctx, store, history[0].XID, history[0].TxStartedAt))
	w.must(undo.RowAfter(ctx, store, history[0]))
}

// unqualified is what the walk finds, without transition tables, each of which comes before any other relation of its name, and without
// a type that format_type has printed: it qualifies a name that would mean another type.
func unqualified(query string) (found []string, err error) {
	all, err := walk.Unqualified(query)
	for _, name := range all {
		printed := name == "type text" && strings.Contains(query, ") v (n, v0")
		if name != "relation old_rows" && name != "relation new_rows" && !printed {
			found = append(found, name)
		}
	}
	return found, err
}
