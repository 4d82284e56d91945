package contract_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// halfway makes what fails halfway: on SQLite visits takes no 13, and stops there.
var halfway = []string{
	"CREATE TRIGGER thirteen BEFORE INSERT ON visits WHEN NEW.id = 13 BEGIN SELECT RAISE(FAIL, 'thirteen'); END",
	"CREATE TRIGGER fourteen BEFORE INSERT ON visits WHEN NEW.id = 14 BEGIN SELECT RAISE(ROLLBACK, 'fourteen'); END",
}

// TestScripts: SQLite executes and commits the statements of a string one after
// the other, and stops at the first that fails. What it has done stays, each with
// its event, and the app gets the same error.
func TestScripts(t *testing.T) {
	const ins, vis = "orders.inserted", "visits.inserted"
	rows := []row{
		kept("two", "INSERT INTO orders (id) VALUES (1); INSERT INTO visits (id) VALUES (2)", "1 2", ins+" "+vis, lite...),
		kept("the second fails", "@1 | INSERT INTO orders (id) VALUES (2); INSERT INTO orders (id) VALUES (1); INSERT INTO orders (id) VALUES (3)", "1 2", ins+" "+ins, lite...),
		kept("the first fails", "@1 | INSERT INTO orders (id) VALUES (1); INSERT INTO orders (id) VALUES (2)", "1", ins, lite...),
		kept("a syntax error behind", "INSERT INTO orders (id) VALUES (1); nonsense", "1", ins, lite...),
		kept("with a read and a pragma", "PRAGMA foreign_keys = on; INSERT INTO orders (id) VALUES (1); SELECT 1;", "1", ins, lite...),
		kept("not captured among them", "INSERT INTO things (id) VALUES (1); INSERT INTO orders (id) VALUES (2)", "1 2", ins, lite...),
		kept("inside, the second fails", "Begin | @1 | INSERT INTO visits (id) VALUES (2); INSERT INTO orders (id) VALUES (1) | Commit", "1 2", ins+" "+vis, lite...),
		kept("or fail", "INSERT OR FAIL INTO orders (id) VALUES (1), (2), (1), (3)", "1 2", ins, lite...),
		kept("or fail, at once", "@1 | INSERT OR FAIL INTO orders (id) VALUES (1), (2)", "1", ins, lite...),
		kept("or fail, inside", "Begin | !a | INSERT OR FAIL INTO orders (id) VALUES (1), (2), (1) | Commit", "1 2", "a "+ins, lite...),
		kept("or fail, inside, at once", "Begin | @1 | @2 | INSERT OR FAIL INTO visits (id) VALUES (13) | Commit", "1 2", ins+" "+ins, lite...),
		kept("or fail, inside, rolled back", "Begin | INSERT OR FAIL INTO orders (id) VALUES (1), (1) | Rollback", "", "", lite...),
		kept("raise", "INSERT INTO visits (id) VALUES (1), (13), (2)", "1", vis, lite...),
		kept("raise, inside", "BEGIN | INSERT INTO visits (id) VALUES (1), (13), (2) | COMMIT", "1", vis, lite...),
		kept("raise, in a string", "INSERT INTO orders (id) VALUES (5); INSERT INTO visits (id) VALUES (1), (13); INSERT INTO orders (id) VALUES (6)", "1 5", ins+" "+vis, lite...),
		kept("roll back, in a string", "INSERT INTO orders (id) VALUES (5); INSERT INTO visits (id) VALUES (1), (14); INSERT INTO orders (id) VALUES (6)", "5", ins, lite...),
		kept("abort", "@1 | INSERT INTO orders (id) VALUES (2), (1)", "1", ins, lite...),
		kept("abort, inside", "Begin | @1 | INSERT INTO orders (id) VALUES (2), (1) | Commit", "1", ins, lite...),
		kept("a misspelt one, inside", "Begin | @1 | INSERT INTO orders (nothing) VALUES (2) | Commit", "1", ins, lite...),
	}
	each(t, func(w *world) {
		twin := newTwin(t, w.e)
		for _, query := range halfway {
			w.must(w.bare.ExecContext(ctx(), query))
			w.must(twin.bare.ExecContext(ctx(), query))
		}
		for _, r := range rows {
			ways := []way{byExec, byQuery, byPrepare}
			if strings.Contains(string(r.script), ";") {
				ways = ways[:1] // the others cannot be cut
			}
			w.play(twin, ways, []row{r})
		}
	}, lite...)
}

// TestScriptWithArguments: a string that cannot be cut is executed whole. Where it
// fails halfway, its events say that they may not have happened.
func TestScriptWithArguments(t *testing.T) {
	each(t, func(w *world) {
		_, err := w.db.ExecContext(ctx(), "INSERT INTO visits (id) VALUES (?); INSERT INTO orders (nothing) VALUES (1)", 1)
		if err == nil {
			w.Fatal("no error")
		}
		w.want("1", "visits.inserted orders.inserted", "visits.inserted orders.inserted")
		for _, e := range w.sink.got() {
			if e.Metadata["conditional"] != true {
				w.Errorf("%s has %v, and is not conditional", e.Action, e.Metadata)
			}
		}
	}, lite...)
}

// TestRefusedBeforeItRuns: what cannot share a transaction with its events is
// refused before it is executed, where strict mode would refuse the events.
func TestRefusedBeforeItRuns(t *testing.T) {
	statements := map[hooks.Dialect][]string{
		hooks.SQLite: {
			"INSERT INTO orders (id) VALUES (1); UPDATE orders SET note = 'x'",
			"INSERT INTO orders (id) VALUES (?); UPDATE orders SET note = 'x'",
		},
		hooks.Postgres: {
			"INSERT INTO orders (id) VALUES (1); DO 'BEGIN END'",
			"CREATE INDEX CONCURRENTLY orders_note ON orders (note)",
		},
	}
	check := func(w *world, wantErr string, query string) {
		w.Helper()
		var args []any
		if strings.Contains(query, "?") {
			args = []any{1}
		}
		_, err := w.db.ExecContext(ctx(), query, args...)
		if err == nil || !strings.Contains(err.Error(), wantErr) {
			w.Errorf("%s: says %v", query, err)
		}
		if got := w.rows(); got != "" {
			w.Errorf("%s: rows [%s]", query, got)
		}
		if w.e.Dialect == hooks.Postgres {
			if got := w.list("SELECT indexname FROM pg_indexes WHERE indexname = 'orders_note'"); got != "" {
				w.Errorf("%s: the index is there", query)
			}
		}
	}
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, setup{driver: []driver.Option{driver.RequireActor()}})
		for _, query := range statements[e.Dialect] {
			check(w, "no actor", query)
		}
		broken := newWorld(t, e, setup{})
		broken.breakJournal()
		for _, query := range statements[e.Dialect] {
			check(broken, "", query)
		}
		broken.mendJournal()
		for _, query := range statements[e.Dialect][1:] {
			args := []any{}
			if strings.Contains(query, "?") {
				args = append(args, 1)
			}
			broken.must(broken.db.ExecContext(ctx(), query, args...))
		}
		if got := broken.journal(); got == "" {
			t.Error("the statement has no event")
		}
	})
}

// TestInvalidIndex: CREATE INDEX CONCURRENTLY that fails leaves an invalid index,
// which has an event; one that is refused has none.
func TestInvalidIndex(t *testing.T) {
	each(t, func(w *world) {
		w.must(w.bare.ExecContext(ctx(), "INSERT INTO orders (id, note) VALUES (1, 'x'), (2, 'x')"))
		if _, err := w.db.ExecContext(ctx(), "CREATE UNIQUE INDEX CONCURRENTLY orders_note ON orders (nothing)"); err == nil {
			w.Error("no error")
		}
		w.want("1 2", "", "")
		_, err := w.db.ExecContext(ctx(), "CREATE UNIQUE INDEX CONCURRENTLY orders_note ON orders (note)")
		w.wantNative(err)
		w.want("1 2", "schema.changed", "schema.changed")
		if e := w.sink.got()[0]; e.Metadata["conditional"] != true {
			w.Errorf("%v: it is not conditional", e.Metadata)
		}
	}, pg...)
}
