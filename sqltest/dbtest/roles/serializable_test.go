package roles_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// unplanned are settings of a session with which its own queries use no index, and are compiled.
const unplanned = "SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off; SET enable_nestloop = off; " +
	"SET random_page_cost = 1e30; SET cpu_index_tuple_cost = 1e30; SET jit = on; SET jit_above_cost = 0"

// TestSerializable: what a role reads by our functions in a SERIALIZABLE transaction,
// whatever its planner's settings and its arguments' collations are, locks no whole table,
// and fails no SERIALIZABLE transaction of another role that writes other events.
func TestSerializable(t *testing.T) {
	const known = `[{"id":"00000000-0000-0000-0001-000000000001","occurred_at":"2026-01-01T00:00:00Z","action":"thing.forged","outcome":"success"}]`
	const key = `'{00000000-0000-7000-0001-000000000001}'`
	for _, e := range dbtest.PostgresEngines() {
		for name, read := range map[string]string{
			"written":                "SELECT pg_catalog.count(*) FROM aftercommit.written(" + key + ")",
			"claim":                  "SELECT aftercommit.claim(" + key + ", 100)",
			"write":                  "SELECT aftercommit.write('00000000-0000-7000-0002-000000000001', 1, 1::int2, '" + known + "', NULL, true, 100)",
			"acknowledge":            "SELECT aftercommit.acknowledge('sink/default', " + key + ")",
			"acknowledge collated":   `SELECT aftercommit.acknowledge('sink/default' COLLATE "C", ` + key + ")",
			"enlist what there is":   "SELECT aftercommit.enlist('sink/default', '{place}')",
			"enlist what is new":     "SELECT aftercommit.enlist('new/default', '{place}')",
			"enlist what is refused": "DO $$ BEGIN PERFORM aftercommit.enlist('new/default', '{place} other'); RAISE 'it was accepted'; EXCEPTION WHEN invalid_parameter_value THEN NULL; END $$",
			"enlist collated":        `SELECT aftercommit.enlist('new/default' COLLATE "C", '{place}' COLLATE "C")`,
		} {
			t.Run(e.Name+" "+name, func(t *testing.T) {
				w := newWorld(t, e)
				h := w.hostile()
				// Rows of many index pages, so that others write to other pages.
				w.must(h.app.ExecContext(ctx, `SELECT pg_catalog.count(*) FROM pg_catalog.generate_series(1, 2000) i, aftercommit.write(('00000000-0000-7000-0001-' || pg_catalog.lpad(i::text, 12, '0'))::uuid, 1, 1::int2, '`+known+`', NULL, true, 100)`))
				conn := h.try(attempt{run: []string{unplanned, "BEGIN ISOLATION LEVEL SERIALIZABLE", read}})
				defer func() { _ = conn.Close() }()
				if tables := w.text("SELECT coalesce(pg_catalog.string_agg(relation::regclass::text, ' '), '') FROM pg_catalog.pg_locks WHERE mode = 'SIReadLock' AND locktype = 'relation'" +
					" AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"); tables != "" {
					t.Errorf("it locks all of %s", tables)
				}
				w.must(w.super.ExecContext(ctx, `CREATE TABLE public.stock (n int); INSERT INTO public.stock VALUES (0); GRANT ALL ON public.stock TO PUBLIC`))
				for i := range 3 {
					h.serializable(i)
				}
				w.must(conn.ExecContext(ctx, "ROLLBACK"))
			})
		}
	}
}

// TestPlanned: a function whose plans are not the caller's to choose is not the caller's to have
// compiled either, which takes a second where a plan that is never chosen has a high cost.
func TestPlanned(t *testing.T) {
	tables, err := journal.Schema(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	swap, err := journal.Swap(nil)
	if err != nil {
		t.Fatal(err)
	}
	planned := 0
	for _, function := range strings.Split(tables+swap+threadline.Schema(hooks.Postgres, nil), "CREATE OR REPLACE FUNCTION ")[1:] {
		settings, _, _ := strings.Cut(function, "AS $")
		if strings.Contains(settings, "SET enable_seqscan = off") {
			planned++
			if !strings.Contains(settings, "SET jit = off") {
				t.Errorf("it may be compiled: %s", settings)
			}
		}
	}
	if planned != 5 {
		t.Errorf("%d functions have plans of their own, want 5", planned)
	}
}

// serializable commits an event in a transaction that has read what another changes.
func (h *hostile) serializable(i int) {
	h.Helper()
	reader, writer := h.session(), h.session()
	h.must(reader.ExecContext(ctx, "BEGIN ISOLATION LEVEL SERIALIZABLE"))
	h.must(reader.ExecContext(ctx, "SELECT pg_catalog.sum(n) FROM public.stock"))
	h.must(writer.ExecContext(ctx, "BEGIN ISOLATION LEVEL SERIALIZABLE"))
	h.must(writer.ExecContext(ctx, "UPDATE public.stock SET n = n + 1"))
	h.must(writer.ExecContext(ctx, "COMMIT"))
	e, err := hooks.Prepare(hooks.Event{Action: "thing.happened", Target: hooks.Target{Type: "thing", ID: fmt.Sprint(i)}})
	h.must(err)
	ok, err := h.journal.Write(ctx, hooks.Flush{Conn: sqltest.Lent(reader), Events: []hooks.Event{e}, Key: uuid.Must(uuid.NewV7()), Must: true, Timeout: 5 * time.Second})
	if err == nil {
		_, err = reader.ExecContext(ctx, "COMMIT")
	}
	if err != nil || !ok {
		h.Errorf("the other's transaction: %v", err)
	}
}

// session is one of the victim's.
func (h *hostile) session() *sql.DB {
	db := dbtest.Open(h.T, h.e.Driver, h.as(h.victimRole))
	db.SetMaxOpenConns(1)
	return db
}
