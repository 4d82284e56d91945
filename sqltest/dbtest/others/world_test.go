// Package others_test puts wrapping drivers that others wrote above and below
// the audited one, in every way in which they are opened, and asks that the
// trail is the same as without them.
package others_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// The app's tables: lines refer to orders at COMMIT.
var tables = []string{
	"CREATE TABLE orders (id bigint PRIMARY KEY, note text)",
	"CREATE TABLE lines (id bigint PRIMARY KEY, ord bigint REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)",
}

// world is an empty database, and a name under which it is audited.
type world struct {
	*testing.T
	e        dbtest.Engine
	dsn      string
	bare     *sql.DB
	name     string // of the audited driver
	recorder *sqltest.Recorder
}

// newWorld audits the driver of the name base, or the engine's own if that is
// empty.
func newWorld(t *testing.T, e dbtest.Engine, base string, opts ...driver.Option) *world {
	t.Helper()
	w := &world{T: t, e: e, dsn: e.DSN(t), name: dbtest.Name(e.Driver)}
	if e.Dialect == hooks.SQLite {
		w.dsn += "&_pragma=foreign_keys(1)"
	}
	w.bare = dbtest.Open(t, e.Driver, w.dsn)
	for _, query := range tables {
		w.must(w.bare.ExecContext(ctx(), query))
	}
	if base == "" {
		base = e.Driver
	}
	w.recorder = w.register(w.name, base, nil, opts...)
	return w
}

// register audits base under name, with a Hub and a sink of its own.
func (w *world) register(name, base string, journal *journal.Options, opts ...driver.Option) *sqltest.Recorder {
	w.Helper()
	hub, r := newHub(w.T, journal)
	driver.Register(name, base, hub, append([]driver.Option{driver.Capture(driver.AllTables()), driver.WriteTimeout(dbtest.Patience)}, opts...)...)
	return r
}

func newHub(t *testing.T, journal *journal.Options) (*forward.Hub, *sqltest.Recorder) {
	t.Helper()
	hub, r := forward.New(&forward.Options{Logger: zap.NewNop(), Journal: journal, Relay: forward.RelayOff, Timeout: dbtest.Patience}), sqltest.NewRecorder()
	hub.Register(r, forward.Sync)
	t.Cleanup(func() { _ = hub.Close(context.Background()) })
	return hub, r
}

func ctx() context.Context { return context.Background() }

// must takes what a call returns and ends the test on an error.
func (w *world) must(results ...any) {
	w.Helper()
	if err, ok := results[len(results)-1].(error); ok && err != nil {
		w.Fatal(err)
	}
}

// adopt closes db when the test ends.
func (w *world) adopt(db *sql.DB, err error) *sql.DB {
	w.Helper()
	w.must(err)
	w.Cleanup(func() { _ = db.Close() })
	return db
}

// played is what the trail has after play, one event a line.
var played = []string{
	"orders.inserted #1", "order.noted #kept", // committed
	"orders.inserted #4", "order.noted #after the savepoint",
	"orders.inserted #6", // RETURNING
	"orders.inserted #7", // prepared
	"orders.inserted #8", // in a raw transaction
	"order.noted #alone",
	"orders.deleted #1",
}

// play does what apps do.
func (w *world) play(db *sql.DB) {
	w.Helper()
	insert := w.e.Rebind("INSERT INTO orders (id) VALUES (?)")
	w.inTx(db, true, func(tx *sql.Tx) {
		w.must(tx.ExecContext(ctx(), insert, 1))
		w.record(tx, "kept")
	})
	w.inTx(db, false, func(tx *sql.Tx) {
		w.must(tx.ExecContext(ctx(), insert, 2))
		w.record(tx, "rolled back")
	})
	w.refused(db, insert)
	w.inTx(db, true, func(tx *sql.Tx) {
		w.must(tx.ExecContext(ctx(), "SAVEPOINT s"))
		w.must(tx.ExecContext(ctx(), insert, 3))
		w.record(tx, "under the savepoint")
		w.must(tx.ExecContext(ctx(), "ROLLBACK TO SAVEPOINT s"))
		w.must(tx.ExecContext(ctx(), insert, 4))
		w.record(tx, "after the savepoint")
	})
	var id int
	w.must(db.QueryRowContext(ctx(), w.e.Rebind("INSERT INTO orders (id) VALUES (?) RETURNING id"), 6).Scan(&id))
	st, err := db.PrepareContext(ctx(), insert)
	w.must(err)
	w.must(st.ExecContext(ctx(), 7))
	w.must(st.Close())
	conn, err := db.Conn(ctx())
	w.must(err)
	w.must(conn.ExecContext(ctx(), "BEGIN"))
	w.must(conn.ExecContext(ctx(), insert, 8))
	w.must(conn.ExecContext(ctx(), "COMMIT"))
	w.must(conn.Close())
	w.record(db, "alone")
	w.must(db.ExecContext(ctx(), w.e.Rebind("DELETE FROM orders WHERE id = ?"), 1))
}

func (w *world) inTx(db *sql.DB, commit bool, f func(tx *sql.Tx)) {
	w.Helper()
	tx, err := db.BeginTx(ctx(), nil)
	w.must(err)
	defer tx.Rollback()
	f(tx)
	if commit {
		w.must(tx.Commit())
	}
}

// refused has the COMMIT refused for a reference that leads nowhere. The app gets
// what the base driver says.
func (w *world) refused(db *sql.DB, insert string) {
	w.Helper()
	tx, err := db.BeginTx(ctx(), nil)
	w.must(err)
	defer tx.Rollback()
	w.must(tx.ExecContext(ctx(), insert, 5))
	w.must(tx.ExecContext(ctx(), "INSERT INTO lines VALUES (1, 99)"))
	w.record(tx, "refused")
	err = tx.Commit()
	if err == nil || w.e.Dialect == hooks.Postgres && hooks.SQLState(err) != "23503" {
		w.Errorf("Commit says %v, want the foreign key's error", err)
	}
}

func (w *world) record(h hooks.Handle, id string) {
	w.Helper()
	w.must(hooks.Record(ctx(), h, hooks.Event{Action: "order.noted", Target: hooks.Target{Type: "order", ID: id}}))
}

// wantPlayed asks that the journal and the sink have what play leaves.
func (w *world) wantPlayed() {
	w.Helper()
	w.want(nil, w.recorder, played)
}

func (w *world) want(options *journal.Options, r *sqltest.Recorder, lines []string) {
	w.Helper()
	j, err := journal.New(w.e.Dialect, options)
	w.must(err)
	var written []string
	for entry, err := range j.Each(ctx(), w.bare, journal.Query{}) {
		w.must(err)
		written = append(written, line(entry))
	}
	var forwarded []string
	for _, entry := range r.Entries() {
		forwarded = append(forwarded, line(entry))
	}
	w.wantLines("the journal has", written, lines)
	w.wantLines("forwarded were", forwarded, lines)
	var n int
	w.must(w.bare.QueryRowContext(ctx(), "SELECT count(*) FROM orders").Scan(&n))
	if n != 4 {
		w.Errorf("%d orders, want 4", n)
	}
}

func (w *world) wantLines(what string, got, want []string) {
	w.Helper()
	if !slices.Equal(got, want) {
		w.Errorf("%s\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func line(e journal.Entry) string { return fmt.Sprintf("%s #%s", e.Action, e.Target.ID) }

// wantRaw asks that driver.Raw gives the connection below the audited one, as
// kind names its type, and that what is done with it is the transaction's.
func (w *world) wantRaw(db *sql.DB, kind string) {
	w.Helper()
	conn, err := db.Conn(ctx())
	w.must(err)
	defer conn.Close()
	tx, err := conn.BeginTx(ctx(), nil)
	w.must(err)
	defer tx.Rollback()
	w.must(tx.ExecContext(ctx(), "DELETE FROM orders"))
	w.must(conn.Raw(func(dc any) error {
		c := driver.Raw(dc)
		if typeOf(c) != kind {
			return fmt.Errorf("Raw of %T gives %T, want %s", dc, c, kind)
		}
		_, err := c.(sqldriver.ExecerContext).ExecContext(ctx(), "INSERT INTO orders (id) VALUES (50)", nil)
		return err
	}))
	w.must(tx.Rollback())
}
