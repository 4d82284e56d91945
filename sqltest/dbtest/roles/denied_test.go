package roles_test

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// stranger is a role that has nothing but what a test grants.
type stranger struct {
	*world
	role string
	db   *sql.DB
}

func (w *world) stranger() *stranger {
	w.Helper()
	s := &stranger{world: w, role: dbtest.Name("stranger")}
	w.must(w.super.ExecContext(ctx, `CREATE ROLE "`+s.role+`" LOGIN`))
	w.Cleanup(func() { w.must(w.super.ExecContext(ctx, `DROP OWNED BY "`+s.role+`"; DROP ROLE "`+s.role+`"`)) })
	s.db = dbtest.Open(w.T, w.e.Driver, w.as(s.role))
	return s
}

// starts returns what the start of a program says: the error, or the warnings.
func (s *stranger) starts(o forward.Options, register func(h *forward.Hub)) func() error {
	return func() error {
		core, logs := observer.New(zapcore.WarnLevel)
		o.Logger = zap.New(core)
		hub := forward.New(&o)
		register(hub)
		name := dbtest.Name(s.e.Driver)
		driver.Register(name, s.e.Driver, hub)
		db := dbtest.Open(s.T, name, s.as(s.role))
		defer db.Close()
		if err := db.PingContext(ctx); err != nil {
			return err
		}
		return logged(logs)
	}
}

func (s *stranger) relays(register func(h *forward.Hub)) func() error {
	return func() error {
		hub := forward.New(&forward.Options{Logger: zap.NewNop()})
		register(hub)
		c, cancel := context.WithTimeout(ctx, dbtest.Patience)
		defer cancel()
		return hub.Relay(c, s.db, hooks.Postgres)
	}
}

// logged returns the first warning about missing rights, with its error.
func logged(logs *observer.ObservedLogs) error {
	for _, l := range logs.All() {
		if text, ok := l.ContextMap()["error"].(string); ok {
			return fmt.Errorf("%s: %s", l.Message, text)
		}
	}
	return nil
}

// calls are all that a program and an operator do.
func (s *stranger) calls() map[string]func() error {
	j, err := journal.New(hooks.Postgres, nil)
	s.must(err)
	rs, err := relay.New(hooks.Postgres, nil)
	s.must(err)
	tl := threadline.NewStore(s.db, hooks.Postgres, nil)
	e, err := hooks.Prepare(hooks.Event{Action: "order.paid"})
	s.must(err)
	auto := func(h *forward.Hub) { h.Register(&sink{}, forward.Auto) }
	line := func(h *forward.Hub) { h.Register(threadline.NewForwarder(nil), forward.Auto) }
	lineNo := func(h *forward.Hub) {
		h.Register(threadline.NewForwarder(&threadline.ForwarderOptions{NoMigrate: true}), forward.Auto)
	}
	old := time.Now().Add(-time.Hour)
	return map[string]func() error{
		"start in process":         s.starts(forward.Options{}, auto),
		"start async":              s.starts(forward.Options{}, func(h *forward.Hub) { h.Register(&sink{}, forward.Async) }),
		"start elsewhere":          s.starts(forward.Options{Relay: forward.RelayElsewhere}, auto),
		"start off":                s.starts(forward.Options{Relay: forward.RelayOff}, auto),
		"start NoMigrate":          s.starts(forward.Options{Journal: &journal.Options{NoMigrate: true}}, auto),
		"start timeline":           s.starts(forward.Options{Relay: forward.RelayOff}, line),
		"start timeline NoMigrate": s.starts(forward.Options{Relay: forward.RelayOff}, lineNo),
		"relay":                    s.relays(auto),
		"Journal.Connect":          func() error { return j.Connect(ctx, s.db) },
		"Journal.Write": func() error {
			_, err := j.Write(ctx, hooks.Flush{Conn: sqltest.Lent(s.db), Events: []hooks.Event{e}, Key: uuid.New(), Must: true})
			return err
		},
		"Journal.Written":  func() error { _, err := j.Written(ctx, s.db, []uuid.UUID{e.ID}); return err },
		"Journal.Claim":    func() error { _, err := j.Claim(ctx, s.db, []uuid.UUID{e.ID}); return err },
		"Journal.ByKey":    func() error { _, err := j.ByKey(ctx, s.db, []uuid.UUID{e.ID}); return err },
		"Journal.List":     func() error { _, err := j.List(ctx, s.db, journal.Query{}); return err },
		"Journal.Count":    func() error { _, err := j.Count(ctx, s.db, journal.Query{}); return err },
		"Store.Register":   func() error { return rs.Register(ctx, s.db, "x/default") },
		"Store.Registered": func() error { _, err := rs.Registered(ctx, s.db, "x/default"); return err },
		"Store.Announce":   func() error { return rs.Announce(ctx, s.db, "x/default") },
		"Store.Mark":       func() error { _, err := rs.Mark(ctx, s.db); return err },
		"Store.States":     func() error { _, err := rs.States(ctx, s.db); return err },
		"Store.Failures":   func() error { _, err := rs.Failures(ctx, s.db, "", false, 0); return err },
		"Store.Replay": func() error {
			_, err := rs.Replay(ctx, s.db, relay.Selection{Forwarder: "x/default", Discarded: true}, false)
			return err
		},
		"Store.Dismiss":     func() error { _, err := rs.Dismiss(ctx, s.db, "x/default"); return err },
		"Store.Retire":      func() error { return rs.Retire(ctx, s.db, "x/default") },
		"Store.Resume":      func() error { _, err := rs.Resume(ctx, s.db, "x/default", true); return err },
		"Store.Acknowledge": func() error { return rs.Acknowledge(ctx, s.db, "x/default", []journal.Position{{Key: e.ID}}) },
		"Store.Refuse":      func() error { return rs.Refuse(ctx, s.db, "x/default", []relay.Refusal{{ID: e.ID}}) },
		"Store.Size":        func() error { _, err := rs.Size(ctx, s.db); return err },
		"Store.Purge":       func() error { _, err := rs.Purge(ctx, s.db, relay.PurgeOptions{Before: old, By: "me"}); return err },
		"timeline Check":    func() error { return tl.Check(ctx) },
		"timeline Migrate":  func() error { return tl.Migrate(ctx) },
		"timeline Record":   func() error { return tl.Record(ctx, []journal.Entry{{Event: e}}) },
		"timeline Timeline": func() error { _, err := tl.Timeline(ctx, threadline.Query{}); return err },
		"timeline Get":      func() error { _, err := tl.Get(ctx, e.ID); return err },
	}
}

// TestDenied does all that a program and an operator do as a role that has nothing, or
// what the README grants: what is refused names the role, whose the schema is, and
// what to do.
func TestDenied(t *testing.T) {
	for _, e := range dbtest.PostgresEngines() {
		t.Run(e.Name, func(t *testing.T) {
			w := newWorld(t, e)
			s := w.stranger()
			s.says("with nothing", "Journal.Write") // which follows Connect
			w.install()
			s.says("with the schemas", "Journal.Write")
			s.grant("GRANT USAGE ON SCHEMA aftercommit TO {role}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO {role}")
			if all := s.says("with the journal"); !strings.Contains(all, "a forwarder is left out") {
				t.Errorf("the timeline's forwarder is not left out: %s", all)
			}
			s.grant("GRANT USAGE ON SCHEMA threadline TO {role}; GRANT EXECUTE ON FUNCTION threadline.record(json) TO {role}")
			if n := strings.Count(s.says("with README's grants"), "\n"); n < 15 {
				t.Errorf("%d calls are refused, want those of the relay and of readers", n)
			}
		})
	}
}

func (s *stranger) grant(sql string) {
	s.Helper()
	s.must(s.owner.ExecContext(ctx, strings.ReplaceAll(sql, "{role}", `"`+s.role+`"`)))
}

var nextStep = regexp.MustCompile("run as role|run as the owner|connect as role|connect as the owner|run what journal.Schema|run (?:Store|capture.Installer).Migrate|Store.Migrate makes it|Hub.Relay")

// says makes each call, and returns what those say that are refused, in lines.
func (s *stranger) says(state string, but ...string) (all string) {
	s.Helper()
	installed := s.count("SELECT pg_catalog.count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'aftercommit'") > 0
	for name, call := range s.calls() {
		err := call()
		if err == nil || slices.Contains(but, name) {
			continue
		}
		text := err.Error()
		all += text + "\n"
		if !nextStep.MatchString(text) {
			s.Errorf("%s, %s: nothing to do in: %s", state, name, text)
		}
		denied := hooks.SQLState(err) == denied || strings.Contains(text, "permission denied")
		if denied && !strings.Contains(text, `"`+s.role+`"`) {
			s.Errorf("%s, %s: no role in: %s", state, name, text)
		}
		if denied && installed && !strings.Contains(text, `"`+s.ownerRole+`"`) {
			s.Errorf("%s, %s: no owner in: %s", state, name, text)
		}
	}
	return all
}
