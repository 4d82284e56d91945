package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// world is an app with an audited MariaDB, and what it can be compared with.
type world struct {
	testing.TB
	cfg      *mysql.Config
	name     string
	db       *sql.DB // audited
	bare     *sql.DB
	recorder *sqltest.Recorder
	notices  *notices
}

func newWorld(t *testing.T, opts ...driver.Option) *world {
	t.Helper()
	return newWorldOn(t, sharedServer(t), opts...)
}

func newWorldOn(t *testing.T, s *server, opts ...driver.Option) *world {
	t.Helper()
	return newWorldIn(t, s.database(t), opts...)
}

// newWorldIn is one in a database that there is.
func newWorldIn(t *testing.T, cfg *mysql.Config, opts ...driver.Option) *world {
	t.Helper()
	w := &world{TB: t, cfg: cfg, recorder: sqltest.NewRecorder(), notices: &notices{}}
	hub := forward.New(&forward.Options{NoJournal: true, Logger: zap.NewNop(), Observer: w.notices, Timeout: dbtest.Patience})
	hub.Register(w.recorder, forward.Auto)
	t.Cleanup(func() { _ = hub.Close(context.Background()) })
	w.name = dbtest.Name("mysql")
	driver.Register(w.name, "mysql", hub, append([]driver.Option{driver.Capture(driver.AllTables()), driver.WriteTimeout(dbtest.Patience)}, opts...)...)
	w.cfg.MultiStatements = true
	w.db = dbtest.Open(t, w.name, w.cfg.FormatDSN())
	w.bare = dbtest.Open(t, "mysql", w.cfg.FormatDSN())
	w.exec(w.bare, "CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL DEFAULT 0) ENGINE InnoDB")
	return w
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (w *world) exec(h execer, queries ...string) {
	w.Helper()
	for _, q := range queries {
		if _, err := h.ExecContext(context.Background(), q); err != nil {
			w.Fatalf("%s: %v", q, err)
		}
	}
}

// fails executes what must fail with an error of that number.
func (w *world) fails(h execer, number uint16, query string) {
	w.Helper()
	_, err := h.ExecContext(context.Background(), query)
	var e *mysql.MySQLError
	if !errors.As(err, &e) || e.Number != number {
		w.Fatalf("%s: error %v, want number %d", query, err, number)
	}
}

func (w *world) begin() *sql.Tx {
	w.Helper()
	tx, err := w.db.BeginTx(context.Background(), nil)
	if err != nil {
		w.Fatal(err)
	}
	return tx
}

func (w *world) conn() *sql.Conn {
	w.Helper()
	c, err := w.db.Conn(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = c.Close() })
	return c
}

func (w *world) commit(tx *sql.Tx) {
	w.Helper()
	if err := tx.Commit(); err != nil {
		w.Fatal(err)
	}
}

func (w *world) rollback(tx *sql.Tx) {
	w.Helper()
	if err := tx.Rollback(); err != nil {
		w.Fatal(err)
	}
}

// rows are the keys in t, as another connection sees them.
func (w *world) rows() []string {
	w.Helper()
	rows, err := w.bare.QueryContext(context.Background(), "SELECT id FROM t ORDER BY id")
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			w.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	return ids
}

// forwarded are the keys that were inserted into t by what was forwarded.
func (w *world) forwarded() []string {
	var ids []string
	for _, e := range w.recorder.Entries() {
		if e.Action == "t.inserted" {
			ids = append(ids, e.Target.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// is checks that these rows are in t, and that exactly they were forwarded.
func (w *world) is(ids ...string) {
	w.Helper()
	w.are(ids, ids)
}

// are checks what is in t, and what was forwarded of it.
func (w *world) are(rows, forwarded []string) {
	w.Helper()
	if got := w.rows(); !slices.Equal(got, rows) {
		w.Errorf("rows %v, want %v", got, rows)
	}
	if got := w.forwarded(); !slices.Equal(got, forwarded) {
		w.Errorf("forwarded %v, want %v (all: %s)", got, forwarded, w.story())
	}
}

// story is all that was forwarded, in order.
func (w *world) story() string {
	var s []string
	for _, e := range w.recorder.Entries() {
		line := e.Action
		if e.Target.ID != "" {
			line += " #" + e.Target.ID
		}
		if n, ok := e.Metadata["rows"]; ok {
			line += fmt.Sprint(" rows=", n)
		}
		s = append(s, line)
	}
	return strings.Join(s, ", ")
}

// notices is an observer that counts what it is told.
type notices struct {
	mu    sync.Mutex
	kinds map[hooks.NoticeKind]int
}

var _ hooks.Observer = (*notices)(nil)

func (n *notices) Observe(notice hooks.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.kinds == nil {
		n.kinds = make(map[hooks.NoticeKind]int)
	}
	n.kinds[notice.Kind] += notice.Count
}

func (n *notices) count(kind hooks.NoticeKind) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kinds[kind]
}

func (n *notices) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kinds = nil
}

// reported checks how many events or statements were reported as kind.
func (w *world) reported(kind hooks.NoticeKind, n int) {
	w.Helper()
	if got := w.notices.count(kind); got != n {
		w.Errorf("%d reported as %s, want %d", got, kind, n)
	}
}
