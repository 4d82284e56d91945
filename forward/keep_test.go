package forward

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// minder is a Keeper that does what it is told.
type minder struct {
	mu       sync.Mutex
	times    int
	dialects string
	do       func(ctx context.Context) (done, warnings []string, err error)
}

func (m *minder) Keep(ctx context.Context, _ *sql.DB) (done, warnings []string, err error) {
	m.mu.Lock()
	m.times++
	m.dialects += string(Dialect(ctx)) + " "
	do := m.do
	m.mu.Unlock()
	return do(ctx)
}

func (m *minder) set(do func(ctx context.Context) (done, warnings []string, err error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.do = do
}

func (m *minder) called() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.times
}

func fails(err error) func(context.Context) (done, warnings []string, err error) {
	return func(context.Context) ([]string, []string, error) { return nil, nil, err }
}

// kept is a world on PostgreSQL that has a minder.
func kept(t *testing.T, m *minder) *world {
	t.Helper()
	w := newWorld(t, func(h *Hub) { h.Keep(m) })
	w.h = w.open(hooks.Postgres)
	w.h.db.Connector = nowhere{}
	return w
}

// warnings are the lines about the minder.
func (w *world) warnings() string {
	var lines []string
	for _, l := range w.logs.All() {
		if l.Level == zapcore.WarnLevel {
			lines = append(lines, strings.TrimSpace(fmt.Sprintln(l.Message, l.ContextMap()["error"], l.ContextMap()["sql"])))
		}
	}
	return strings.Join(lines, "\n")
}

type needs struct{ error }

func (needs) Statements() string { return "GRANT" }

// TestKeepAgain: a Keeper is called again less and less often until it succeeds, and then when the
// schema has changed.
func TestKeepAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &minder{do: fails(errNowhere)}
		w := kept(t, m)
		w.h.keep()
		w.h.keep() // as for a second connection
		want := func(when string, after time.Duration, times int) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := m.called(); got != times {
				t.Errorf("%s: called %d times, want %d", when, got, times)
			}
		}
		want("at once", 0, 1)
		want("after 20 s", 20*time.Second, 7) // at 0, 1/4, 3/4, 7/4, 15/4, 31/4 and 63/4 s
		m.set(fails(nil))
		want("once it succeeds", 12*time.Second, 8)
		want("much later", time.Hour, 8)
		w.end(hooks.Committed, "orders.inserted")
		w.end(hooks.RolledBack, "schema.changed")
		want("after other transactions", time.Minute, 8)
		w.end(hooks.Committed, "orders.inserted", "schema.changed")
		want("after a change of the schema", 0, 9)
		w.end(hooks.Committed, "schema.changed")
		w.end(hooks.Committed, "schema.changed")
		want("after two more at once", 0, 9)
		want("a second later", wokenPause, 10)
		if err := w.h.Close(); err != nil {
			t.Error(err)
		}
		w.end(hooks.Committed, "schema.changed")
		want("after Close", time.Hour, 10)
		if m.dialects != strings.Repeat("postgres ", 10) {
			t.Errorf("the dialects are %s", m.dialects)
		}
	})
}

// TestKeepEnds: Close ends a call, and does not wait for one that does not return.
func TestKeepEnds(t *testing.T) {
	for name, wait := range map[string]func(ctx context.Context) <-chan struct{}{
		"with its context": func(ctx context.Context) <-chan struct{} { return ctx.Done() },
		"not at all":       func(context.Context) <-chan struct{} { return make(chan struct{}) },
	} {
		t.Run(name, func(t *testing.T) {
			entered, leave := make(chan struct{}), make(chan struct{})
			m := &minder{do: func(ctx context.Context) ([]string, []string, error) {
				close(entered)
				select {
				case <-wait(ctx):
				case <-leave:
				}
				return nil, nil, ctx.Err()
			}}
			w := kept(t, m)
			w.h.keep()
			<-entered
			c, cancel := context.WithCancel(ctx)
			if name == "not at all" {
				cancel()
			}
			defer cancel()
			if err := w.h.closeQueue(c); (err != nil) != (name == "not at all") {
				t.Errorf("Close: %v", err)
			}
			close(leave)
			<-w.h.keeping.over
		})
	}
}

// TestKeepSays: what was done and warnings are logged, errors once they do not go away, and each once.
func TestKeepSays(t *testing.T) {
	m := &minder{}
	w := kept(t, m)
	const prefix = "aftercommit: the database is not as Hub.Keep wants it; that is tried again, and the app goes on "
	for _, c := range []struct {
		name string
		do   func(context.Context) (done, warnings []string, err error)
		pass time.Duration
		want string // the warnings so far
	}{
		{"an error that may go away", fails(errNowhere), 0, ""},
		{"it does not", fails(errNowhere), quietTime, prefix + "there is no such database <nil>"},
		{"it still does not", fails(errNowhere), time.Hour, prefix + "there is no such database <nil>"},
		{"another", fails(errors.New("other")), 0, prefix + "there is no such database <nil>\n" + prefix + "other <nil>"},
	} {
		w.pass(c.pass)
		m.set(c.do)
		_ = w.h.keepNow(ctx)
		if got := w.warnings(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	w.logs.TakeAll()
	for range 2 {
		m.set(func(context.Context) ([]string, []string, error) { return []string{"made"}, []string{"odd"}, nil })
		if err := w.h.keepNow(ctx); err != nil {
			t.Error(err)
		}
	}
	if n := w.logs.FilterMessage("aftercommit: the database was changed: made").Len(); n != 2 || w.warnings() != "aftercommit: odd <nil> <nil>" {
		t.Errorf("%d lines of what was done; warnings: %q", n, w.warnings())
	}
	w.logs.TakeAll()
	for range 2 {
		m.set(fails(Permanent("denied", needs{errors.New("may not")})))
		if err := w.h.keepNow(ctx); err == nil {
			t.Error("there is no error")
		}
	}
	if got := w.warnings(); got != strings.TrimSpace(prefix)+"; run:\nGRANT denied: may not GRANT" {
		t.Errorf("an error that needs an operator: %q", got)
	}
	m.set(func(context.Context) ([]string, []string, error) { panic("oh") })
	if err := w.h.keepNow(ctx); err == nil || !strings.Contains(err.Error(), "panic in *forward.minder: oh") {
		t.Errorf("a panic: %v", err)
	}
}

// TestAwaitKept: it tries again until it succeeds, unless that needs an operator.
func TestAwaitKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &minder{do: fails(errNowhere)}
		w := kept(t, m)
		if err := w.hub.AwaitKept(ctx); err != nil || m.called() > 0 {
			t.Errorf("before the first connection: %v, called %d times", err, m.called())
		}
		w.hub.keepOpen(w.h)
		go func() {
			time.Sleep(time.Minute)
			m.set(fails(nil))
		}()
		if err := w.hub.AwaitKept(ctx); err != nil || m.called() < 3 {
			t.Errorf("%v, called %d times", err, m.called())
		}
		m.set(fails(errNowhere))
		c, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := w.hub.AwaitKept(c); !errors.Is(err, errNowhere) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("when ctx ends: %v", err)
		}
		m.set(fails(Permanent("denied", errNowhere)))
		if err := w.hub.AwaitKept(ctx); !errors.Is(err, errNowhere) {
			t.Errorf("one that needs an operator: %v", err)
		}
		if err := w.h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestKeepMisuse: a mistake of the program is found when it starts.
func TestKeepMisuse(t *testing.T) {
	for want, keep := range map[string]func(){
		"Keep of a nil Keeper":                                func() { New(nil).Keep(nil) },
		"Keep of *forward.minder after a database was opened": func() { newWorld(t, nil).hub.Keep(&minder{}) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
					t.Errorf("panic %s, want %s", got, want)
				}
			}()
			keep()
		}()
	}
	w := newWorld(t, func(h *Hub) { h.Keep(&minder{}) })
	w.h.db.Connector = nowhere{}
	w.h.keep() // on SQLite
	if w.h.keeping.cancel != nil {
		t.Error("it works on SQLite, where a second writer disturbs the app")
	}
}
