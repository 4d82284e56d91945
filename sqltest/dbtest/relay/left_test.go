package relay_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// What a sink leaves behind on its connection.
var leavings = []struct {
	name  string
	open  bool // also for database/sql
	leave func(db *sql.DB) error
}{
	{"rows", true, func(db *sql.DB) error {
		rows, err := db.QueryContext(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n")
		if err != nil {
			return err
		}
		rows.Next()
		return nil
	}},
	{"a transaction", true, func(db *sql.DB) error { _, err := db.BeginTx(ctx, nil); return err }},
	{"a connection", true, func(db *sql.DB) error { _, err := db.Conn(ctx); return err }},
	{"BEGIN", false, func(db *sql.DB) error { _, err := db.ExecContext(ctx, "BEGIN"); return err }},
	{"BEGIN behind a comment", false, func(db *sql.DB) error { _, err := db.ExecContext(ctx, "/* tx */ BEGIN"); return err }},
	{"BEGIN behind a query", false, func(db *sql.DB) error { _, err := db.ExecContext(ctx, "SELECT 1; BEGIN"); return err }},
	{"a failed transaction", false, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "BEGIN")
		_, _ = db.ExecContext(ctx, "SELECT none FROM nowhere")
		return err
	}},
	{"a prepared BEGIN", false, func(db *sql.DB) error {
		st, err := db.PrepareContext(ctx, "BEGIN")
		if err != nil {
			return err
		}
		_, err = st.ExecContext(ctx)
		return err
	}},
}

// TestLeftBehind: what one sink leaves behind on the relay's connection is neither
// another's trouble nor its own again and again.
func TestLeftBehind(t *testing.T) {
	each(t, func(w *world) {
		for _, l := range leavings {
			w.Run(l.name, func(t *testing.T) { leftBehind(t, w.e, l.leave) })
		}
	})
}

func leftBehind(t *testing.T, e dbtest.Engine, leave func(db *sql.DB) error) {
	t.Helper()
	w := newWorld(t, e)
	var calls, seen int
	untidy := relay.Target{
		Name: "untidy/default", MaxAttempts: 5, Timeout: lasting,
		Deliver: func(_ context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
			calls, seen = calls+1, seen+len(entries)
			if err := leave(db); err != nil {
				return relay.Result{Err: failure(err)}
			}
			return relay.Result{}
		},
	}
	w.must(w.store.Register(ctx, w.db, untidy.Name))
	w.db.SetMaxOpenConns(1) // so that both use the same
	r := w.start(relay.Config{Targets: []relay.Target{untidy, w.target()}})
	for _, name := range []string{"a", "b", "c"} {
		w.commit(name)
		w.drain(r)
	}
	w.want("a b c")
	if calls != 3 || seen != 3 {
		t.Errorf("%d calls with %d entries, want 3 with 3", calls, seen)
	}
	if left := w.sink.told(hooks.NoticeSuspended); len(left) > 0 {
		t.Errorf("suspended: %q", left)
	}
}

// TestLeftOpenInTheSameDatabase: what such a sink has written can be committed only if
// nothing else uses the connection.
func TestLeftOpenInTheSameDatabase(t *testing.T) {
	each(t, func(w *world) {
		for _, l := range leavings {
			if l.open && l.name != "a transaction" { // which is the relay's own
				w.Run(l.name, func(t *testing.T) { leftOpen(t, w.e, l.leave) })
			}
		}
	})
}

func leftOpen(t *testing.T, e dbtest.Engine, leave func(db *sql.DB) error) {
	t.Helper()
	w := newWorld(t, e)
	calls := 0
	untidy := relay.Target{
		Name: "untidy/default", MaxAttempts: 5, Timeout: lasting, SameDatabase: true,
		Deliver: func(_ context.Context, db *sql.DB, _ []journal.Entry) relay.Result {
			calls++
			w.must(leave(db))
			return relay.Result{}
		},
	}
	w.must(w.store.Register(ctx, w.db, untidy.Name))
	w.db.SetMaxOpenConns(1)
	w.start(relay.Config{Targets: []relay.Target{untidy, w.target()}})
	w.commit("a")
	w.until("it is suspended", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) == 1 })
	w.commit("b")
	w.until("the other gets all", func() bool { return w.sink.all() == "a b" })
	w.ticks(5)
	if calls != 1 {
		t.Errorf("%d calls before the pause is over, want 1", calls)
	}
	if err := suspension(w); err == nil || !strings.Contains(err.Error(), "close them") {
		t.Errorf("the notice says %v", err)
	}
}

func suspension(w *world) error {
	w.sink.mu.Lock()
	defer w.sink.mu.Unlock()
	for _, n := range w.sink.notices {
		if n.Kind == hooks.NoticeSuspended {
			return n.Err
		}
	}
	return nil
}

// TestSettingsOfASink: another sink must not work with the settings of one before it.
func TestSettingsOfASink(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, same := range []bool{false, true} {
			w := newWorld(t, e)
			var found []string
			target := func(name string, same bool) relay.Target {
				return relay.Target{
					Name: name, MaxAttempts: 5, Timeout: lasting, SameDatabase: same,
					Deliver: func(_ context.Context, db *sql.DB, _ []journal.Entry) relay.Result {
						var limit string
						w.must(db.QueryRowContext(ctx, "SELECT current_setting('statement_timeout')").Scan(&limit))
						if name != "one/default" {
							found = append(found, limit)
							return relay.Result{}
						}
						_, err := db.ExecContext(ctx, "SET statement_timeout = 77777")
						w.must(err)
						return relay.Result{}
					},
				}
			}
			w.must(w.store.Register(ctx, w.db, "one/default"))
			w.must(w.store.Register(ctx, w.db, "two/default"))
			w.db.SetMaxOpenConns(1)
			r := w.start(relay.Config{Targets: []relay.Target{target("one/default", same), target("two/default", false)}})
			for _, name := range []string{"a", "b", "c"} {
				w.commit(name)
				w.drain(r)
			}
			for _, limit := range found {
				if limit == "77777ms" {
					t.Errorf("same database %v: a sink found %q", same, found)
				}
			}
			if len(found) != 3 {
				t.Errorf("%d calls, want 3", len(found))
			}
			w.must(r.Stop(ctx))
		}
	}, dbtest.PostgresEngines()...)
}

// TestRawTransactionOfASink: what a sink begins by a statement, it ends on the same
// connection, though another use comes between.
func TestRawTransactionOfASink(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE copies (name varchar(40))")
		target := w.target()
		target.Deliver = func(_ context.Context, db *sql.DB, _ []journal.Entry) (r relay.Result) {
			for _, query := range []string{"SELECT 1", "BEGIN", "INSERT INTO copies (name) VALUES ('a')", "SELECT 2", "ROLLBACK", "INSERT INTO copies (name) VALUES ('b')"} {
				if _, err := db.ExecContext(ctx, query); err != nil {
					r.Err = failure(err)
				}
			}
			return r
		}
		r := w.start(relay.Config{Targets: []relay.Target{target}})
		w.commit("a")
		w.drain(r)
		var names string
		w.must(w.db.QueryRowContext(ctx, "SELECT max(name) FROM copies").Scan(&names))
		var n int
		w.must(w.db.QueryRowContext(ctx, "SELECT count(*) FROM copies").Scan(&n))
		if n != 1 || names != "b" {
			w.Errorf("%d copies, the last is %s; want b alone", n, names)
		}
	})
}

// TestTransactionOfASink: the connection that a sink is lent outside the relay's own
// transaction has transactions.
func TestTransactionOfASink(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE copies (name varchar(40))")
		fail := true
		target := w.target()
		target.Deliver = func(_ context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
			tx, err := db.BeginTx(ctx, nil)
			w.must(err)
			for _, e := range entries {
				_, err = tx.ExecContext(ctx, "INSERT INTO copies (name) VALUES ('"+e.Target.ID+"')")
				w.must(err)
			}
			if fail {
				fail = false
				w.must(tx.Rollback())
				return relay.Result{Err: failure(errors.New("not now"))}
			}
			w.must(tx.Commit())
			return relay.Result{}
		}
		r := w.start(relay.Config{Targets: []relay.Target{target}})
		w.commit("a", "b")
		w.drain(r)
		var n int
		w.must(w.db.QueryRowContext(ctx, "SELECT count(*) FROM copies").Scan(&n))
		if n != 2 {
			w.Errorf("%d copies, want 2", n)
		}
	})
}

// TestSlowSinksAreNotInTheWay: while others wait for whatever they call, a sink gets what
// is committed, over any number of connections.
func TestSlowSinksAreNotInTheWay(t *testing.T) {
	each(t, func(w *world) {
		for _, conns := range []int{1, 3} {
			if conns > 1 && w.e.Dialect == hooks.SQLite {
				continue
			}
			w.Run(fmt.Sprintf("connections=%d", conns), func(t *testing.T) {
				slowSinks(newWorld(t, w.e), conns)
			})
		}
	})
}

func slowSinks(w *world, conns int) {
	w.db.SetMaxOpenConns(conns)
	release, called := make(chan struct{}), make(chan struct{}, 2)
	targets := []relay.Target{w.target()}
	for _, name := range []string{"slow/one", "slow/two"} {
		w.must(w.store.Register(ctx, w.db, name))
		targets = append(targets, relay.Target{
			Name: name, MaxAttempts: 5, Timeout: lasting,
			Deliver: func(_ context.Context, db *sql.DB, _ []journal.Entry) (r relay.Result) {
				for range 2 { // before it calls, and after
					if _, err := db.ExecContext(ctx, "SELECT 1"); err != nil {
						r.Err = failure(err)
					}
					called <- struct{}{}
					<-release
				}
				return r
			},
		})
	}
	r := w.start(relay.Config{Targets: targets, Lease: 5 * lasting})
	w.commit("a")
	<-called
	<-called
	w.commit("b")
	w.until("the other gets it", func() bool { return w.sink.all() == "a b" || w.sink.all() == "b a" })
	close(release)
	go func() {
		for range called {
		}
	}()
	w.drain(r)
	if failed := w.sink.told(hooks.NoticeFailed); len(failed) > 0 {
		w.Errorf("failed: %q", failed)
	}
}
