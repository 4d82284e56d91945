package delivery_test

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// An app may change its session's client_encoding at any time, also to one that
// lacks characters of what is recorded: sinks and the timeline get the same texts.
func TestClientEncodingOfTheSession(t *testing.T) {
	set := map[string]string{
		"SET":          "SET client_encoding TO 'LATIN1'",
		"SET NAMES":    "SET NAMES 'SJIS'",
		"set_config":   "SELECT set_config('client_encoding', 'WIN1252', false)",
		"bytea_output": "SET client_encoding TO 'LATIN1'; SET bytea_output = 'escape'",
		"SQL_ASCII":    "SET client_encoding TO 'SQL_ASCII'",
	}
	for _, mode := range []string{"", "exec"} {
		for how, query := range set {
			each(t, func(w *world) {
				if mode != "" {
					w.dsn += " default_query_exec_mode=" + mode
				}
				changeEncoding(w, how, query)
			}, enginesOf(mode)...)
		}
	}
}

func enginesOf(mode string) []dbtest.Engine {
	if mode != "" {
		return []dbtest.Engine{dbtest.PGX}
	}
	return nil
}

func changeEncoding(w *world, how, query string) {
	w.Helper()
	recorder := sqltest.NewRecorder()
	a := w.start(forward.Options{}, func(h *forward.Hub) {
		h.Register(recorder, forward.Sync)
		h.Register(threadline.NewForwarder(nil), forward.Sync)
	})
	a.db.SetMaxOpenConns(1)
	a.must(a.db.ExecContext(ctx, query))
	names := []string{"Müller", "Łukasz 表ソ 😀"}
	for _, name := range names {
		c := hooks.WithActor(ctx, hooks.Actor{Type: hooks.User, ID: "1", Name: name})
		tx, err := a.db.BeginTx(c, nil)
		a.must(err)
		a.must(tx.ExecContext(c, "INSERT INTO orders SELECT count(*) FROM orders"))
		a.must(hooks.Record(c, tx, hooks.Event{Action: "order.placed", Comment: name, Metadata: map[string]any{name: name}}))
		a.must(tx.Commit())
	}
	if n := w.sink.told(hooks.NoticeFailed, "sync"); n > 0 {
		a.Errorf("after %s %d deliveries failed", how, n)
	}
	entries := recorder.Entries()
	page, err := threadline.NewStore(w.bare, hooks.Postgres, nil).Timeline(ctx, threadline.Query{})
	a.must(err)
	inSession, err := threadline.NewStore(a.db, hooks.Postgres, nil).Timeline(ctx, threadline.Query{})
	a.must(err)
	if len(entries) != len(names) || len(page.Actions) != len(names) || len(inSession.Actions) != len(names) {
		a.Fatalf("after %s sinks got %d, the timeline %d and %d", how, len(entries), len(page.Actions), len(inSession.Actions))
	}
	for i, name := range names {
		newestFirst := len(names) - 1 - i
		for what, e := range map[string]journal.Entry{
			"sink": entries[i], "timeline": page.Actions[newestFirst].Entry, "timeline over the session": inSession.Actions[newestFirst].Entry,
		} {
			a.is(fmt.Sprintf("%s after %s", what, how), e.Actor.Name+e.Comment+fmt.Sprint(e.Metadata[name]), name+name+name)
		}
	}
}

// A role's setting holds from the start, and the role's name is in that encoding too.
func TestClientEncodingOfTheRole(t *testing.T) {
	each(t, func(w *world) {
		role := dbtest.Name("app") + "_Müller"
		w.must(w.bare.ExecContext(ctx, `CREATE ROLE "`+role+`" LOGIN SUPERUSER; ALTER ROLE "`+role+`" SET client_encoding = 'LATIN1'`))
		w.Cleanup(func() { w.must(w.bare.ExecContext(ctx, `DROP OWNED BY "`+role+`"; DROP ROLE "`+role+`"`)) })
		recorder := sqltest.NewRecorder()
		w.dsn += " user=" + role
		a := w.start(forward.Options{Relay: forward.RelayOff}, func(h *forward.Hub) { h.Register(recorder, forward.Sync) })
		c := hooks.WithActor(ctx, hooks.Actor{Type: hooks.User, ID: "1", Name: "Łukasz"})
		a.must(inTx(a.db, func(tx *sql.Tx) error {
			a.must(tx.ExecContext(c, "INSERT INTO orders VALUES (1)"))
			return hooks.Record(c, tx, hooks.Event{Action: "order.placed"})
		}))
		for _, e := range recorder.Entries() {
			a.is("actor and role", e.Actor.Name+" "+e.Role, "Łukasz "+role)
		}
		if n := len(recorder.Entries()); n != 1 {
			a.Errorf("%d entries arrived, want 1", n)
		}
		a.must(a.db.Close())
		a.must(a.hub.Close(ctx))
	})
}

func inTx(db *sql.DB, f func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err == nil {
		err = f(tx)
	}
	if err == nil {
		err = tx.Commit()
	}
	return err
}
