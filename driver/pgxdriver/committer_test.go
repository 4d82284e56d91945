package pgxdriver_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/go-aftercommit/aftercommit/driver/pgxdriver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// tracer keeps what each query is and what became of it.
type tracer struct {
	mu     sync.Mutex
	traced []string
}

type traced struct{}

func (r *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, traced{}, data.SQL)
}

func (r *tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	text := "refused"
	if data.Err == nil {
		text = data.CommandTag.String()
	}
	sql, _ := ctx.Value(traced{}).(string)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.traced = append(r.traced, sql+" -> "+text)
}

// take returns what was traced since it was last called.
func (r *tracer) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.traced
	r.traced = nil
	return got
}

// TestTracer: the app's tracer sees the message with the events and the COMMIT as one query.
func TestTracer(t *testing.T) {
	cfg, err := pgx.ParseConfig(dbtest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	spy := &tracer{}
	cfg.Tracer = spy
	a := open(t, stdlib.RegisterConnConfig(cfg))
	for _, query := range []string{
		"CREATE TABLE orders (id bigint PRIMARY KEY)",
		"CREATE TABLE lines (id bigint REFERENCES orders DEFERRABLE INITIALLY DEFERRED)",
	} {
		a.must(a.db.ExecContext(t.Context(), query))
	}
	for _, tt := range []struct{ query, tag string }{
		{"INSERT INTO orders (id) VALUES (1)", "COMMIT"},
		{"INSERT INTO lines (id) VALUES (7)", "refused"},
	} {
		tx, err := a.db.BeginTx(t.Context(), nil)
		a.must(err)
		a.must(tx.ExecContext(t.Context(), tt.query))
		a.must(hooks.Record(t.Context(), tx, hooks.Event{Action: "order.placed"}))
		spy.take()
		if err := tx.Commit(); (err != nil) != (tt.tag == "refused") {
			t.Errorf("%s: Commit says %v", tt.query, err)
		}
		got := slices.DeleteFunc(spy.take(), func(s string) bool { return !strings.Contains(s, "SAVEPOINT") && !dbtest.IsCommit(s) })
		if len(got) != 1 || !strings.HasPrefix(got[0], "SAVEPOINT ") || !strings.Contains(got[0], ".write(") || !strings.HasSuffix(got[0], "; COMMIT -> "+tt.tag) {
			t.Errorf("%s: traced %q", tt.query, got)
		}
	}
}

// TestCommitterOfOthers: only a connection of pgx's stdlib has one.
func TestCommitterOfOthers(t *testing.T) {
	if pgxdriver.Committer(nil) != nil {
		t.Error("no connection has a Committer")
	}
	base, err := sqltest.NewFake().Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if pgxdriver.Committer(base) != nil {
		t.Error("another driver's connection has a Committer")
	}
}
