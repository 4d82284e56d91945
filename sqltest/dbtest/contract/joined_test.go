package contract_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// apart are the engines whose COMMIT of a Tx is a message of its own, also with events.
var apart = dbtest.PostgresEngines()

// throughProxyJoined is throughProxy for the engine whose COMMIT goes with the events.
func throughProxyJoined(t *testing.T, f func(w *world, p *dbtest.Proxy)) {
	t.Helper()
	throughProxy(t, f, dbtest.PGXDriver)
}

// isJoined matches a message that writes events and commits.
func isJoined(query string) bool { return has(".write(")(query) && dbtest.IsCommit(query) }

// TestJoinedCutWithinAnswer: the driver has heard that the events are written when the
// connection is lost. Only the COMMIT's answer would say what has become of them.
func TestJoinedCutWithinAnswer(t *testing.T) {
	throughProxyJoined(t, func(w *world, p *dbtest.Proxy) {
		tx := w.open(ctx())
		trap := p.Next(dbtest.CutWithinAnswer, isJoined)
		if err := tx.Commit(); err == nil {
			w.Error("Commit says nil")
		}
		<-trap.Sprung()
		w.want("1", "a", "")
		w.wantPending(1)
		w.must(w.hub.Settle(ctx()))
		w.want("1", "a", "a")
		w.wantSettled(hooks.Committed)
		w.wantPending(0)
	})
}

// TestJoinedWriteFreeCut: no row would ever show whether a transaction without any has
// committed. Its events are reported as lost, as they are where the COMMIT is sent separately.
func TestJoinedWriteFreeCut(t *testing.T) {
	for name, fault := range map[string]dbtest.Fault{"before": dbtest.CutBefore, "answer": dbtest.CutAnswer, "within the answer": dbtest.CutWithinAnswer} {
		t.Run(name, func(t *testing.T) {
			throughProxy(t, func(w *world, p *dbtest.Proxy) {
				tx := w.begin()
				w.record(tx, "a")
				trap := p.Next(fault, dbtest.IsCommit)
				if err := tx.Commit(); err == nil {
					w.Error("Commit says nil")
				}
				<-trap.Sprung()
				w.must(w.hub.Settle(ctx()))
				w.want("", "", "")
				w.wantNotice(hooks.NoticeLost)
				for _, kind := range []hooks.NoticeKind{hooks.NoticeRolledBack, hooks.NoticeSettled} {
					if told := w.told.of(kind); len(told) > 0 {
						w.Errorf("observers were told %+v, which nothing shows", told)
					}
				}
				w.wantPending(0)
				w.goesOn()
				w.want("2", "b", "b")
			})
		})
	}
}

// TestJoinedUnseenWriteCut: a transaction whose write the driver has not seen has a row, by which
// it is known to have committed.
func TestJoinedUnseenWriteCut(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		w.must(w.bare.ExecContext(ctx(), "CREATE FUNCTION put() RETURNS void LANGUAGE sql AS 'INSERT INTO things (id) VALUES (1)'"))
		tx := w.begin()
		w.must(tx.ExecContext(ctx(), "SELECT put()"))
		w.record(tx, "a")
		trap := p.Next(dbtest.CutAnswer, dbtest.IsCommit)
		if err := tx.Commit(); err == nil {
			w.Error("Commit says nil")
		}
		<-trap.Sprung()
		w.must(w.hub.Settle(ctx()))
		w.want("1", "a", "a")
		w.wantSettled(hooks.Committed)
		w.wantPending(0)
	})
}

// TestJoinedArrivesLate: the client has given up when its message reaches the server. What
// was reported by then holds.
func TestJoinedArrivesLate(t *testing.T) {
	for _, settled := range []bool{true, false} {
		t.Run(fmt.Sprint("settled before: ", settled), func(t *testing.T) {
			throughProxyJoined(t, func(w *world, p *dbtest.Proxy) {
				tx := w.open(ctx())
				trap := p.Next(dbtest.Strand, isJoined)
				if err := tx.Commit(); err == nil {
					w.Error("Commit says nil")
				}
				<-trap.Sprung()
				w.wantPending(1)
				if settled {
					w.must(w.hub.Settle(ctx()))
					w.wantSettled(hooks.RolledBack)
					w.wantPending(0)
				}
				trap.Release()
				<-trap.Done()
				w.wantAllOrNothing()
				if settled {
					w.want("", "", "")
				}
			})
		})
	}
}

// TestInProgressWithinCommit: the client is gone while the server executes the COMMIT, in
// which a deferred trigger waits. The outcome is not decided before the server does.
func TestInProgressWithinCommit(t *testing.T) {
	for _, end := range []hooks.Outcome{hooks.Committed, hooks.RolledBack} {
		t.Run(end.String(), func(t *testing.T) {
			throughProxy(t, func(w *world, p *dbtest.Proxy) {
				// pgx asks the server to cancel what it has lost.
				body := "LOOP BEGIN PERFORM pg_advisory_xact_lock(1); EXIT; EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;"
				if end == hooks.RolledBack {
					body += "RAISE EXCEPTION 'refused';"
				}
				w.deferred(body)
				lock := w.bareConn()
				w.must(lock.ExecContext(ctx(), "SELECT pg_advisory_lock(1)"))
				tx := w.open(ctx())
				done := make(chan error)
				go func() { done <- tx.Commit() }()
				w.within("the COMMIT", func() {
					for n := 0; n == 0; {
						w.must(lock.QueryRowContext(ctx(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
							AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n))
					}
				})
				p.DropAll()
				if err := <-done; err == nil {
					w.Error("Commit says nil")
				}
				w.must(w.hub.Settle(ctx()))
				w.want("", "", "")
				w.wantPending(1)
				w.must(lock.ExecContext(ctx(), "SELECT pg_advisory_unlock(1)"))
				w.over()
				w.must(w.hub.Settle(ctx()))
				w.wantPending(0)
				w.wantSettled(end)
				if end == hooks.Committed {
					w.want("1", "a", "a")
				} else {
					w.want("", "", "")
				}
			})
		})
	}
}

// deferred adds a trigger to things that executes body at the COMMIT.
func (w *world) deferred(body string) {
	w.Helper()
	w.late(body)
	w.must(w.bare.ExecContext(ctx(), "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON things DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()"))
}

// late changes what the trigger executes.
func (w *world) late(body string) {
	w.Helper()
	w.must(w.bare.ExecContext(ctx(), "CREATE OR REPLACE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "+body+" RETURN NULL; END $$"))
}

func (w *world) bareConn() *sql.Conn {
	w.Helper()
	c, err := w.bare.Conn(ctx())
	w.must(err)
	w.Cleanup(func() { _ = c.Close() })
	return c
}

// TestRefusalLooksLikeTheGuards: what a deferred trigger raises at the COMMIT is the app's to
// see, also with the SQLSTATE by which the guard says that there is no transaction, or that it
// has failed.
func TestRefusalLooksLikeTheGuards(t *testing.T) {
	for _, state := range []string{"25P01", "25P02", "25006", "23505"} {
		t.Run(state, func(t *testing.T) {
			each(t, func(w *world) {
				w.deferred("RAISE EXCEPTION 'refused' USING ERRCODE = '" + state + "';")
				tx := w.open(ctx())
				w.wantState(tx.Commit(), state)
				w.want("", "", "")
				w.must(w.bare.ExecContext(ctx(), "DROP TRIGGER late ON things"))
				w.goesOn()
				w.want("2", "b", "b")
			}, pg...)
		})
	}
}

// TestJoinedGuard: the transaction has ended, or failed, out of the driver's sight. Neither
// the events nor the COMMIT behind them are executed: as an autocommitted statement the
// write would stand for nothing.
func TestJoinedGuard(t *testing.T) {
	for _, tt := range []struct{ name, query string }{
		{"rolled back", "ROLLBACK"},
		{"committed", "COMMIT"},
		{"failed", "SELECT nothing FROM nowhere"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			throughProxy(t, func(w *world, p *dbtest.Proxy) {
				twin := w.bareConn()
				bare, err := twin.BeginTx(ctx(), nil)
				w.must(err)
				w.must(twin.Raw(func(dc any) error {
					_, _ = dc.(sqldriver.ExecerContext).ExecContext(ctx(), tt.query, nil)
					return nil
				}))
				want := bare.Commit()

				conn := w.conn()
				var base sqldriver.ExecerContext
				w.must(conn.Raw(func(dc any) error { base = driver.Raw(dc).(sqldriver.ExecerContext); return nil }))
				tx, err := conn.BeginTx(ctx(), nil)
				w.must(err)
				w.insert(tx, 1)
				w.record(tx, "a")
				_, _ = base.ExecContext(ctx(), tt.query, nil)
				if err := tx.Commit(); kind(err) != kind(want) {
					w.Errorf("Commit says %s, bare %s", kind(err), kind(want))
				}
				rows := ""
				if tt.query == "COMMIT" {
					rows = "1"
				}
				w.must(w.hub.Settle(ctx()))
				w.want(rows, "", "")
			})
		})
	}
}

// TestJoinedBestEffort keeps its savepoint, and so the COMMIT is a message of its own.
func TestJoinedBestEffort(t *testing.T) {
	p := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
	w := newWorld(t, dbtest.PGXDriver, setup{via: p.Addr(), driver: []driver.Option{driver.WithMode(hooks.BestEffort)}})
	tx := w.open(ctx())
	seen := p.Watch(func(string) bool { return true })
	w.must(tx.Commit())
	w.want("1", "a", "a")
	if q := seen.Queries(); len(q) < 2 || !strings.HasPrefix(q[0], "SAVEPOINT ") || strings.Contains(q[0], "RELEASE") || dbtest.IsCommit(q[0]) || q[1] != "commit" {
		t.Errorf("sent %q", q)
	}
}

// TestJoinedMessage: one message has the guard, the write and the COMMIT, in this order; a
// transaction without events, and a raw COMMIT, have none of it.
func TestJoinedMessage(t *testing.T) {
	throughProxyJoined(t, func(w *world, p *dbtest.Proxy) {
		w.must(w.db.PingContext(ctx())) // making the tables has a COMMIT, too
		commits := p.Watch(dbtest.IsCommit)
		tx := w.open(ctx())
		w.must(tx.Commit())
		tx = w.begin()
		w.insert(tx, 2)
		w.must(tx.Commit())
		conn := w.conn()
		w.must(conn.ExecContext(ctx(), "BEGIN"))
		w.insert(conn, 3)
		w.record(conn, "c")
		w.must(conn.ExecContext(ctx(), "COMMIT"))
		w.want("1 2 3", "a c", "a c")
		q := commits.Queries()
		if len(q) != 3 || q[1] != "commit" || q[2] != "COMMIT" {
			w.Fatalf("the COMMITs were %q", q)
		}
		parts := strings.SplitAfter(q[0], "; ")
		if len(parts) != 4 || !strings.HasPrefix(parts[0], "SAVEPOINT ") || !strings.HasPrefix(parts[1], "RELEASE ") || !strings.HasPrefix(parts[2], "SELECT ") || parts[3] != "COMMIT" {
			w.Errorf("the message is %q", q[0])
		}
	})
}

// committing is one way in which a COMMIT may go.
type committing struct {
	name string
	// commit commits tx; cancel ends the context of its BeginTx.
	commit func(w *world, p *dbtest.Proxy, tx *sql.Tx, cancel func()) error
}

var committings = []committing{
	{"well", func(_ *world, _ *dbtest.Proxy, tx *sql.Tx, _ func()) error { return tx.Commit() }},
	{"cut before", cutAt(dbtest.CutBefore)},
	{"cut answer", cutAt(dbtest.CutAnswer)},
	{"cancelled before it arrives", cancelledAt(dbtest.HoldStatement)},
	{"cancelled before the answer", cancelledAt(dbtest.HoldAnswer)},
	{"refused", func(w *world, _ *dbtest.Proxy, tx *sql.Tx, _ func()) error {
		w.must(tx.ExecContext(ctx(), "INSERT INTO lines (id, thing) VALUES (1, 99)"))
		return tx.Commit()
	}},
	{"terminated within", func(w *world, _ *dbtest.Proxy, tx *sql.Tx, _ func()) error {
		w.late("PERFORM pg_terminate_backend(pg_backend_pid());")
		return tx.Commit()
	}},
	{"lost before", func(_ *world, p *dbtest.Proxy, tx *sql.Tx, _ func()) error {
		p.DropAll()
		return tx.Commit()
	}},
}

func cutAt(f dbtest.Fault) func(*world, *dbtest.Proxy, *sql.Tx, func()) error {
	return func(_ *world, p *dbtest.Proxy, tx *sql.Tx, _ func()) error {
		p.Next(f, dbtest.IsCommit)
		return tx.Commit()
	}
}

func cancelledAt(f dbtest.Fault) func(*world, *dbtest.Proxy, *sql.Tx, func()) error {
	return func(_ *world, p *dbtest.Proxy, tx *sql.Tx, cancel func()) error {
		trap := p.Next(f, dbtest.IsCommit)
		done := make(chan error)
		go func() { done <- tx.Commit() }()
		<-trap.Sprung()
		cancel()
		err := <-done
		trap.Release()
		return err
	}
}

// TestJoinedAsBare: whatever becomes of the message, Commit returns what it returns on the
// bare driver, and the connection is kept or closed as there.
func TestJoinedAsBare(t *testing.T) {
	for _, c := range committings {
		t.Run(c.name, func(t *testing.T) {
			throughProxyJoined(t, func(w *world, p *dbtest.Proxy) {
				w.deferred("")
				bare := dbtest.Open(t, w.e.Driver, dbtest.Via(w.dsn, p.Addr()))
				want := w.commitBy(c, p, bare, 1)
				w.late("")
				if got := w.commitBy(c, p, w.db, 2); got != want {
					t.Errorf("Commit: %s\nbare:   %s", got, want)
				}
				w.over()
				w.must(w.hub.Settle(ctx()))
				w.wantPending(0)
				events := ""
				if rows := w.rows(); strings.Contains(rows, "2") {
					events = "a"
				}
				w.want(w.rows(), events, events)
			})
		})
	}
}

// commitBy says what a COMMIT of the row id, and of an event if db is audited, leaves for the
// app.
func (w *world) commitBy(c committing, p *dbtest.Proxy, db *sql.DB, id int) string {
	w.Helper()
	db.SetMaxOpenConns(1)
	begun, cancel := context.WithCancel(ctx())
	defer cancel()
	before := w.backend(db)
	tx, err := db.BeginTx(begun, nil)
	w.must(err)
	w.insert(tx, id)
	if db == w.db {
		w.record(tx, "a")
	}
	err = c.commit(w, p, tx, cancel)
	text := kind(err)
	if addresses, cause, ok := strings.Cut(text, "->"); ok { // of which one is new each time
		text = strings.Fields(addresses)[0] + cause[strings.LastIndex(cause, ": "):]
	}
	return fmt.Sprintf("%s, ErrBadConn %t, canceled %t, kept %t", text, errors.Is(err, sqldriver.ErrBadConn), errors.Is(err, context.Canceled), before == w.backend(db))
}

func (w *world) backend(db *sql.DB) (pid int) {
	w.Helper()
	w.must(db.QueryRowContext(ctx(), "SELECT pg_backend_pid()").Scan(&pid))
	return pid
}

// TestJoinedUnsent: where pgx does not send the COMMIT, because the context has ended or rows
// are open, it closes the connection, and so it is with the events. database/sql would see to
// both before.
func TestJoinedUnsent(t *testing.T) {
	for _, rows := range []bool{false, true} {
		t.Run(fmt.Sprint("rows are open: ", rows), func(t *testing.T) {
			each(t, func(w *world) {
				commit := func(db *sql.DB, id int) (said string) {
					conn, err := db.Conn(ctx())
					w.must(err)
					defer func() { _ = conn.Close() }()
					w.must(conn.Raw(func(dc any) error {
						begun, cancel := context.WithCancel(ctx())
						defer cancel()
						c := dc.(interface {
							sqldriver.ConnBeginTx
							sqldriver.ExecerContext
							sqldriver.QueryerContext
						})
						var base *stdlib.Conn
						if b, ok := dc.(*stdlib.Conn); ok {
							base = b
						} else {
							base = driver.Raw(dc).(*stdlib.Conn)
						}
						tx, err := c.BeginTx(begun, sqldriver.TxOptions{})
						w.must(err)
						w.must(c.ExecContext(ctx(), fmt.Sprintf("INSERT INTO orders (id) VALUES (%d)", id), nil))
						if rows {
							w.must(c.QueryContext(ctx(), "SELECT 1", nil))
						} else {
							cancel()
						}
						err = tx.Commit()
						said = fmt.Sprintf("%s, ErrBadConn %t, closed %t", kind(err), errors.Is(err, sqldriver.ErrBadConn), base.Conn().IsClosed())
						return nil
					}))
					return said
				}
				if got, want := commit(w.db, 1), commit(w.bare, 2); got != want {
					t.Errorf("Commit: %s\nbare:   %s", got, want)
				}
				w.over()
				w.must(w.hub.Settle(ctx()))
				w.wantPending(0)
				w.want("", "", "")
			}, dbtest.PGXDriver)
		})
	}
}
