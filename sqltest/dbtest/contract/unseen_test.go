package contract_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"slices"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestSeveralStatements: a string that controls transactions among other things.
func TestSeveralStatements(t *testing.T) {
	check(t, []way{byExec},
		kept("rollback; begin", "Begin | +1 | !a | ROLLBACK; BEGIN | +2 | !b | Commit", "2", "b"),
		kept("rollback; begin, Rollback", "Begin | +1 | !a | ROLLBACK; BEGIN | +2 | !b | Rollback", "", ""),
		kept("commit; begin", "Begin | +1 | !a | COMMIT; BEGIN | +2 | !b | Commit", "1 2", "a b"),
		kept("commit; begin, Rollback", "Begin | +1 | !a | COMMIT; BEGIN | +2 | !b | Rollback", "1", "a"),
		kept("twice", "Begin | +1 | !a | COMMIT; BEGIN | +2 | !b | ROLLBACK; BEGIN | +3 | !c | Commit", "1 3", "a c"),
		kept("commit, and again in one string", "Begin | +1 | !a | COMMIT; BEGIN; INSERT INTO things (id) VALUES (2); ROLLBACK; BEGIN | +3 | !c | Commit", "1 3", "a c"),
		kept("write; commit", "BEGIN | +1 | !a | INSERT INTO things (id) VALUES (5); COMMIT | !b", "1 5", "a b"),
		kept("write; rollback", "BEGIN | +1 | !a | INSERT INTO things (id) VALUES (5); ROLLBACK | !b", "", "b"),
		kept("begin; write", "BEGIN; INSERT INTO things (id) VALUES (5) | !a | COMMIT", "5", "a"),
		kept("begin; write, rollback", "BEGIN; INSERT INTO things (id) VALUES (5) | !a | ROLLBACK", "", ""),
		kept("a whole transaction", "BEGIN; INSERT INTO things (id) VALUES (5); COMMIT | !a", "5", "a"),
		kept("a whole transaction taken back", "BEGIN; INSERT INTO things (id) VALUES (5); ROLLBACK | !a", "", "a"),
		kept("savepoint; write; rollback to", "Begin | +1 | !a | SAVEPOINT s; INSERT INTO things (id) VALUES (5); ROLLBACK TO s | +2 | !b | Commit", "1 2", "a b"),
		kept("savepoint; write, rollback to", "Begin | +1 | !a | SAVEPOINT s; INSERT INTO things (id) VALUES (5) | !b | ROLLBACK TO s | +2 | !c | Commit", "1 2", "a c"),
		kept("rollback to; savepoint", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | ROLLBACK TO s; SAVEPOINT s | +3 | !c | ROLLBACK TO s | Commit", "1", "a"),
		kept("a control word in a text is none", "Begin | +1 | !a | INSERT INTO things (id, note) VALUES (5, 'a; ROLLBACK; b') | Commit", "1 5", "a"),
		kept("a string of writes", "Begin | +1 | !a | INSERT INTO things (id) VALUES (5); INSERT INTO things (id) VALUES (6) | !b | Commit", "1 5 6", "a b"),
		// PostgreSQL runs nothing of a string behind the error; what an error in
		// the middle leaves is its own affair, and the events follow.
		kept("fails after the commit", "Begin | +1 | !a | COMMIT; INSERT INTO things (id) VALUES (1) | Rollback", "1", "a"),
		kept("fails before the commit", "Begin | +1 | !a | INSERT INTO things (id) VALUES (1); COMMIT | Rollback", "", ""),
		kept("fails before the rollback", "Begin | +1 | !a | INSERT INTO things (id) VALUES (1); ROLLBACK | Commit", "", "", pg...),
		kept("fails before the rollback", "Begin | +1 | !a | INSERT INTO things (id) VALUES (1); ROLLBACK | Commit", "1", "a", lite...),
		// Which transaction goes on after the error is told by a rollback to what
		// was set in it before: it takes rows back that were written early.
		kept("fails before the rollback, back to a savepoint", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | INSERT INTO things (id) VALUES (1); ROLLBACK; BEGIN | ROLLBACK TO s | +3 | !c | Commit", "1 3", "a c"),
		kept("fails before the commit, back to a savepoint", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | SELECT nothing FROM nowhere; COMMIT | ROLLBACK TO s | +3 | !c | Commit", "1 3", "a c"),
		kept("fails behind a savepoint, back to another", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | SAVEPOINT t; INSERT INTO things (id) VALUES (1); ROLLBACK; BEGIN | ROLLBACK TO s | +3 | !c | Commit", "1 3", "a c"),
		kept("fails behind a rollback to, back again", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | ROLLBACK TO s; INSERT INTO things (id) VALUES (1); ROLLBACK; BEGIN | ROLLBACK TO s | +3 | !c | Commit", "1 3", "a c"),
		kept("fails behind a release, back to one of the same name", "Begin | +1 | !a | SAVEPOINT t | +2 | !b | SAVEPOINT s | SAVEPOINT t | RELEASE s; INSERT INTO things (id) VALUES (1) | ROLLBACK TO t | +3 | !c | Commit", "1 3", "a c"),
		kept("fails twice, back to a savepoint", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | INSERT INTO things (id) VALUES (1); ROLLBACK; BEGIN | INSERT INTO things (id) VALUES (1); ROLLBACK; BEGIN | ROLLBACK TO s | +3 | !c | Commit", "1 3", "a c"),
		kept("fails, then rolled back", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | INSERT INTO things (id) VALUES (1); COMMIT | Rollback", "", ""),
		kept("begins anew and fails, back to its savepoint", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | COMMIT; BEGIN; SAVEPOINT u; INSERT INTO things (id) VALUES (1) | ROLLBACK TO u | +3 | !c | Commit", "1 2 3", "a b c"),
		kept("begins anew and fails, rolled back", "Begin | +1 | !a | COMMIT; BEGIN; SELECT nothing FROM nowhere | Rollback", "1", "a"),
		kept("takes back and fails; a savepoint set later proves nothing", "Begin | +1 | !a | ROLLBACK; BEGIN; SELECT nothing FROM nowhere | SAVEPOINT v | ROLLBACK TO v | +3 | !c | Commit", "3", "c", lite...),
		kept("takes back and fails, back to its savepoint", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | ROLLBACK; BEGIN; SAVEPOINT s; INSERT INTO lines (id, thing) VALUES ('x', 1) | ROLLBACK TO s | +3 | !c | Commit", "3", "c", pg...),
		kept("does not parse", "Begin | +1 | !a | COMMIT; NONSENSE | Rollback", "", "", pg...),
	)
}

// TestEarlyFlushTakenBack: what made the events be written early comes after a
// savepoint; the rollback to it takes the written rows back, and those of them
// that were recorded before the savepoint must be written again.
func TestEarlyFlushTakenBack(t *testing.T) {
	check(t, []way{byExec},
		kept("once", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | SELECT 1; SAVEPOINT t | ROLLBACK TO s | +3 | !c | Commit", "1 3", "a c"),
		kept("twice", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | SELECT 1; SAVEPOINT t | ROLLBACK TO s | SELECT 1; SAVEPOINT u | +3 | !c | ROLLBACK TO s | +4 | !d | Commit", "1 4", "a d"),
		kept("released, outer taken back", "Begin | +1 | !a | SAVEPOINT o | +2 | !b | SAVEPOINT i | +3 | !c | SELECT 1; SAVEPOINT t | RELEASE i | ROLLBACK TO o | +4 | !d | Commit", "1 4", "a d"),
		kept("released, kept", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | SELECT 1; SAVEPOINT t | RELEASE s | +3 | !c | Commit", "1 2 3", "a b c"),
		kept("the whole taken back", "Begin | +1 | !a | SELECT 1; SAVEPOINT t | +2 | !b | Rollback", "", ""),
		kept("DO", "Begin | +1 | !a | SAVEPOINT s | +2 | !b | DO 'BEGIN INSERT INTO things (id) VALUES (9); END' | ROLLBACK TO s | +3 | !c | Commit", "1 3", "a c", pg...),
		kept("captured counts go on after an early flush", "Begin | @1 | SELECT 1; SAVEPOINT t | @2 | Commit", "1 2", "orders.inserted orders.inserted"),
	)
}

// TestStringNeverSent: the context ends when the events are written early and
// before the string is sent, so that the transaction goes on as it was. pgx says
// then that the connection is bad; lib/pq does send it.
func TestStringNeverSent(t *testing.T) {
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		cancel := func() {}
		w := newWorld(t, e, setup{hook: func(h hooks.Hook) hooks.Hook {
			return &between{Hook: h, after: func() { cancel() }}
		}})
		tx := w.begin()
		w.insert(tx, 1)
		w.record(tx, "a")
		w.must(tx.ExecContext(ctx(), "SAVEPOINT s"))
		w.insert(tx, 2)
		w.record(tx, "b")
		c, stop := context.WithCancel(ctx())
		cancel = stop
		if _, err := tx.ExecContext(c, "ROLLBACK; BEGIN"); err == nil {
			w.Fatal("a string whose context has ended was executed")
		}
		w.must(tx.ExecContext(ctx(), "ROLLBACK TO SAVEPOINT s"))
		w.insert(tx, 3)
		w.record(tx, "c")
		w.must(tx.Commit())
		w.want("1 3", "a c", "a c")
	}, dbtest.PGX, dbtest.SQLite)
}

// TestProcedures: DO and CALL may commit inside, when they run in no block.
func TestProcedures(t *testing.T) {
	rows := []row{
		kept("DO", "Begin | +1 | !a | DO 'BEGIN INSERT INTO things (id) VALUES (9); END' | !b | Commit", "1 9", "a b"),
		kept("DO, rolled back", "Begin | +1 | !a | DO 'BEGIN INSERT INTO things (id) VALUES (9); END' | !b | Rollback", "", ""),
		kept("DO that commits, in a block: refused", "Begin | +1 | !a | DO 'BEGIN COMMIT; END' | Commit", "", ""),
		kept("DO that commits", "DO 'BEGIN INSERT INTO things (id) VALUES (9); COMMIT; END' | !a", "9", "a"),
		kept("CALL that commits half", "CALL half() | !a", "9", "a"),
		kept("CALL that commits, in a block: refused", "Begin | +1 | !a | CALL half() | Commit", "", ""),
		kept("CALL that writes what is captured", "CALL quiet() | !a", "7", "a"),
	}
	each(t, func(w *world) {
		twin := newTwin(w.T, w.e)
		for _, db := range []*sql.DB{w.bare, twin.bare} {
			w.must(db.ExecContext(ctx(), `CREATE PROCEDURE half() LANGUAGE plpgsql AS $$ BEGIN
				INSERT INTO things (id) VALUES (9); COMMIT; INSERT INTO things (id) VALUES (8); ROLLBACK; END $$`))
			w.must(db.ExecContext(ctx(), `CREATE PROCEDURE quiet() LANGUAGE sql AS $$ INSERT INTO orders (id) VALUES (7) $$`))
		}
		w.play(twin, []way{byExec, byPrepare}, rows)
		w.reset(w.T)
		w.must(w.db.ExecContext(ctx(), "CALL quiet()"))
		w.wantNotice(hooks.NoticeUncaptured)
	}, pg...)
}

// TestConflictRollback: SQLite's ON CONFLICT ROLLBACK, and RAISE(ROLLBACK), end
// the transaction where nobody said ROLLBACK.
func TestConflictRollback(t *testing.T) {
	rows := []row{
		kept("INSERT OR ROLLBACK", "Begin | +1 | !a | INSERT OR ROLLBACK INTO things (id) VALUES (1) | Commit", "", ""),
		kept("INSERT OR ROLLBACK without a conflict", "Begin | +1 | !a | INSERT OR ROLLBACK INTO things (id) VALUES (2) | !b | Commit", "1 2", "a b"),
		kept("INSERT OR ROLLBACK, more work", "Begin | +1 | !a | INSERT OR ROLLBACK INTO things (id) VALUES (1) | +2 | !b | Commit", "2", "b"),
		kept("UPDATE OR ROLLBACK", "Begin | +1 | +2 | !a | UPDATE OR ROLLBACK things SET id = 1 | Rollback", "", ""),
		kept("in a raw transaction", "BEGIN | +1 | !a | INSERT OR ROLLBACK INTO things (id) VALUES (1) | COMMIT | !b", "", "b"),
		kept("captured", "Begin | @1 | INSERT OR ROLLBACK INTO orders (id) VALUES (1) | Commit", "", ""),
		kept("captured, no conflict", "Begin | @1 | INSERT OR ROLLBACK INTO orders (id) VALUES (2) | Commit", "1 2", "orders.inserted orders.inserted"),
		kept("captured, no transaction", "INSERT OR ROLLBACK INTO orders (id) VALUES (2)", "2", "orders.inserted"),
		kept("captured, no transaction, conflict", "@1 | INSERT OR ROLLBACK INTO orders (id) VALUES (1) | @2", "1 2", "orders.inserted orders.inserted"),
		// Here no statement shows it.
		kept("in the table's definition", "Begin | +1 | !a | INSERT INTO once (id) VALUES (1) | INSERT INTO once (id) VALUES (1) | Commit", "", ""),
		kept("in a trigger", "Begin | +1 | !a | INSERT INTO never (id) VALUES (1) | Commit", "", ""),
		kept("in a trigger, Rollback", "Begin | +1 | !a | INSERT INTO never (id) VALUES (1) | Rollback", "", ""),
		kept("in a trigger, the next one", "Begin | +1 | !a | INSERT INTO never (id) VALUES (1) | Commit | Begin | +2 | !b | Commit", "2", "b"),
	}
	each(t, func(w *world) {
		twin := newTwin(w.T, w.e)
		for _, db := range []*sql.DB{w.bare, twin.bare} {
			for _, query := range []string{
				"CREATE TABLE once (id integer UNIQUE ON CONFLICT ROLLBACK)",
				"CREATE TABLE never (id integer)",
				"CREATE TRIGGER no BEFORE INSERT ON never BEGIN SELECT RAISE(ROLLBACK, 'never'); END",
			} {
				w.must(db.ExecContext(ctx(), query))
			}
		}
		w.play(twin, []way{byExec, byQuery, byPrepare}, rows)
	}, dbtest.SQLite)
}

// rawExec executes on the base driver's connection, past the wrapper.
func rawExec(c *sql.Conn, query string) error {
	return c.Raw(func(dc any) error {
		_, err := driver.Raw(dc).(sqldriver.ExecerContext).ExecContext(ctx(), query, nil)
		return err
	})
}

// TestRaw: what is done past the wrapper is seen by what it leaves.
func TestRaw(t *testing.T) {
	for _, c := range []struct{ name, raw, rows, events string }{
		{"commits", "COMMIT", "1 2", "a b"},
		{"rolls back", "ROLLBACK", "2", "b"},
		{"writes", "INSERT INTO things (id) VALUES (5)", "1 2 5", "a b"},
		{"rolls back and begins", "ROLLBACK; BEGIN", "2", "b"},
		{"commits and begins", "COMMIT; BEGIN", "1 2", "a b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(w *world) {
				conn := w.conn()
				w.must(conn.ExecContext(ctx(), "BEGIN"))
				w.insert(conn, 1)
				w.record(conn, "a")
				w.must(rawExec(conn, c.raw))
				w.insert(conn, 2)
				w.record(conn, "b")
				_, _ = conn.ExecContext(ctx(), "COMMIT") // of none, after the first two
				w.want(c.rows, c.events, c.events)
			})
		})
	}
}

// TestRawGivesTheBaseConnection, and only to those who ask.
func TestRawGivesTheBaseConnection(t *testing.T) {
	each(t, func(w *world) {
		conn, bare := w.conn(), w.conn()
		plain, err := w.bare.Conn(ctx())
		w.must(err)
		defer plain.Close()
		var inside, base any
		w.must(conn.Raw(func(dc any) error { inside = driver.Raw(dc); return nil }))
		w.must(plain.Raw(func(dc any) error { base = driver.Raw(dc); return nil }))
		if got, want := typeOf(inside), typeOf(base); got != want {
			w.Errorf("Raw gives a %s, want the base driver's %s", got, want)
		}
		stop := errors.New("stop")
		if err := bare.Raw(func(any) error { return stop }); !errors.Is(err, stop) {
			w.Errorf("Raw returns %v, want its function's error", err)
		}
	})
}

// TestRawFailsUnderSavepoint: what Raw did is taken back with all that came after
// the savepoint; what was recorded before it was written after it, too.
func TestRawFailsUnderSavepoint(t *testing.T) {
	for _, raw := range []string{"SELECT nonsense", "INSERT INTO things (id) VALUES (5)", "SAVEPOINT t"} {
		t.Run(raw, func(t *testing.T) {
			each(t, func(w *world) {
				conn := w.conn()
				tx, err := conn.BeginTx(ctx(), nil)
				w.must(err)
				w.insert(tx, 1)
				w.record(tx, "a")
				w.must(tx.ExecContext(ctx(), "SAVEPOINT s"))
				w.insert(tx, 2)
				w.record(tx, "b")
				_ = rawExec(conn, raw)
				w.must(tx.ExecContext(ctx(), "ROLLBACK TO SAVEPOINT s"))
				w.insert(tx, 3)
				w.record(tx, "c")
				w.must(tx.Commit())
				w.must(w.hub.Settle(ctx()))
				w.want("1 3", "a c", "a c")
			})
		})
	}
}

// TestRawInsideTx is TestRaw with a Tx of database/sql around it.
func TestRawInsideTx(t *testing.T) {
	for _, c := range []struct{ name, raw, rows, events string }{
		{"commits", "COMMIT", "1", "a"},
		{"rolls back", "ROLLBACK", "", ""},
		{"writes", "INSERT INTO things (id) VALUES (5)", "1 5", "a"},
		{"fails", "SELECT nonsense", "", ""},
		{"savepoint", "SAVEPOINT s", "1", "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(w *world) {
				conn := w.conn()
				tx, err := conn.BeginTx(ctx(), nil)
				w.must(err)
				w.insert(tx, 1)
				w.record(tx, "a")
				_ = rawExec(conn, c.raw)
				err = tx.Commit()
				rows, events := c.rows, c.events
				if c.name == "fails" && w.e.Dialect == hooks.SQLite {
					rows, events = "1", "a" // a failed statement aborts nothing there
					w.must(err)
				}
				w.must(w.hub.Settle(ctx()))
				w.want(rows, events, events)
			})
		})
	}
}

// TestRawThenThePool: the app does something past the wrapper and gives the
// connection back. Who uses it next finds out.
func TestRawThenThePool(t *testing.T) {
	for _, c := range []struct{ name, raw, rows, events string }{
		{"commits", "COMMIT", "1", "a"},
		{"rolls back", "ROLLBACK", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(w *world) {
				w.db.SetMaxOpenConns(1)
				conn := w.conn()
				w.must(conn.ExecContext(ctx(), "BEGIN"))
				w.insert(conn, 1)
				w.record(conn, "a")
				w.must(rawExec(conn, c.raw))
				w.must(conn.Close())
				w.must(w.db.ExecContext(ctx(), "SELECT 1"))
				w.must(w.hub.Settle(ctx()))
				w.want(c.rows, c.events, c.events)
			})
		})
	}
}

// TestControlPreparedBefore: the statement that ends the transaction was
// prepared before it began.
func TestControlPreparedBefore(t *testing.T) {
	for _, c := range []struct{ end, rows, events string }{{"COMMIT", "1", "a"}, {"ROLLBACK", "", ""}} {
		t.Run(c.end, func(t *testing.T) {
			each(t, func(w *world) {
				conn := w.conn()
				end, err := conn.PrepareContext(ctx(), c.end)
				w.must(err)
				defer end.Close()
				w.must(conn.ExecContext(ctx(), "BEGIN"))
				w.insert(conn, 1)
				w.record(conn, "a")
				w.must(end.ExecContext(ctx()))
				w.want(c.rows, c.events, c.events)
			})
		})
	}
}

// TestEndedBehindItsBack: the transaction ends in a way that nothing shows. Its
// Commit must not write events that belong to nothing, and says what the base
// driver says of a COMMIT of nothing.
func TestEndedBehindItsBack(t *testing.T) {
	modes(t, func(w *world, _ hooks.Mode) {
		commit := func(db *sql.DB, id int, recorded bool) error {
			conn, err := db.Conn(ctx())
			w.must(err)
			defer func() { _ = conn.Close() }()
			var base sqldriver.ExecerContext
			w.must(conn.Raw(func(dc any) error { base = driver.Raw(dc).(sqldriver.ExecerContext); return nil }))
			tx, err := conn.BeginTx(ctx(), nil)
			w.must(err)
			w.insert(tx, id)
			if recorded {
				w.record(tx, "a")
			}
			_, err = base.ExecContext(ctx(), "ROLLBACK", nil) // without Raw, which would be noticed
			w.must(err)
			return tx.Commit()
		}
		if got, want := kind(commit(w.db, 1, true)), kind(commit(w.bare, 1, false)); got != want {
			w.Errorf("Commit says %s, and the base driver %s", got, want)
		}
		w.must(w.hub.Settle(ctx()))
		w.want("", "", "")
		w.goesOn()
	})
}

// TestWitnessIsOneStatement: pg_stat_statements keeps each statement without a plan, such as a
// SET, by its text: what follows a transaction must have the same text in each.
func TestWitnessIsOneStatement(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		w.makeJournal()
		set := p.Watch(has("SET LOCAL "))
		const transactions = 3
		for id := range transactions {
			tx := w.begin()
			w.insert(tx, id)
			w.record(tx, "a")
			w.must(tx.ExecContext(ctx(), "SAVEPOINT s; DO 'BEGIN END'; RELEASE s"))
			w.must(tx.Commit())
		}
		queries := set.Queries()
		if distinct := slices.Compact(slices.Clone(queries)); len(queries) != transactions || len(distinct) != 1 {
			w.Errorf("%d transactions were followed by %q", transactions, queries)
		}
		w.want("0 1 2", "a a a", "a a a")
	}, dbtest.PostgresCommitEngines()...)
}
