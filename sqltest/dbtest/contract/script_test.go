package contract_test

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// script is what an app does on one connection, steps separated by " | ":
//
//	+7                  insert the row 7 into things
//	@7                  insert the row 7 into orders, which is captured
//	!a                  record the event a
//	Begin               BeginTx
//	Commit, Rollback    of that Tx, unless it is done
//	^SQL                SQL on a bare connection of somebody else
//	anything else       SQL, as it stands
//
// Each step may fail: the same steps, without the events, run on the bare
// driver, and each must end in the same error, or none, in both.
type script string

func (s script) steps() []string { return strings.Split(string(s), " | ") }

// way is how a script's SQL gets to the driver.
type way string

const (
	byExec    way = "Exec"
	byQuery   way = "Query"
	byPrepare way = "Prepare"
)

// runner runs a script on a connection of its own.
type runner struct {
	e    dbtest.Engine
	conn *sql.Conn
	tx   *sql.Tx
	way  way
	// other is another way into the same database.
	other *sql.DB
	bare  bool // events are left out
}

// handle is what statements go through: the Tx, if there is one.
func (r *runner) handle() interface {
	hooks.Handle
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
} {
	if r.tx != nil {
		return r.tx
	}
	return r.conn
}

func (r *runner) step(s string) error {
	switch {
	case s == "Begin":
		tx, err := r.conn.BeginTx(ctx(), nil)
		r.tx = tx
		return err
	case s == "Commit":
		tx := r.tx
		r.tx = nil
		return tx.Commit()
	case s == "Rollback":
		tx := r.tx
		r.tx = nil
		return tx.Rollback()
	case s[0] == '+':
		_, err := r.handle().ExecContext(ctx(), r.e.Rebind("INSERT INTO things (id) VALUES (?)"), s[1:])
		return err
	case s[0] == '@':
		_, err := r.handle().ExecContext(ctx(), r.e.Rebind("INSERT INTO orders (id) VALUES (?)"), s[1:])
		return err
	case s[0] == '!':
		if r.bare {
			return nil
		}
		return hooks.Record(ctx(), r.handle(), named(s[1:]))
	case s[0] == '^':
		_, err := r.other.ExecContext(ctx(), s[1:])
		return err
	default:
		return r.sql(s)
	}
}

func (r *runner) sql(query string) error {
	switch r.way {
	case byQuery:
		rows, err := r.handle().QueryContext(ctx(), query)
		if err != nil {
			return err
		}
		for rows.Next() {
			continue // to the end, where some errors come
		}
		if err := rows.Err(); err != nil {
			_ = rows.Close()
			return err
		}
		return rows.Close()
	case byPrepare:
		stmt, err := r.handle().PrepareContext(ctx(), query)
		if err != nil {
			return err
		}
		if _, err := stmt.ExecContext(ctx()); err != nil {
			_ = stmt.Close()
			return err
		}
		return stmt.Close()
	default:
		_, err := r.handle().ExecContext(ctx(), query)
		return err
	}
}

// says runs s on a connection of the app and returns what each step said.
func (w *world) says(s script, by way) []string {
	w.Helper()
	conn, err := w.db.Conn(ctx())
	w.must(err)
	defer func() { _ = conn.Close() }() // a script may end with a broken one
	r := &runner{e: w.e, conn: conn, way: by, other: w.bare, bare: w.hub == nil}
	var said []string
	for _, step := range s.steps() {
		said = append(said, kind(r.step(step)))
	}
	if r.tx != nil {
		_ = r.tx.Rollback()
	}
	return said
}

// run plays s in w and in the bare twin, and asks for the same errors and the
// same rows of the app.
func (w *world) run(twin *world, s script, by way) {
	w.Helper()
	said := w.says(s, by)
	for i, bare := range twin.says(s, by) {
		if said[i] != bare {
			w.Errorf("step %q says\n%s\nand on the bare driver\n%s", s.steps()[i], said[i], bare)
		}
	}
	if got, want := w.rows(), twin.rows(); got != want {
		w.Errorf("rows of the app: [%s], and on the bare driver [%s]", got, want)
	}
}

// newTwin returns a world without an audit trail.
func newTwin(t *testing.T, e dbtest.Engine) *world {
	t.Helper()
	dsn := e.DSN(t)
	w := &world{
		T: t, e: e, db: dbtest.Open(t, e.Driver, dsn), bare: dbtest.Open(t, e.Driver, dsn),
		sink: &sink{}, told: &notices{},
	}
	for _, query := range tables {
		w.must(w.bare.ExecContext(ctx(), query))
	}
	return w
}

// reset empties w for the next script of t, and lets go of its connections.
func (w *world) reset(t *testing.T) {
	t.Helper()
	w.T = t
	// Letting go of the app's connections first ends what they have open.
	w.db.SetMaxIdleConns(0)
	w.db.SetMaxIdleConns(2)
	w.dropPrepared()
	for _, table := range []string{"lines", "visits", "orders", "things"} {
		w.must(w.bare.ExecContext(ctx(), "DELETE FROM "+table))
	}
	if w.hub != nil && !w.noJournal {
		w.must(w.db.PingContext(ctx())) // the journal's tables may not be there yet
		if w.hasJournal() {
			w.must(w.bare.ExecContext(ctx(), "DELETE FROM "+w.journalTable()))
		}
	}
	w.sink.forget()
	w.told.forget()
}

// dropPrepared ends what a script has prepared and left.
func (w *world) dropPrepared() {
	w.Helper()
	if w.e.Dialect != hooks.Postgres {
		return
	}
	for _, gid := range strings.Fields(w.list("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")) {
		w.must(w.bare.ExecContext(ctx(), "ROLLBACK PREPARED '"+gid+"'"))
	}
}

// row is a line of the contract.
type row struct {
	name      string
	script    script
	rows      string
	journal   string
	forwarded string
	// only are the engines that it applies to, all if none.
	only []dbtest.Engine
	// settle asks for what was left open at the end.
	settle bool
}

// settled is r with what it leaves open settled before it is judged.
func settled(r row) row {
	r.settle = true
	return r
}

// kept is a row of which the journal and the sink have the same.
func kept(name string, s script, rows, events string, only ...dbtest.Engine) row {
	return row{name: name, script: s, rows: rows, journal: events, forwarded: events, only: only}
}

func (r row) appliesTo(e dbtest.Engine) bool {
	return len(r.only) == 0 || slices.ContainsFunc(r.only, func(o dbtest.Engine) bool { return o.Name == e.Name })
}

// check plays each row on each engine in each way, and without a journal.
func check(t *testing.T, ways []way, rows ...row) {
	t.Helper()
	each(t, func(w *world) {
		w.play(newTwin(w.T, w.e), ways, rows)
		w.Run("no journal", func(t *testing.T) {
			newWorld(t, w.e, setup{forward: forward.Options{NoJournal: true}}).playInMemory(ways[0], rows)
		})
	})
}

// playInMemory checks that the rows forward nothing that was not committed, and
// everything that was where the driver can know how each transaction ended.
func (w *world) playInMemory(by way, rows []row) {
	w.Helper()
	outer := w.T
	defer func() { w.T = outer }()
	for _, r := range rows {
		if !r.appliesTo(w.e) {
			continue
		}
		outer.Run(r.name, func(t *testing.T) {
			w.reset(t)
			w.says(r.script, by)
			got := w.sink.names()
			if !subsequence(strings.Fields(got), strings.Fields(r.forwarded)) {
				t.Errorf("forwarded: [%s], of which some is not in [%s], what was committed", got, r.forwarded)
			}
			if got != r.forwarded && len(w.told.of(hooks.NoticeDiscarded)) == 0 {
				t.Errorf("forwarded: [%s], want [%s], and nothing was discarded", got, r.forwarded)
			}
		})
	}
}

// subsequence reports whether all of some occurs in all, in that order.
func subsequence(some, all []string) bool {
	for _, s := range all {
		if len(some) > 0 && some[0] == s {
			some = some[1:]
		}
	}
	return len(some) == 0
}

// play checks each row in each way, in w and its twin.
func (w *world) play(twin *world, ways []way, rows []row) {
	w.Helper()
	outer := w.T
	defer func() { w.T, twin.T = outer, outer }()
	for _, r := range rows {
		if !r.appliesTo(w.e) {
			continue
		}
		for _, by := range ways {
			outer.Run(r.name+"/"+string(by), func(t *testing.T) {
				w.reset(t)
				twin.reset(t)
				w.run(twin, r.script, by)
				if r.settle {
					w.must(w.hub.Settle(ctx()))
				}
				w.want(r.rows, r.journal, r.forwarded)
			})
		}
	}
}

// pg are the engines of rows that only PostgreSQL knows, lite those of SQLite.
var (
	pg   = dbtest.PostgresCommitEngines()
	lite = []dbtest.Engine{dbtest.SQLite}
)
