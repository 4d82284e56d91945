package forward

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// badCore is a logger's core that panics in one of its methods.
type badCore struct {
	zapcore.Core
	in string
}

func (c badCore) bad(method string) {
	if c.in == method {
		panic("bad in " + method)
	}
}

func (c badCore) Enabled(l zapcore.Level) bool {
	c.bad("Enabled")
	return c.Core.Enabled(l)
}

func (c badCore) With(fields []zapcore.Field) zapcore.Core {
	c.bad("With")
	return badCore{c.Core.With(fields), c.in}
}

func (c badCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	c.bad("Check")
	return to.AddCore(e, c)
}

func (c badCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	c.bad("Write")
	return c.Core.Write(e, fields)
}

func (c badCore) Sync() error {
	c.bad("Sync")
	return c.Core.Sync()
}

// TestLoggerThatPanics costs its lines, but no event, and ends no goroutine.
func TestLoggerThatPanics(t *testing.T) {
	for _, in := range []string{"Enabled", "With", "Check", "Write", "Sync"} {
		var failed bytes.Buffer
		core, logs := observer.New(zap.DebugLevel)
		hub := New(&Options{NoJournal: true, Logger: zap.New(badCore{core, in}, zap.ErrorOutput(zapcore.AddSync(&failed)))})
		bad := &taker{do: func(context.Context, []journal.Entry) error { return errors.New("refused") }}
		good := &taker{}
		hub.Register(bad, Sync, ID("bad"))
		hub.Register(good, Sync)
		opened, err := hub.Open(hooks.Database{Driver: "db", Dialect: hooks.SQLite})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, hub: hub, h: opened.(*handler), conn: sql.OpenDB(nowhere{})}
		w.h.named.Store(hub.log.With(zap.String("database", "orders")))
		w.end(hooks.Committed, "a.b")
		_ = w.h.log().Sync()
		good.wantGot(t, "a.b")
		lines, reported := logs.FilterMessageSnippet("not forwarded").Len(), strings.Contains(failed.String(), "bad in "+in)
		wantLine := in == "With" || in == "Sync"
		if wantReport := in == "Check" || in == "Write"; (lines > 0) != wantLine || reported != wantReport {
			t.Errorf("%s: %d lines; reported %q", in, lines, failed.String())
		}
	}
}

// failingCore cannot write.
type failingCore struct{ zapcore.Core }

func (c failingCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return to.AddCore(e, c)
}

func (failingCore) Write(zapcore.Entry, []zapcore.Field) error { return errors.New("the disk is full") }

// TestLoggerIsAsItWas: what guards it changes neither levels, fields and samples nor what
// becomes of its errors.
func TestLoggerIsAsItWas(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	log := safe(zap.New(zapcore.NewSampler(core, time.Hour, 2, 100)).With(zap.Int("a", 1))) //nolint:staticcheck // what zap 1.16 has, too
	for range 5 {
		log.Debug("below")
		log.Info("often", zap.Int("b", 2))
	}
	all := logs.All()
	if len(all) != 2 || all[0].Message != "often" || len(all[0].ContextMap()) != 2 {
		t.Errorf("lines %v, want the first two that are often, with two fields", all)
	}
	var failed bytes.Buffer
	safe(zap.New(failingCore{core}, zap.ErrorOutput(zapcore.AddSync(&failed)))).Info("lost")
	if got := failed.String(); strings.Count(got, "the disk is full") != 1 {
		t.Errorf("the error output has %q", got)
	}
}

// same is a forwarder that says once what it is, and then panics.
type same struct {
	taker
	asked int
}

func (s *same) SameDatabase() bool {
	if s.asked++; s.asked > 1 {
		panic("asked again")
	}
	return true
}

// TestSameDatabaseIsAskedOnce, in the app's call of Register and not by a goroutine
// beside the app.
func TestSameDatabaseIsAskedOnce(t *testing.T) {
	w := newWorld(t, func(h *Hub) { h.Register(&same{}, Sync) })
	for range 2 {
		if !w.h.target(w.h.sinks[0]).SameDatabase {
			t.Error("it is forgotten")
		}
	}
}

// attaches is a forwarder with an Attach.
type attaches struct {
	taker
	attach func() error
}

func (a *attaches) Attach(context.Context, *sql.DB) error { return a.attach() }

// TestAttachThatPanics fails the connection attempt, as any error does; so does an error
// that panics when it is looked into.
func TestAttachThatPanics(t *testing.T) {
	for name, attach := range map[string]func() error{
		"panic":     func() error { panic("oh") },
		"odd error": func() error { return (*oddError)(nil) },
		"odd cause": func() error { return &oddCause{} },
	} {
		w := newWorld(t, func(h *Hub) { h.Register(&attaches{attach: attach}, Sync) })
		var failed *attachError
		if err := w.h.attach(ctx, w.conn); !errors.As(err, &failed) || !strings.Contains(err.Error(), "panicked") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// nervous is a connector that panics.
type nervous struct{ nowhere }

func (nervous) Connect(context.Context) (driver.Conn, error) { panic("oh") }

// stopsBadly are workers that panic when they are to stop.
type stopsBadly struct{ stops }

func (*stopsBadly) Stop(context.Context) error { panic("oh") }

// TestConnectorThatPanics is one that cannot connect, beside the app.
func TestConnectorThatPanics(t *testing.T) {
	w := newWorld(t, nil)
	w.h.db.Connector = nervous{}
	db := sql.OpenDB(w.h.beside())
	defer db.Close()
	if err := db.PingContext(ctx); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("error %v", err)
	}
}

// TestWorkersThatPanic when they are stopped for a forwarder that was left out are followed
// by others.
func TestWorkersThatPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late, q := new(absent), new(moodyQueue)
		w := newWorld(t, func(h *Hub) { h.Register(late, Auto) })
		d := w.haveQueue(q)
		if err := d.attach(ctx, w.conn); err != nil {
			t.Fatal(err)
		}
		d.queue.workers, d.queue.stopWatch = new(stopsBadly), func(context.Context) {}
		late.ready.Store(true)
		d.lookAgain(nil)
		time.Sleep(firstPause)
		synctest.Wait()
		if got, want := q.started(), d.queue.given[0].name(); got != want {
			t.Errorf("the workers were started for %q, want %q", got, want)
		}
		if !w.logged(zap.WarnLevel, "did not stop without an error") {
			t.Error("the panic is not logged")
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}
