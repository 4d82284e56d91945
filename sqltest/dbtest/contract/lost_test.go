package contract_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// throughProxy runs f in a world of each PostgreSQL driver, or of those given, whose app
// connects through a proxy. The judges do not.
func throughProxy(t *testing.T, f func(w *world, p *dbtest.Proxy), engines ...dbtest.Engine) {
	t.Helper()
	if len(engines) == 0 {
		engines = pg
	}
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		t.Helper()
		p := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
		f(newWorld(t, e, setup{via: p.Addr()}), p)
	}, engines...)
}

// open begins a transaction with the row 1 and the event a.
func (w *world) open(c context.Context) *sql.Tx {
	w.Helper()
	tx, err := w.db.BeginTx(c, nil)
	w.must(err)
	w.insert(tx, 1)
	w.record(tx, "a")
	return tx
}

// goesOn commits another transaction, with the row 2 and the event b.
func (w *world) goesOn() {
	w.Helper()
	tx := w.begin()
	w.insert(tx, 2)
	w.record(tx, "b")
	w.must(tx.Commit())
}

func (w *world) wantPending(n int) {
	w.Helper()
	if got := w.hub.Pending(); got != n {
		w.Errorf("%d transactions are pending, want %d", got, n)
	}
}

// wantSettled asks for one notice that an unknown outcome is known, which.
func (w *world) wantSettled(o hooks.Outcome) {
	w.Helper()
	w.wantNotice(hooks.NoticeUnknown)
	settled := w.told.of(hooks.NoticeSettled)
	if len(settled) != 1 || settled[0].Reason != o.String() {
		w.Errorf("settled notices: %+v, want one with reason %q", settled, o)
	}
}

func TestCommitCut(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		tx := w.open(ctx())
		p.Next(dbtest.CutBefore, dbtest.IsCommit)
		if err := tx.Commit(); err == nil {
			w.Error("Commit says nil")
		}
		w.want("", "", "")
		w.over()
		w.must(w.hub.Settle(ctx()))
		w.want("", "", "")
		w.wantSettled(hooks.RolledBack)
		w.goesOn()
		w.want("2", "b", "b")
	})
}

func TestAnswerCut(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		tx := w.open(ctx())
		p.Next(dbtest.CutAnswer, dbtest.IsCommit)
		err := tx.Commit()
		if w.e.Name == "pq" && err == nil {
			w.Error("Commit says nil")
		}
		w.want("1", "a", "") // not before it is known
		w.wantPending(1)
		w.must(w.hub.Settle(ctx()))
		w.want("1", "a", "a")
		w.wantSettled(hooks.Committed)
		w.wantPending(0)
	})
}

// TestAnswerCutOfRawCommit is the same in the app's own words.
func TestAnswerCutOfRawCommit(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		conn := w.conn()
		w.must(conn.ExecContext(ctx(), "BEGIN"))
		w.insert(conn, 1)
		w.record(conn, "a")
		p.Next(dbtest.CutAnswer, dbtest.IsCommit)
		if _, err := conn.ExecContext(ctx(), "COMMIT"); err == nil {
			w.Error("COMMIT says nil")
		}
		w.must(w.hub.Settle(ctx()))
		w.want("1", "a", "a")
	})
}

// TestNextCommitSettles: without anybody's asking, the next transaction that has
// a connection decides what was left open.
func TestNextCommitSettles(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		tx := w.open(ctx())
		p.Next(dbtest.CutAnswer, dbtest.IsCommit)
		_ = tx.Commit()
		w.want("1", "a", "")
		w.goesOn()
		w.must(w.hub.Settle(ctx())) // what its backoff has put off
		w.want("1 2", "a b", w.inSomeOrder("a", "b"))
	})
}

// inSomeOrder returns what the sink got if it has these names, in any order.
func (w *world) inSomeOrder(a, b string) string {
	if got := w.sink.names(); got == b+" "+a {
		return got
	}
	return a + " " + b
}

// TestAnswerHeld: while the answer is on its way nothing is known, and nothing
// forwarded.
func TestAnswerHeld(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		tx := w.open(ctx())
		trap := p.Next(dbtest.HoldAnswer, dbtest.IsCommit)
		done := make(chan error)
		go func() { done <- tx.Commit() }()
		<-trap.Sprung()
		w.want("1", "a", "")
		trap.Release()
		w.must(<-done)
		w.want("1", "a", "a")
	})
}

// TestInProgressIsNotDecided: the client is gone, the server has not executed
// its COMMIT yet. That there is no row proves nothing.
func TestInProgressIsNotDecided(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		tx := w.open(ctx())
		trap := p.Next(dbtest.Strand, dbtest.IsCommit)
		if err := tx.Commit(); err == nil {
			w.Error("Commit says nil")
		}
		<-trap.Sprung()
		w.must(w.hub.Settle(ctx()))
		w.want("", "", "")
		w.wantPending(1)
		if n := len(w.told.of(hooks.NoticeSettled)); n != 0 {
			w.Errorf("%d notices say that it is settled", n)
		}
		trap.Release()
		<-trap.Done()
		w.must(w.hub.Settle(ctx()))
		w.want("1", "a", "a")
		w.wantPending(0)
		w.wantSettled(hooks.Committed)
	}, apart...)
}

// TestInProgressThenGone is the same with a COMMIT that never comes.
func TestInProgressThenGone(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		tx := w.open(ctx())
		trap := p.Next(dbtest.Strand, dbtest.IsCommit)
		if err := tx.Commit(); err == nil {
			w.Error("Commit says nil")
		}
		<-trap.Sprung()
		w.must(w.hub.Settle(ctx()))
		w.wantPending(1)
		p.DropAll()
		w.over()
		w.must(w.hub.Settle(ctx()))
		w.want("", "", "")
		w.wantPending(0)
		w.wantSettled(hooks.RolledBack)
	}, apart...)
}

// TestCancelledDuringCommit: the context of BeginTx ends while the COMMIT is
// under way, before or after the server has executed it.
func TestCancelledDuringCommit(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault dbtest.Fault
	}{{"before the server has it", dbtest.HoldStatement}, {"after", dbtest.HoldAnswer}} {
		t.Run(c.name, func(t *testing.T) {
			throughProxy(t, func(w *world, p *dbtest.Proxy) {
				c2, cancel := context.WithCancel(ctx())
				defer cancel()
				tx := w.open(c2)
				trap := p.Next(c.fault, dbtest.IsCommit)
				done := make(chan struct{})
				go func() {
					_ = tx.Commit() // what it answers is the driver's guess
					close(done)
				}()
				<-trap.Sprung()
				cancel()
				trap.Release()
				w.within("Commit", func() { <-done })
				w.wantAllOrNothing()
			})
		})
	}
}

// wantAllOrNothing asks that the event a is there, and forwarded, if and only if
// the row 1 is, once the transaction is over.
func (w *world) wantAllOrNothing() {
	w.Helper()
	w.over()
	w.must(w.hub.Settle(ctx()))
	w.wantPending(0)
	if w.rows() == "" {
		w.want("", "", "")
	} else {
		w.want("1", "a", "a")
	}
}

// over waits until the server has ended the app's transactions, also those whose
// clients are gone: whoever can lock a table has waited for all who wrote to it.
func (w *world) over() {
	w.Helper()
	if w.e.Dialect != hooks.Postgres {
		return
	}
	tx, err := w.bare.BeginTx(ctx(), nil)
	w.must(err)
	w.must(tx.ExecContext(ctx(), "LOCK TABLE things, visits IN ACCESS EXCLUSIVE MODE"))
	w.must(tx.Rollback())
	// The server lets go of advisory locks a moment after those of tables, and
	// with them of the Hub's sign that a transaction is in progress.
	w.within("a transaction that should be over", func() {
		for n := 1; n > 0; {
			w.must(w.bare.QueryRowContext(ctx(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n))
		}
	})
}

// TestBackendKilled: an operator ends the session, before the COMMIT or while
// it is on its way.
func TestBackendKilled(t *testing.T) {
	kill := func(w *world, pid int) {
		w.Helper()
		w.must(w.bare.ExecContext(ctx(), "SELECT pg_terminate_backend($1, 10000)", pid))
	}
	pidOf := func(w *world, tx *sql.Tx) (pid int) {
		w.Helper()
		w.must(tx.QueryRowContext(ctx(), "SELECT pg_backend_pid()").Scan(&pid))
		return pid
	}
	t.Run("before", func(t *testing.T) {
		each(t, func(w *world) {
			tx := w.open(ctx())
			kill(w, pidOf(w, tx))
			if err := tx.Commit(); err == nil {
				w.Error("Commit says nil")
			}
			w.over()
			w.must(w.hub.Settle(ctx()))
			w.want("", "", "")
			w.goesOn()
			w.want("2", "b", "b")
		}, pg...)
	})
	t.Run("on its way", func(t *testing.T) {
		throughProxy(t, func(w *world, p *dbtest.Proxy) {
			tx := w.open(ctx())
			pid := pidOf(w, tx)
			trap := p.Next(dbtest.HoldStatement, dbtest.IsCommit)
			done := make(chan error)
			go func() { done <- tx.Commit() }()
			<-trap.Sprung()
			kill(w, pid)
			trap.Release()
			if err := <-done; err == nil {
				w.Error("Commit says nil")
			}
			w.wantAllOrNothing()
			w.goesOn()
			w.want("2", "b", "b")
		})
	})
}

// TestConnectionLostBeforeCommit: the app never gets to its COMMIT.
func TestConnectionLostBeforeCommit(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		tx := w.open(ctx())
		p.DropAll()
		if err := tx.Commit(); err == nil {
			w.Error("Commit says nil")
		}
		w.wantAllOrNothing()
		w.want("", "", "")
		w.goesOn()
		w.want("2", "b", "b")
	})
}

// TestLostAutocommit: the COMMIT of a captured autocommit statement is lost.
// database/sql must not execute the statement a second time.
func TestLostAutocommit(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault dbtest.Fault
		rows  string
		event string
	}{{"COMMIT cut", dbtest.CutBefore, "", ""}, {"answer cut", dbtest.CutAnswer, "1", "visits.inserted"}} {
		t.Run(c.name, func(t *testing.T) {
			throughProxy(t, func(w *world, p *dbtest.Proxy) {
				w.must(w.db.PingContext(ctx()))
				p.Next(c.fault, dbtest.IsCommit)
				_, err := w.db.ExecContext(ctx(), "INSERT INTO visits (id) VALUES ($1)", 1)
				if err == nil {
					w.Error("Exec says nil")
				}
				w.over()
				w.must(w.hub.Settle(ctx()))
				w.want(c.rows, c.event, c.event)
			})
		})
	}
}

// TestServerCrash: the answer is lost, the server with it. What it had promised
// is there after its recovery; with synchronous_commit=off it had not, and the
// transaction's number is given to another one.
func TestServerCrash(t *testing.T) {
	dbtest.RequirePostgres(t)
	c := dbtest.Start(t, &dbtest.Options{Durable: true, Settings: []string{"wal_writer_delay=10s"}})
	for _, e := range pg {
		for _, sync := range []string{"on", "off"} {
			t.Run(e.Name+"/synchronous_commit="+sync, func(t *testing.T) {
				p := dbtest.NewProxy(t, c.Addr())
				w := newWorld(t, e, setup{via: p.Addr(), dsn: c.Database(t)})
				w.record(w.db, "first") // so that the tables are there, and safe
				tx := w.open(ctx())
				w.must(tx.ExecContext(ctx(), "SET LOCAL synchronous_commit="+sync))
				p.Next(dbtest.CutAnswer, dbtest.IsCommit)
				_ = tx.Commit()
				c.Crash(t)
				if err := w.hub.Settle(ctx()); err == nil {
					t.Error("Settle says nil without a server")
				}
				w.wantPending(1)
				c.Restart(t)
				for range 5 {
					// The first connections are those that the crash has broken; the
					// others take the lost transaction's number.
					_, _ = w.bare.ExecContext(ctx(), "INSERT INTO lines (id) SELECT count(*) + 1 FROM lines")
				}
				w.must(w.hub.Settle(ctx()))
				w.wantPending(0)
				if sync == "on" {
					w.wantEvents("first a")
				} else {
					w.wantEvents("first")
				}
			})
		}
	}
}

// wantEvents is want for the journal and the sink alone.
func (w *world) wantEvents(names string) {
	w.Helper()
	w.want(w.rows(), names, names)
}

// TestMessageThatArrivesLate: the client has given up when what it has sent reaches the server:
// events and COMMIT, in one message. What was reported of them by then holds, whichever comes
// first.
func TestMessageThatArrivesLate(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		w.must(w.db.PingContext(ctx())) // making the tables has a COMMIT, too
		for i, asked := range []bool{true, false} {
			name := []string{"1", "2"}[i]
			trap := p.Next(dbtest.Strand, dbtest.IsCommit)
			if _, err := w.db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES ("+name+")"); err == nil {
				w.Error("the statement says nil")
			}
			<-trap.Sprung()
			w.wantPending(1)
			if asked {
				w.must(w.hub.Settle(ctx()))
				w.wantPending(0)
				w.wantSettled(hooks.RolledBack)
			}
			trap.Release()
			<-trap.Done()
			if asked {
				w.want("", "", "")
				continue
			}
			w.must(w.hub.Settle(ctx()))
			w.wantPending(0)
			if w.e.Driver == "pgx" && w.rows() == "" {
				w.want("", "", "") // pgx has cancelled it: it asks for that when a connection is lost
				continue
			}
			w.want("2", "orders.inserted", "orders.inserted")
		}
	})
}
