package contract_test

import (
	"context"
	"slices"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestInMemory: without a journal there are no rows to decide, so each
// transaction is proven before its COMMIT. check plays all rows that way; this is
// about functions, and about what was taken over before the end.
func TestInMemory(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script script
		want   []string // of the functions, in the order of the steps
		events string
		only   []dbtest.Engine
	}{
		{"raw COMMIT", "BEGIN | +1 | !a | *f | COMMIT", []string{"f committed"}, "a", nil},
		{"raw END of a failed transaction", "BEGIN | +1 | !a | *f | +1 | END", []string{"f rolled back"}, "", pg},
		{"a function alone", "BEGIN | +1 | *f | +1 | COMMIT", []string{"f rolled back"}, "", pg},
		{"raw ROLLBACK, Commit", "Begin | +1 | !a | *f | ROLLBACK | Commit", []string{"f rolled back"}, "", nil},
		{"flushed before a string, COMMIT", "BEGIN | +1 | !a | *f | SELECT 1; SAVEPOINT s | COMMIT", []string{"f committed"}, "a", nil},
		{"the outermost savepoint in doubt", "SAVEPOINT s | +1 | *f | SAVEPOINT s; INSERT INTO things (id) VALUES (1) | RELEASE s | RELEASE s", []string{"f committed"}, "", lite},
		{"the outermost savepoint in doubt, rolled back", "SAVEPOINT s | +1 | *f | SAVEPOINT s; INSERT INTO things (id) VALUES (1) | RELEASE s | ROLLBACK", []string{"f rolled back"}, "", lite},
		{"flushed before a string, failed", "BEGIN | +1 | !a | *f | SELECT 1; SAVEPOINT s | +1 | COMMIT", []string{"f rolled back"}, "", pg},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forEach(t, func(t *testing.T, e dbtest.Engine) {
				w := newWorld(t, e, setup{forward: forward.Options{NoJournal: true}})
				conn := w.conn()
				r := &runner{e: e, conn: conn, way: byExec, other: w.bare}
				var got []string
				say := func(what string) func(context.Context) {
					return func(context.Context) { got = append(got, what) }
				}
				for _, step := range tt.script.steps() {
					if name, ok := cutFunction(step); ok {
						w.must(hooks.OnCommit(ctx(), r.handle(), say(name+" committed")))
						w.must(hooks.OnRollback(ctx(), r.handle(), say(name+" rolled back")))
						continue
					}
					_ = r.step(step) // some are to fail
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("called: %q, want %q", got, tt.want)
				}
				if names := w.sink.names(); names != tt.events {
					t.Errorf("forwarded: [%s], want [%s]", names, tt.events)
				}
			}, tt.only...)
		})
	}
}

func cutFunction(step string) (name string, ok bool) {
	if step[0] != '*' {
		return "", false
	}
	return step[1:], true
}
