package relay_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// hostile is what a sink may say: characters that encodings lack, such whose last
// byte is a backslash in SJIS, BIG5 or GBK, and what would end a literal.
const hostile = "ł表ソ許功\\'); DROP TABLE orders; -- \\"

// encodings are those of a server, and what the session asks for.
var encodings = []struct{ server, client string }{
	{"LATIN1", ""},
	{"WIN1252", ""},
	{"EUC_JP", ""},
	{"SQL_ASCII", ""},
	{"UTF8", "SJIS"},
	{"UTF8", "BIG5"},
	{"UTF8", "GBK"},
	{"UTF8", "LATIN1"},
	{"UTF8", "SQL_ASCII"},
	{"EUC_JP", "SJIS"},
	{"SQL_ASCII", "SJIS"},
}

// encodedWorld has all connections in that client_encoding; lib/pq gives its own in
// the startup message, so that a session has to ask for another.
func encodedWorld(t *testing.T, e dbtest.Engine, server, client string) *world {
	t.Helper()
	dsn := dbtest.Shared(t).Encoded(t, server)
	if client != "" && e.Driver == dbtest.PGX.Driver {
		dsn += " client_encoding=" + client
	}
	w := worldAt(t, e, dsn, &relay.Options{Environment: hostile})
	t.Cleanup(func() { _ = w.db.Close() })
	if client != "" {
		w.db.SetMaxOpenConns(1)
		_, err := w.db.ExecContext(ctx, "SET client_encoding = "+client)
		w.must(err)
	}
	return w
}

// Whatever a sink says, and whatever names are given, is stored: the cursor moves,
// and the sink is not called with the same again.
func TestFailuresInAnyEncoding(t *testing.T) {
	for _, c := range encodings {
		dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
			t.Run(c.server+" "+c.client, func(t *testing.T) {
				w := encodedWorld(t, e, c.server, c.client)
				w.sink.refuse = func(n string) error {
					if n == "bad" {
						return permanent{errors.New(hostile)}
					}
					return nil
				}
				other := w.target()
				other.Name = "sink/" + hostile
				w.must(w.store.Register(ctx, w.db, other.Name))
				w.commit("bad")
				w.commit("good")
				r := w.start(relay.Config{Batch: 1, Holder: hostile, Targets: []relay.Target{w.target(), other}})
				w.drain(r)
				w.checkTexts(c.server)
				w.must(r.Stop(ctx))
				if calls := w.sink.calls; calls != 4 {
					t.Errorf("the sinks were called %d times, want twice each", calls)
				}
				n, err := w.store.Dismiss(ctx, w.db, other.Name)
				w.must(err)
				p, err := w.store.Purge(ctx, w.db, relay.PurgeOptions{Before: time.Now().Add(time.Hour), By: hostile})
				if w.must(err); n != 1 || p.Events != 1 {
					t.Errorf("%d dismissed, %+v purged", n, p)
				}
			})
		}, dbtest.PostgresEngines()...)
	}
}

func (w *world) checkTexts(server string) {
	w.Helper()
	failed, err := w.store.Failures(ctx, w.db, "", true, 0)
	w.must(err)
	states, err := w.store.States(ctx, w.db)
	w.must(err)
	want := hostile
	if server != "UTF8" && server != "SQL_ASCII" {
		want = "<U+0142><U+8868><U+30BD><U+8A31><U+529F>" + strings.TrimPrefix(hostile, "ł表ソ許功")
	}
	if len(failed) != 2 || len(states) != 2 {
		w.Fatalf("%d failures of %d forwarders, want 2 of 2", len(failed), len(states))
	}
	names := ""
	for _, f := range failed {
		names += f.Forwarder
		if f.Error != want {
			w.Errorf("the error is %q, want %q", f.Error, want)
		}
	}
	if !strings.Contains(names, "sink/"+want) {
		w.Errorf("the forwarders are %q, want one named %q", names, "sink/"+want)
	}
	for _, s := range states {
		if s.Elsewhere || s.Behind != 0 || s.Holder != want {
			w.Errorf("%+v, want the holder %q", s, want)
		}
	}
}

// Text that cannot be stored for another reason is no reason to send the same entries
// again and again: each time that nothing can be written the pause is longer.
func TestFailureThatCannotBeWritten(t *testing.T) {
	each(t, func(w *world) {
		refuse, admit := "ALTER TABLE aftercommit.retries ADD CONSTRAINT none CHECK (false)", "ALTER TABLE aftercommit.retries DROP CONSTRAINT none"
		if w.e.Dialect == hooks.SQLite {
			refuse = "CREATE TRIGGER none BEFORE INSERT ON aftercommit_retries BEGIN SELECT RAISE(ABORT, 'none'); END"
			admit = "DROP TRIGGER none"
		}
		w.exec(refuse)
		w.sink.refuse = func(n string) error {
			if n == "bad" {
				return permanent{errTransient}
			}
			return nil
		}
		w.commit("bad")
		calls := func() int {
			w.sink.mu.Lock()
			defer w.sink.mu.Unlock()
			return w.sink.calls
		}
		r := w.start(relay.Config{})
		w.until("the first call", func() bool { return calls() == 1 })
		w.ticks(3) // what came of it could not be written
		for n, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
			w.clock.pass(pause * 7 / 8)
			if w.ticks(2); calls() != n+1 {
				w.Errorf("within the pause of %v the sink was called again", pause)
			}
			w.clock.pass(pause / 8)
			w.until(fmt.Sprintf("call %d", n+2), func() bool { return calls() == n+2 })
			for range 3 {
				r.Wake()
				w.ticks(1)
			}
			if got := calls(); got != n+2 {
				w.Errorf("after the pause of %v the sink was called %d times, want %d", pause, got, n+2)
			}
		}
		w.exec(admit)
		w.clock.pass(16 * time.Second)
		w.drain(r)
		if dead := w.failures(true); len(dead) != 1 || calls() != 6 {
			w.Errorf("%d failures after %d calls, want 1 after 6", len(dead), calls())
		}
		w.exec(strings.Replace(refuse, "(false)", "(false) NOT VALID", 1))
		w.commit("bad")
		w.until("another call", func() bool { return calls() == 7 })
		w.ticks(3)
		w.clock.pass(time.Second) // the first pause again
		w.until("the next call", func() bool { return calls() == 8 })
	})
}

func (w *world) exec(query string) {
	w.Helper()
	_, err := w.db.ExecContext(ctx, query)
	w.must(err)
}

// TestStatesInAnyEncoding: what processes have registered about a forwarder is found by its
// name as the server stores it, which may lack characters of the program's.
func TestStatesInAnyEncoding(t *testing.T) {
	for _, c := range []struct{ server, client string }{{"LATIN1", ""}, {"SQL_ASCII", ""}, {"EUC_JP", "SJIS"}} {
		dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
			t.Run(c.server+" "+c.client, func(t *testing.T) {
				w := encodedWorld(t, e, c.server, c.client)
				target := w.target()
				target.Name = "sink/" + hostile
				w.must(w.store.Register(ctx, w.db, target.Name))
				w.sink.whole = errTransient
				w.commit("a")
				for _, program := range []string{"one", "two"} {
					target.Identity.Text = program
					w.start(relay.Config{Program: program, Targets: []relay.Target{target}, Lease: offering})
				}
				named := func() (found relay.State) {
					states, err := w.store.States(ctx, w.db)
					w.must(err)
					for _, s := range states {
						if s.Forwarder != name {
							found = s
						}
					}
					return found
				}
				w.until("it is suspended in both, which differ", func() bool {
					s := named()
					return len(s.Suspended) == 2 && len(s.Conflict) == 2
				})
				wrong, err := relay.New(e.Dialect, nil)
				w.must(err)
				for _, n := range []string{target.Name, named().Forwarder} {
					if _, err := wrong.Resume(ctx, w.db, n, false); err == nil || !strings.Contains(err.Error(), "it is delivered here") {
						t.Errorf("Resume of %q: %v", n, err)
					}
				}
			})
		}, dbtest.PostgresEngines()...)
	}
}
