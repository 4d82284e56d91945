package contract_test

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// modes runs f in a world of each engine, strict and best effort.
func modes(t *testing.T, f func(w *world, mode hooks.Mode), opts ...driver.Option) {
	t.Helper()
	for _, mode := range []hooks.Mode{hooks.Strict, hooks.BestEffort} {
		t.Run(mode.String(), func(t *testing.T) {
			forEach(t, func(t *testing.T, e dbtest.Engine) {
				f(newWorld(t, e, setup{driver: append([]driver.Option{driver.WithMode(mode)}, opts...)}), mode)
			})
		})
	}
}

// wantNative asks for an error that is the base driver's own.
func (w *world) wantNative(err error) {
	w.Helper()
	if name := typeOf(err); !strings.HasPrefix(name, "*pq.") && !strings.HasPrefix(name, "*pgconn.") && !strings.HasPrefix(name, "*sqlite.") {
		w.Errorf("error %s, want the driver's own", kind(err))
	}
	if errors.Is(err, sqldriver.ErrBadConn) {
		w.Error("the error matches ErrBadConn: database/sql would run the statement again")
	}
}

// TestJournalFails: strict, the app's transaction does not commit, and the
// driver's own error says why. Best effort, it does, and the loss is told.
func TestJournalFails(t *testing.T) {
	for _, how := range []script{
		"Begin | +1 | !a | Commit",
		"BEGIN | +1 | !a | COMMIT",
		"Begin | +1 | SAVEPOINT s | !a | RELEASE s | Commit",
		"BEGIN | +1 | !a | SELECT 1; COMMIT",
	} {
		t.Run(string(how), func(t *testing.T) {
			modes(t, func(w *world, mode hooks.Mode) {
				w.breakJournal()
				conn := w.conn()
				r := &runner{e: w.e, conn: conn, way: byExec, other: w.bare}
				var err error
				for _, step := range how.steps() {
					w.must(err)
					err = r.step(step)
				}
				if mode == hooks.Strict {
					w.wantNative(err)
					_, _ = conn.ExecContext(ctx(), "ROLLBACK") // where the app's string did not run
				} else {
					w.must(err)
					w.wantNotice(hooks.NoticeLost)
				}
				w.must(conn.Close())
				w.mendJournal()
				w.goesOn()
				if mode == hooks.Strict {
					w.want("2", "b", "b")
				} else {
					w.want("1 2", "b", "b")
				}
			})
		})
	}
}

// TestJournalFailsInAutocommit: the captured statement and its event are one.
func TestJournalFailsInAutocommit(t *testing.T) {
	modes(t, func(w *world, mode hooks.Mode) {
		w.breakJournal()
		_, err := w.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (1)")
		rows := ""
		if mode == hooks.Strict {
			w.wantNative(err)
		} else {
			w.must(err)
			w.wantNotice(hooks.NoticeLost)
			rows = "1"
		}
		w.mendJournal()
		w.want(rows, "", "")
	})
}

// TestJournalFailsForLateEvents: the app's transaction wrote nothing and has
// committed; strict says that its events are not there.
func TestJournalFailsForLateEvents(t *testing.T) {
	modes(t, func(w *world, mode hooks.Mode) {
		w.breakJournal()
		tx := w.begin()
		w.record(tx, "a")
		err := tx.Commit()
		if mode == hooks.Strict && err == nil {
			w.Error("Commit says nil, though its event could not be written")
		}
		if mode == hooks.BestEffort {
			w.must(err)
			w.wantNotice(hooks.NoticeLost)
		}
		w.mendJournal()
		w.goesOn()
		w.want("2", "b", "b")
	})
}

// TestJournalFailsUnderSavepoints: in best effort the failed write takes nothing
// of the app's with it.
func TestJournalFailsUnderSavepoints(t *testing.T) {
	modes(t, func(w *world, mode hooks.Mode) {
		if mode == hooks.Strict {
			w.Skip("covered by TestJournalFails")
		}
		w.breakJournal()
		conn := w.conn()
		r := &runner{e: w.e, conn: conn, way: byExec, other: w.bare}
		for _, step := range script("Begin | +1 | !a | SAVEPOINT s | +2 | !b | SELECT 1; SAVEPOINT t | +3 | ROLLBACK TO t | +4 | RELEASE s | Commit").steps() {
			w.must(r.step(step))
		}
		w.mendJournal()
		w.want("1 2 4", "", "")
		w.wantNotice(hooks.NoticeLost)
	})
}

// TestJournalFailsBeforeRaw: Raw has no way to say so, so the COMMIT does.
func TestJournalFailsBeforeRaw(t *testing.T) {
	modes(t, func(w *world, mode hooks.Mode) {
		w.breakJournal()
		conn := w.conn()
		tx, err := conn.BeginTx(ctx(), nil)
		w.must(err)
		w.insert(tx, 1)
		w.record(tx, "a")
		w.must(conn.Raw(func(dc any) error { driver.Raw(dc); return nil }))
		err = tx.Commit()
		rows := ""
		if mode == hooks.Strict {
			w.wantNative(err)
		} else {
			w.must(err)
			w.wantNotice(hooks.NoticeLost)
			rows = "1"
		}
		w.must(conn.Close())
		w.mendJournal()
		w.want(rows, "", "")
	})
}

// TestJournalLocked: somebody holds a lock on the journal's table.
func TestJournalLocked(t *testing.T) {
	modes(t, func(w *world, mode hooks.Mode) {
		if w.e.Dialect != hooks.Postgres {
			w.Skip("SQLite has one lock for all")
		}
		w.must(w.db.PingContext(ctx()))
		lock, err := w.bare.BeginTx(ctx(), nil)
		w.must(err)
		w.must(lock.ExecContext(ctx(), "LOCK TABLE aftercommit.journal IN ACCESS EXCLUSIVE MODE"))
		tx := w.begin()
		w.insert(tx, 1)
		w.record(tx, "a")
		w.within("Commit", func() { err = tx.Commit() })
		w.must(lock.Rollback())
		if mode == hooks.Strict {
			w.wantState(err, "55P03")
			w.want("", "", "")
		} else {
			w.must(err)
			w.want("1", "", "")
			w.wantNotice(hooks.NoticeLost)
		}
		w.goesOn()
	}, driver.WriteTimeout(50*time.Millisecond))
}

// TestOff: the base driver, as if nothing was there.
func TestOff(t *testing.T) {
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, setup{driver: []driver.Option{driver.WithMode(hooks.Off)}})
		w.must(w.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (1)"))
		tx := w.begin()
		w.insert(tx, 2)
		w.record(tx, "a")
		w.must(tx.Commit())
		if got := w.rows(); got != "1 2" {
			w.Errorf("rows [%s], want [1 2]", got)
		}
		if got := w.sink.names(); got != "" {
			w.Errorf("forwarded [%s], want none", got)
		}
		if _, err := w.bare.ExecContext(ctx(), "SELECT 1 FROM "+w.journalTable()); err == nil {
			w.Error("there is a journal's table")
		}
	})
}

// TestModeAtRunTime: the change is an event itself, and holds for transactions
// that begin after it.
func TestModeAtRunTime(t *testing.T) {
	each(t, func(w *world) {
		open := w.open(ctx())
		if w.e.Dialect == hooks.SQLite { // one writer at a time
			w.must(open.Commit())
		}
		w.must(driver.SetMode(ctx(), w.name, hooks.Off))
		if w.e.Dialect != hooks.SQLite {
			w.must(open.Commit())
		}
		tx := w.begin()
		w.insert(tx, 2)
		w.record(tx, "b")
		w.must(tx.Commit())
		w.must(driver.SetMode(ctx(), w.name, hooks.Strict))
		tx = w.begin()
		w.insert(tx, 3)
		w.record(tx, "c")
		w.must(tx.Commit())
		var names []string
		for _, e := range w.sink.got() {
			if e.Action == "aftercommit.mode_changed" {
				names = append(names, e.Action)
			} else {
				names = append(names, nameOf(e.Event))
			}
		}
		got := strings.Join(names, " ")
		const a, changed = "a ", "aftercommit.mode_changed "
		if got != a+changed+changed+"c" && got != changed+a+changed+"c" {
			w.Errorf("forwarded [%s], want a and c and the two changes", got)
		}
		if n := len(w.told.of(hooks.NoticeMode)); n != 2 {
			w.Errorf("%d notices of the mode, want 2", n)
		}
	})
}

// TestRefusedAtRecord: what no store can hold is refused at once, and the
// transaction goes on.
func TestRefusedAtRecord(t *testing.T) {
	each(t, func(w *world) {
		tx := w.begin()
		w.insert(tx, 1)
		bad := named("a")
		bad.Metadata = map[string]any{"password": "x"}
		var invalid *hooks.InvalidError
		if err := hooks.Record(ctx(), tx, bad); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "password") {
			w.Errorf("error %v, want one that names the key", err)
		}
		w.record(tx, "b")
		w.must(tx.Commit())
		w.want("1", "b", "b")
	})
}

// TestLimits: what a transaction may hold is bounded, and Record says so.
func TestLimits(t *testing.T) {
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, setup{driver: []driver.Option{driver.Limits(2, 1<<20)}})
		tx := w.begin()
		w.insert(tx, 1)
		w.record(tx, "a")
		w.record(tx, "b")
		if err := hooks.Record(ctx(), tx, named("c")); err == nil {
			w.Error("Record beyond the limit says nil")
		}
		w.must(tx.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (2)"))
		w.must(tx.Commit())
		w.want("1 2", "a b", "a b")
		w.wantNotice(hooks.NoticeUncaptured)
	})
}

// TestSuppressedRow: a trigger of the operator's may suppress the journal's rows without an
// error. That counts as a write that has failed, and is reported, however the events are written.
func TestSuppressedRow(t *testing.T) {
	for name, do := range map[string]func(w *world) error{
		"written": func(w *world) error {
			tx := w.begin()
			w.insert(tx, 1)
			w.record(tx, "a")
			return tx.Commit()
		},
		"written, captured": func(w *world) error {
			tx := w.begin()
			w.must(tx.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (1)"))
			return tx.Commit()
		},
		"written, in two parts": func(w *world) error {
			tx := w.begin()
			w.insert(tx, 1)
			for range hooks.MaxFlush + 1 {
				w.record(tx, "a")
			}
			return tx.Commit()
		},
		"by a raw COMMIT": func(w *world) error {
			conn := w.conn()
			w.must(conn.ExecContext(ctx(), "BEGIN"))
			w.insert(conn, 1)
			w.record(conn, "a")
			_, err := conn.ExecContext(ctx(), "COMMIT")
			return err
		},
		"only read": func(w *world) error {
			tx := w.begin()
			w.record(tx, "a")
			return tx.Commit()
		},
		"autocommit": func(w *world) error {
			_, err := w.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (1)")
			return err
		},
		"recorded alone": func(w *world) error { return hooks.Record(ctx(), w.db, named("a")) },
	} {
		for _, kept := range []bool{true, false} { // as the Hub has it with and without sync sinks
			t.Run(fmt.Sprintf("%s, kept %t", name, kept), func(t *testing.T) { suppressedRow(t, do, kept) })
		}
	}
}

func suppressedRow(t *testing.T, do func(w *world) error, kept bool) {
	t.Helper()
	for _, mode := range []hooks.Mode{hooks.Strict, hooks.BestEffort} {
		t.Run(mode.String(), func(t *testing.T) {
			forEach(t, func(t *testing.T, e dbtest.Engine) {
				s := setup{driver: []driver.Option{driver.WithMode(mode)}}
				if !kept {
					s.hook = func(h hooks.Hook) hooks.Hook { return unkept{h} }
				}
				w := newWorld(t, e, s)
				w.suppressJournal()
				err := do(w)
				if mode == hooks.Strict {
					if err == nil {
						w.Error("no error, although no event is written")
					}
					w.want("", "", "")
				} else {
					w.must(err)
					w.wantNotice(hooks.NoticeLost)
				}
				w.wantNotice(hooks.NoticeFailed)
			}, dbtest.PostgresCommitEngines()...)
		})
	}
}

// unkept has the handler keep nothing of what the database answers.
type unkept struct{ hooks.Hook }

type unkeptHandler struct{ hooks.Handler }

func (u unkept) Open(db hooks.Database) (hooks.Handler, error) {
	h, err := u.Hook.Open(db)
	return unkeptHandler{h}, err
}

func (u unkeptHandler) Flush(ctx context.Context, f hooks.Flush) (bool, error) {
	f.Keep = nil
	return u.Handler.Flush(ctx, f)
}

// suppressJournal has the journal leave out all rows.
func (w *world) suppressJournal() {
	w.Helper()
	w.makeJournal()
	w.must(w.bare.ExecContext(ctx(), "CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"))
	w.must(w.bare.ExecContext(ctx(), "CREATE TRIGGER suppressed BEFORE INSERT ON aftercommit.journal FOR EACH ROW EXECUTE FUNCTION suppress()"))
}
