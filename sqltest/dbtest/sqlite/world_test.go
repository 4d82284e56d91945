// Package sqlite_test is what an app on SQLite notices of its audit trail: what is
// made in its files, when, and what is locked for it.
package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var ctx = context.Background()

// world is an app as the README adopts it, with a sink beside the timeline.
type world struct {
	*testing.T
	path     string
	name     string // of the wrapped driver
	recorder *sqltest.Recorder
	logs     *observer.ObservedLogs
	bare     *sql.DB
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, "sqlite")
}

// newWorldOn is newWorld over the base driver of a name.
func newWorldOn(t *testing.T, base string, options ...driver.Option) *world {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	w := &world{T: t, path: filepath.Join(t.TempDir(), "app.db"), name: dbtest.Name("sqlite"), recorder: sqltest.NewRecorder(), logs: logs}
	hub := forward.New(&forward.Options{Logger: zap.New(core), Timeout: dbtest.Patience})
	hub.Register(threadline.NewForwarder(nil), forward.Auto)
	hub.Register(w.recorder, forward.Auto)
	options = append(options, driver.Capture(driver.AllTables()), driver.WriteTimeout(dbtest.Patience))
	driver.Register(w.name, base, hub, options...)
	w.bare = dbtest.Open(t, "sqlite", w.file("_pragma=busy_timeout(180000)"))
	return w
}

// file is the DSN of the app's file.
func (w *world) file(params ...string) string {
	return "file:" + w.path + "?" + strings.Join(params, "&")
}

// open opens the app's file through the wrapper.
func (w *world) open(params ...string) *sql.DB {
	w.Helper()
	return dbtest.Open(w.T, w.name, w.file(params...))
}

func (w *world) must(results ...any) {
	w.Helper()
	if err, ok := results[len(results)-1].(error); ok && err != nil {
		w.Fatal(err)
	}
}

// reader is a *sql.DB, *sql.Conn or *sql.Tx.
type reader interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (w *world) text(r reader, query string) string {
	w.Helper()
	var v sql.NullString
	w.must(r.QueryRowContext(ctx, query).Scan(&v))
	return v.String
}

// conn is a connection that stays the test's.
func (w *world) conn(db *sql.DB) *sql.Conn {
	w.Helper()
	c, err := db.Conn(ctx)
	w.must(err)
	w.Cleanup(func() { _ = c.Close() })
	return c
}

const ours = "SELECT count(*) FROM sqlite_master WHERE name LIKE 'aftercommit%' OR name LIKE 'threadline%'"

// wantNothing asks that there is nothing of ours.
func (w *world) wantNothing(r reader) {
	w.Helper()
	if got := w.text(r, ours); got != "0" {
		w.Errorf("%s tables and views of the audit trail, want none", got)
	}
}

// wantTrail asks for actions, oldest first, in the journal and in the timeline.
func (w *world) wantTrail(r reader, actions string) {
	w.Helper()
	if got := w.text(r, "SELECT group_concat(action, ' ') FROM (SELECT action FROM aftercommit_audit_events ORDER BY seq, ordinal)"); got != actions {
		w.Errorf("journal [%s], want [%s]", got, actions)
	}
	if got := w.text(r, "SELECT group_concat(name, ' ') FROM (SELECT name FROM threadline_audit_actions ORDER BY recorded_at, seq)"); got != actions {
		w.Errorf("timeline [%s], want [%s]", got, actions)
	}
}

// warnings returns the log from warnings up.
func (w *world) warnings() string {
	var all []string
	for _, l := range w.logs.All() {
		if l.Level >= zapcore.WarnLevel && !strings.Contains(l.Message, "no actor") {
			all = append(all, l.Message)
		}
	}
	return strings.Join(all, "\n")
}

func record(h hooks.Handle, action string) error {
	return hooks.Record(ctx, h, hooks.Event{Action: action})
}
