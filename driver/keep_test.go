package driver_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// TestKeep: what the handler keeps of a write comes back with its end, if nothing has come
// between the write and a COMMIT that is known to have taken effect.
func TestKeep(t *testing.T) {
	early := "SET LOCAL transaction_read_only = off" // before which events are written
	for _, tt := range []struct {
		name    string
		dialect hooks.Dialect
		steps   []string
		fault   *sqltest.Fault // of the COMMIT
		kept    string         // how many writes have ended, with a k for each of which something was kept
		initial string         // a t or f for each flush, a capital if it may keep something
	}{
		{name: "one write", steps: []string{"INSERT"}, kept: "k", initial: "T"},
		{name: "SQLite", dialect: hooks.SQLite, steps: []string{"INSERT"}, kept: "k", initial: "T"},
		{name: "an early one", steps: []string{"INSERT", early, "INSERT"}, kept: "-k", initial: "tF"},
		{name: "only an early one", steps: []string{"INSERT", early}, kept: "-", initial: "t"},
		{name: "an early one, taken back", steps: []string{"SAVEPOINT s", "INSERT", early, "ROLLBACK TO SAVEPOINT s", "INSERT"}, kept: "k", initial: "tF"},
		{name: "ended out of sight", steps: []string{"INSERT", aside, "INSERT"}, kept: "-k", initial: "tF"},
		{name: "unknown", steps: []string{"INSERT"}, fault: of(sqltest.LoseAs(errOdd)), kept: "-", initial: "T"},
		{name: "the next transaction", steps: []string{"INSERT", "COMMIT", "BEGIN", "INSERT"}, kept: "kk", initial: "TT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.dialect == "" {
				tt.dialect = hooks.Postgres
			}
			fake, s := sqltest.NewFakeOf(sqltest.Modern, tt.dialect), &spy{}
			var initial string
			s.flush = func(ctx context.Context, f hooks.Flush) (bool, error) {
				which := map[bool]string{true: "t", false: "f"}[f.Initial]
				_, err := f.Conn.ExecContext(ctx, "INSERT journal")
				if f.Keep != nil {
					f.Keep(f.Key)
					which = strings.ToUpper(which)
				}
				initial += which
				return true, err
			}
			fake.Answer("SELECT 1 WHERE pg_catalog.current_setting('aftercommit.witness'", sqltest.Affected(0)) // which is gone
			var ctx context.Context
			db := open(t, fake, s, adriver.WithDialect(tt.dialect), committing(reached, &ctx))
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			exec(t, conn, "BEGIN")
			for _, step := range tt.steps {
				switch step {
				case aside:
					endUnseen(t, conn)
				case "INSERT":
					exec(t, conn, "INSERT INTO orders VALUES (1)")
					record(t, conn, "order.placed")
				default:
					exec(t, conn, step)
				}
			}
			if tt.fault != nil {
				fake.On(sqltest.Call{Query: "COMMIT"}, *tt.fault)
			}
			if _, err := conn.ExecContext(t.Context(), "COMMIT"); (err != nil) != (tt.fault != nil) {
				t.Errorf("COMMIT says %v", err)
			}
			var kept []string
			for _, e := range s.ended {
				for _, w := range e.Writes {
					switch w.Kept {
					case nil:
						kept = append(kept, "-")
					case w.Key:
						kept = append(kept, "k")
					default:
						t.Errorf("a write has what was kept of another")
					}
				}
			}
			if got := strings.Join(kept, ""); got != tt.kept || initial != tt.initial {
				t.Errorf("kept %q, want %q; initial %q, want %q", got, tt.kept, initial, tt.initial)
			}
		})
	}
}

// TestKeepNeedsAnAnswer: where no row comes back in the write's round trip there is nothing to
// keep.
func TestKeepNeedsAnAnswer(t *testing.T) {
	var offered []bool
	s := &spy{flush: func(_ context.Context, f hooks.Flush) (bool, error) {
		offered = append(offered, f.Keep != nil)
		return true, nil
	}}
	commitOne(t, open(t, sqltest.NewFake(), s))
	var ctx context.Context
	commitOne(t, open(t, sqltest.NewFake(), s, committing(reached, &ctx)))
	if !slices.Equal(offered, []bool{false, true}) {
		t.Errorf("Keep was offered: %t", offered)
	}
}
