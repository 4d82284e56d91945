// Package journal_test runs the journal, and the Hub above it, against real
// databases.
package journal_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var ctx = context.Background()

// lent is a *sql.DB of one connection that keeps it whatever state it is in, as
// the driver lends it to a Handler: Begin, Commit and Close do nothing.
type lent struct{ base driver.Conn }

func (l *lent) Connect(context.Context) (driver.Conn, error) { return l, nil }
func (l *lent) Driver() driver.Driver                        { return nil }
func (l *lent) Prepare(query string) (driver.Stmt, error)    { return l.base.Prepare(query) }
func (l *lent) Close() error                                 { return nil }
func (l *lent) Begin() (driver.Tx, error)                    { return l, nil }
func (l *lent) Commit() error                                { return nil }
func (l *lent) Rollback() error                              { return nil }
func (l *lent) CheckNamedValue(v *driver.NamedValue) error {
	if c, ok := l.base.(driver.NamedValueChecker); ok {
		return c.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (l *lent) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	return l.base.(driver.ExecerContext).ExecContext(ctx, q, args)
}

func (l *lent) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	return l.base.(driver.QueryerContext).QueryContext(ctx, q, args)
}

// session is one connection of an app, and its raw transaction control.
type session struct {
	t    testing.TB
	conn *sql.DB // as lent to a Handler
}

func newSession(tb testing.TB, db *sql.DB) *session {
	tb.Helper()
	c, err := db.Conn(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	s := &session{t: tb}
	err = c.Raw(func(base any) error {
		s.conn = sql.OpenDB(&lent{base.(driver.Conn)})
		s.conn.SetMaxOpenConns(1)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = s.conn.Close()
		// Whatever state it is in, nobody is to get it again.
		_ = c.Raw(func(any) error { return driver.ErrBadConn })
		_ = c.Close()
	})
	return s
}

func (s *session) exec(query string) {
	s.t.Helper()
	if _, err := s.conn.ExecContext(ctx, query); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
}

func (s *session) text(query string) string {
	s.t.Helper()
	var v sql.NullString
	if err := s.conn.QueryRowContext(ctx, query).Scan(&v); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return v.String
}

// write flushes events as a transaction that has written would.
func (s *session) write(j *journal.Journal, tx int64, events ...hooks.Event) {
	s.t.Helper()
	s.writeAs(j, newKey(), tx, events...)
}

// writeAs is write with that key.
func (s *session) writeAs(j *journal.Journal, key uuid.UUID, tx int64, events ...hooks.Event) {
	s.t.Helper()
	written, err := j.Write(ctx, hooks.Flush{Conn: sqltest.Lent(s.conn), Events: events, Key: key, Tx: tx, Must: true, Timeout: dbtest.Patience})
	if err != nil || !written {
		s.t.Fatalf("Write = %v, %v; want true, nil", written, err)
	}
}

// rig is an app's database with a journal in it.
type rig struct {
	*session
	e  dbtest.Engine
	db *sql.DB
	j  *journal.Journal
}

func newRig(tb testing.TB, e dbtest.Engine) *rig {
	tb.Helper()
	r := &rig{e: e, db: dbtest.Open(tb, e.Driver, e.DSN(tb)), j: newJournal(tb, e.Dialect, nil)}
	r.connected(tb, func() error { return r.j.Connect(ctx, r.conn) })
	r.exec("CREATE TABLE orders (id integer primary key)")
	return r
}

// connected gives r a session for which connect succeeds: the first, unless it is lost
// meanwhile, for which database/sql would open another as well.
func (r *rig) connected(tb testing.TB, connect func() error) {
	tb.Helper()
	for tries := 1; ; tries++ {
		r.session = newSession(tb, r.db)
		err := connect()
		if err == nil {
			return
		}
		if tries == 5 || !errors.Is(err, driver.ErrBadConn) {
			tb.Fatal(err)
		}
	}
}

func newJournal(tb testing.TB, d hooks.Dialect, o *journal.Options) *journal.Journal {
	tb.Helper()
	j, err := journal.New(d, o)
	if err != nil {
		tb.Fatal(err)
	}
	return j
}

func (r *rig) connect(s *session) {
	s.t.Helper()
	if err := r.j.Connect(ctx, s.conn); err != nil {
		s.t.Fatal(err)
	}
}

func newKey() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// of returns the entries of those events that the journal has, read over s.
func (r *rig) of(s *session, events ...hooks.Event) (found []journal.Entry, err error) {
	for e, err := range r.j.Each(ctx, s.conn, journal.Query{}) {
		if err != nil {
			return nil, err
		}
		if slices.Contains(ids(events), e.ID) {
			found = append(found, e)
		}
	}
	return found, nil
}

func (r *rig) entries() []journal.Entry {
	r.t.Helper()
	list, err := r.j.List(ctx, r.conn, journal.Query{Limit: 10_000})
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func event(action string) hooks.Event {
	e, err := hooks.Prepare(hooks.Event{Action: action})
	if err != nil {
		panic(err)
	}
	return e
}

func events(n int) []hooks.Event {
	list := make([]hooks.Event, n)
	for i := range list {
		list[i] = event(fmt.Sprintf("order.step_%d", i))
	}
	return list
}

func ids(events []hooks.Event) []uuid.UUID {
	list := make([]uuid.UUID, len(events))
	for i := range events {
		list[i] = events[i].ID
	}
	return list
}

func actions(entries []journal.Entry) string {
	names := make([]string, len(entries))
	for i := range entries {
		names[i] = entries[i].Action
	}
	return strings.Join(names, " ")
}

// fullEvent has every field set, found by reflection, so that a field that is
// added later cannot be forgotten in the tables.
func fullEvent(t *testing.T) hooks.Event {
	t.Helper()
	e := event("order.refunded")
	e.Outcome = hooks.Failure
	e.Actor.Type = hooks.ServiceAccount
	e.OccurredAt = time.Date(2026, 2, 28, 23, 59, 59, 123456000, time.UTC)
	e.Metadata = map[string]any{"note": "two\nlines, a ' and a \\ and \"quotes\"", "list": []any{"x", true, nil}}
	fillStrings(reflect.ValueOf(&e).Elem(), "")
	e.Captured = true
	v := reflect.ValueOf(e)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("this test does not set the field %s", v.Type().Field(i).Name)
		}
	}
	return e
}

func fillStrings(v reflect.Value, path string) {
	for i := range v.NumField() {
		f, name := v.Field(i), path+v.Type().Field(i).Name
		switch {
		case f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[time.Time]():
			fillStrings(f, name+".")
		case f.Kind() == reflect.String && f.String() == "":
			f.SetString(name + `: Grüße, ' \ " 🙂 <&>`)
		}
	}
}

func canceled() context.Context {
	c, cancel := context.WithCancel(ctx)
	cancel()
	return c
}
