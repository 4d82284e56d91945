package sqlite_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestDeadlineAmongReaders: a captured statement ends with its context while its
// COMMIT waits for a reader, and has then had no effect.
func TestDeadlineAmongReaders(t *testing.T) {
	const insert = "INSERT INTO orders (note) VALUES ('x')"
	for name, act := range map[string]func(ctx context.Context, w *world, h hooks.Handle) error{
		"a statement": func(ctx context.Context, _ *world, h hooks.Handle) error {
			_, err := h.ExecContext(ctx, insert)
			return err
		},
		"a script": func(ctx context.Context, _ *world, h hooks.Handle) error {
			_, err := h.ExecContext(ctx, insert+";"+insert)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.must(w.bare.ExecContext(ctx, "PRAGMA journal_mode = DELETE"))
			w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)"))
			db := w.open("_pragma=busy_timeout(60000)")
			w.must(db.ExecContext(ctx, insert))
			reader, err := w.bare.BeginTx(ctx, nil)
			w.must(err)
			w.text(reader, "SELECT count(*) FROM orders")
			brief, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			began := time.Now()
			if err := act(brief, w, db); err == nil {
				t.Error("it has not waited for the reader")
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("it took %v", took)
			}
			w.must(reader.Rollback())
			if got := w.text(w.bare, "SELECT count(*) FROM orders"); got != "1" {
				t.Errorf("%s rows", got)
			}
			w.must(db.ExecContext(ctx, insert))
			w.wantTrail(w.bare, "orders.inserted orders.inserted")
		})
	}
}
