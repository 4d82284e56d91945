package roles_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestSerializable: what a role reads by our functions in a SERIALIZABLE transaction,
// whatever its planner's settings are, fails no SERIALIZABLE transaction of another role
// that writes other events.
func TestSerializable(t *testing.T) {
	const settings = "SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off; SET enable_nestloop = off; SET random_page_cost = 1e30; SET cpu_index_tuple_cost = 1e30"
	const known = `[{"id":"00000000-0000-0000-0001-000000000001","occurred_at":"2026-01-01T00:00:00Z","action":"thing.forged","outcome":"success"}]`
	for _, e := range dbtest.PostgresEngines() {
		for name, read := range map[string]string{
			"written": "SELECT pg_catalog.count(*) FROM aftercommit.written('{00000000-0000-7000-0001-000000000001}')",
			"claim":   "SELECT aftercommit.claim('{00000000-0000-7000-0001-000000000001}', 100)",
			"write":   "SELECT aftercommit.write('00000000-0000-7000-0002-000000000001', 1, 1::int2, '" + known + "', NULL, true, 100)",
		} {
			t.Run(e.Name+" "+name, func(t *testing.T) {
				w := newWorld(t, e)
				h := w.hostile()
				// Rows of many index pages, so that others write to other pages.
				w.must(h.app.ExecContext(ctx, `SELECT pg_catalog.count(*) FROM pg_catalog.generate_series(1, 2000) i, aftercommit.write(('00000000-0000-7000-0001-' || pg_catalog.lpad(i::text, 12, '0'))::uuid, 1, 1::int2, '`+known+`', NULL, true, 100)`))
				conn := h.try(attempt{run: []string{settings, "BEGIN ISOLATION LEVEL SERIALIZABLE", read}})
				defer func() { _ = conn.Close() }()
				w.must(w.super.ExecContext(ctx, `CREATE TABLE public.stock (n int); INSERT INTO public.stock VALUES (0); GRANT ALL ON public.stock TO PUBLIC`))
				for i := range 3 {
					h.serializable(i)
				}
				w.must(conn.ExecContext(ctx, "ROLLBACK"))
			})
		}
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
	ok, err := h.journal.Write(ctx, hooks.Flush{Conn: sqltest.Lent(reader), Events: []hooks.Event{e}, Key: uuid.Must(uuid.NewV7()), Own: true, Timeout: 5 * time.Second})
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
