package chance_test

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// Steps of a random script: note records an event with its row, book writes a
// captured row; Begin, Commit and Rollback are database/sql's; the rest is SQL.
const (
	note     = "note"
	book     = "book"
	begin    = "Begin"
	commit   = "Commit"
	rollback = "Rollback"
)

// common are steps for each database.
var common = []string{
	note, note, note, book, book, begin, commit, rollback,
	"BEGIN", "COMMIT", "END", "ROLLBACK",
	"SAVEPOINT a", "SAVEPOINT b", "RELEASE a", "RELEASE SAVEPOINT b", "ROLLBACK TO a", "ROLLBACK TO SAVEPOINT b",
	"SELECT 1", "SELECT nothing FROM nowhere", "INSERT INTO notes (id) VALUES ('0')",
	"INSERT INTO others (id) VALUES ('x')",
}

// words are what a string of several statements is made of.
var words = []string{
	"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "SAVEPOINT b", "RELEASE a", "ROLLBACK TO a", "ROLLBACK TO b",
	"SELECT 1", "INSERT INTO others (id) VALUES ('y')", "SELECT nothing FROM nowhere",
}

// own are steps for one database only.
var own = map[hooks.Dialect][]string{
	hooks.Postgres: {
		"START TRANSACTION", "ABORT", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "DO 'BEGIN COMMIT; END'", "DO 'BEGIN ROLLBACK; END'", "DO 'BEGIN INSERT INTO others (id) VALUES (1); END'",
		"BEGIN READ ONLY", "SET TRANSACTION READ ONLY", "START TRANSACTION READ ONLY",
		"BEGIN ISOLATION LEVEL SERIALIZABLE", "DEALLOCATE ALL",
	},
	hooks.SQLite: {
		"BEGIN IMMEDIATE", "INSERT OR ROLLBACK INTO notes (id) VALUES ('0')", "INSERT OR FAIL INTO others (id) VALUES ('z')",
		"ROLLBACK TRANSACTION TO a",
	},
}

// script draws a random script.
func script(e dbtest.Engine) *rapid.Generator[[]string] {
	return rapid.SliceOfN(step(e), 1, 14)
}

// step draws a single statement, or a string of several.
func step(e dbtest.Engine) *rapid.Generator[string] {
	single := rapid.SampledFrom(slices.Concat(common, own[e.Dialect]))
	several := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 2, 4).Draw(t, "words"), "; ")
	})
	return rapid.Custom(func(t *rapid.T) string {
		if rapid.IntRange(0, 5).Draw(t, "several") == 5 {
			return several.Draw(t, "several statements")
		}
		return single.Draw(t, "statement")
	})
}

var way = rapid.SampledFrom([]string{"Exec", "Query", "Prepare"})

// TestRandomStatements: whatever an app sends, in whatever order, there is an
// event if and only if there is the row that was written with it.
func TestRandomStatements(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, 0, nil)
		w.must(w.bare.ExecContext(ctx(), "INSERT INTO notes (id) VALUES ('0')"))
		var runs atomic.Int64
		steps := script(e)
		rapid.Check(t, func(rt *rapid.T) {
			prefix := fmt.Sprintf("k%d-", runs.Add(1))
			here := &world{reporter: rt, e: e, db: w.db, bare: w.bare, hub: w.hub, sink: w.sink, told: w.told}
			here.play(prefix, steps.Draw(rt, "script"), way.Draw(rt, "way"))
			here.settle()
			here.judge(prefix)
		})
	}, dbtest.CommitEngines()...)
}

// actor runs a script.
type actor struct {
	*world
	prefix string
	way    string
	made   int
	conn   *sql.Conn
	tx     *sql.Tx
}

// play runs a script on a connection of its own.
func (w *world) play(prefix string, steps []string, way string) {
	w.Helper()
	conn, err := w.db.Conn(ctx())
	w.must(err)
	a := &actor{world: w, prefix: prefix, way: way, conn: conn}
	for _, step := range steps {
		a.step(step)
	}
	if a.tx != nil {
		_ = a.tx.Rollback()
	}
	_, _ = conn.ExecContext(ctx(), "ROLLBACK")
	// The next script gets a connection that knows nothing of this one.
	_ = conn.Raw(func(any) error { return sqldriver.ErrBadConn })
	_ = conn.Close()
}

func (a *actor) session() session {
	if a.tx != nil {
		return a.tx
	}
	return a.conn
}

// step does what it can; errors are part of the game.
func (a *actor) step(step string) {
	a.Helper()
	switch step {
	case note:
		a.note()
	case book:
		a.made++
		query := a.e.Rebind("INSERT INTO books (id, title) VALUES (?, 'x')")
		if a.way == "Query" {
			_ = a.session().QueryRowContext(ctx(), query+" RETURNING id", a.key()).Scan(new(string))
			return
		}
		_, _ = a.session().ExecContext(ctx(), query, a.key())
	case begin:
		if a.tx == nil {
			if tx, err := a.conn.BeginTx(ctx(), nil); err == nil {
				a.tx = tx
			}
		}
	case commit:
		if a.tx != nil {
			_ = a.tx.Commit()
			a.tx = nil
		}
	case rollback:
		if a.tx != nil {
			_ = a.tx.Rollback()
			a.tx = nil
		}
	default:
		a.sql(step)
	}
}

func (a *actor) key() string { return a.prefix + fmt.Sprint(a.made) }

// note records an event if its row can be written.
func (a *actor) note() {
	a.Helper()
	a.made++
	if _, err := a.session().ExecContext(ctx(), a.e.Rebind("INSERT INTO notes (id) VALUES (?)"), a.key()); err != nil {
		return
	}
	err := hooks.Record(ctx(), a.session(), hooks.Event{Action: "note.added", Target: hooks.Target{Type: "note", ID: a.key()}})
	if err != nil {
		a.Errorf("the row %s was written, its event refused: %v", a.key(), err)
	}
}

func (a *actor) sql(query string) {
	switch a.way {
	case "Query":
		rows, err := a.session().QueryContext(ctx(), query)
		if err != nil {
			return
		}
		for rows.Next() {
			continue
		}
		_ = rows.Err() // part of the game
		_ = rows.Close()
	case "Prepare":
		stmt, err := a.session().PrepareContext(ctx(), query)
		if err != nil {
			return
		}
		_, _ = stmt.ExecContext(ctx())
		_ = stmt.Close()
	default:
		_, _ = a.session().ExecContext(ctx(), query)
	}
}
