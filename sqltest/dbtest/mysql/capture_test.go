package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestCaptured: the words of MySQL, inside a transaction and outside.
func TestCaptured(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"INSERT INTO t (id) VALUES (3)", "t.inserted #3 rows=1"},
		{"INSERT t SET id = 3, v = 1", "t.inserted #3 rows=1"},
		{"INSERT INTO t (id) VALUES (3), (4)", "t.inserted rows=2"},
		{"INSERT IGNORE INTO t (id) VALUES (1)", ""},
		{"INSERT INTO t (id) VALUES (1) ON DUPLICATE KEY UPDATE v = 7", "t.upserted"},
		{"INSERT INTO t (id) VALUES (1) ON DUPLICATE KEY UPDATE v = 0", ""},
		{"INSERT IGNORE INTO t (id) VALUES (1), (3)", "t.inserted rows=1"},
		{"INSERT INTO t (id) SELECT id + 10 FROM t", "t.inserted rows=2"},
		{"REPLACE INTO t (id) VALUES (1)", "t.upserted #1"},
		{"REPLACE t SET id = 1, v = 2", "t.upserted #1"},
		{"UPDATE t SET v = 5 /*!99999 WHERE id = 1 */", ""},
		{"UPDATE t SET v = 5 /*!50000 WHERE id = 1 */", ""},
		{"UPDATE t SET v = 5 /* WHERE id = 1 */", "t.updated rows=2"},
		{"UPDATE t SET v = 5", "t.updated rows=2"},
		{"UPDATE t SET v = 0", ""},
		{"UPDATE `t` x SET x.v = 5 WHERE x.id = 2", "t.updated #2 rows=1"},
		{"UPDATE t SET v = 5 WHERE id = '2'", "t.updated #2 rows=1"},
		{"UPDATE t SET v = 5 WHERE id = \"2x\" OR 1", "t.updated rows=2"},
		{"DELETE FROM t WHERE id = 2", "t.deleted #2 rows=1"},
		{"DELETE FROM t # all\n", "t.deleted rows=2"},
		{"UPDATE t a JOIN t b USING (id) SET a.v = 5", ""},
		{"SELECT 1", ""},
		{"TRUNCATE t", "t.truncated"},
	} {
		t.Run(c.query, func(t *testing.T) {
			t.Parallel()
			for _, inside := range []bool{true, false} {
				w := newWorld(t)
				w.exec(w.bare, "INSERT INTO t (id) VALUES (1), (2)")
				if inside {
					tx := w.begin()
					w.exec(tx, c.query)
					w.commit(tx)
				} else {
					w.exec(w.db, c.query)
				}
				if got := w.story(); got != c.want {
					t.Errorf("inside a transaction %v: %q, want %q", inside, got, c.want)
				}
			}
		})
	}
}

// TestMultiTable: what one statement does to several tables is reported.
func TestMultiTable(t *testing.T) {
	w := newWorld(t)
	w.exec(w.db, "UPDATE t a JOIN t b USING (id) SET a.v = 5", "DELETE a FROM t a JOIN t b USING (id)")
	w.reported(hooks.NoticeUncaptured, 2)
}

func TestReturning(t *testing.T) {
	w := newWorld(t)
	var id int
	if err := w.db.QueryRowContext(context.Background(), "INSERT INTO t (id) VALUES (1) RETURNING id").Scan(&id); err != nil {
		t.Fatal(err)
	}
	tx := w.begin()
	if err := tx.QueryRowContext(context.Background(), "INSERT INTO t (id) VALUES (2) RETURNING id").Scan(&id); err != nil {
		t.Fatal(err)
	}
	w.commit(tx)
	tx = w.begin()
	if err := tx.QueryRowContext(context.Background(), "INSERT INTO t (id) VALUES (3) RETURNING id").Scan(&id); err != nil {
		t.Fatal(err)
	}
	w.rollback(tx)
	w.is("1", "2")
}

// TestReturningExecuted: go-sql-driver counts no rows of a statement with RETURNING,
// so the events say no number, and none gets lost.
func TestReturningExecuted(t *testing.T) {
	w := newWorld(t)
	tx := w.begin()
	queries := []string{"INSERT INTO t (id) VALUES (1), (2), (3) RETURNING id", "UPDATE t SET v = 1", "INSERT INTO t (id) VALUES (4) RETURNING id", "DELETE FROM t WHERE id = 4 RETURNING id"}
	w.exec(w.db, queries...)
	w.exec(w.bare, "DELETE FROM t")
	w.exec(tx, queries...)
	w.commit(tx)
	const want = "t.inserted, t.updated rows=3, t.inserted #4, t.deleted #4"
	if got := w.story(); got != want+", "+want {
		t.Errorf("%q, want that twice: %q", got, want)
	}
}

// TestMovedByQualifiedName: an UPDATE may set the key with its table's name before it.
func TestMovedByQualifiedName(t *testing.T) {
	w := newWorld(t)
	w.exec(w.bare, "INSERT INTO t (id) VALUES (9), (12)")
	tx := w.begin()
	w.exec(tx, "DELETE FROM t WHERE id = 12", "UPDATE t SET t.id = 12 WHERE id = 9", "DELETE FROM t WHERE id = 12")
	w.commit(tx)
	if got := w.story(); got != "t.deleted #12 rows=1, t.updated #9 rows=1, t.deleted #12 rows=1" {
		t.Errorf("%q", got)
	}
}

func TestParameters(t *testing.T) {
	for _, interpolated := range []bool{false, true} {
		w := newWorld(t)
		w.cfg.InterpolateParams = interpolated
		w.reopen()
		tx := w.begin()
		for _, h := range []execer{w.db, tx} {
			id := map[bool]int{true: 1, false: 2}[h == execer(tx)]
			if _, err := h.ExecContext(context.Background(), "INSERT INTO t (id, v) VALUES (?, ?)", id, 1); err != nil {
				t.Fatal(err)
			}
		}
		w.commit(tx)
		w.is("1", "2")
	}
}

// TestDatabases: a name means the database that is current, and none is named
// for the one that the connection was opened with.
func TestDatabases(t *testing.T) {
	w := newWorld(t)
	other := w.cfg.DBName + "x"
	w.exec(w.bare, "CREATE DATABASE "+other, "CREATE TABLE "+other+".t (id int PRIMARY KEY, v int)")
	c := w.conn()
	w.exec(c, "INSERT INTO "+w.cfg.DBName+".t (id) VALUES (1)", "INSERT INTO "+other+".t (id) VALUES (2)",
		"USE "+other, "INSERT INTO t (id) VALUES (3)", "INSERT INTO "+w.cfg.DBName+".t (id) VALUES (4)")
	want := strings.ReplaceAll("t.inserted #1 rows=1, X.t.inserted #2 rows=1, X.t.inserted #3 rows=1, t.inserted #4 rows=1", "X", other)
	if got := w.story(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestRecordWhileReading: nothing can be sent on a connection with rows open, so
// that an event which needs that is refused, and the connection is fine.
func TestRecordWhileReading(t *testing.T) {
	w := newWorld(t)
	w.exec(w.bare, "INSERT INTO t (id) VALUES (1), (2)")
	w.recordWhileOpen("SELECT id FROM t")
}

// TestRecordWhileReturning is the same with the rows of a write that is not captured.
func TestRecordWhileReturning(t *testing.T) {
	w := newWorld(t, driver.Capture(driver.AllTables().Except("t")))
	w.recordWhileOpen("INSERT INTO t (id) VALUES (1), (2) RETURNING id")
}

// recordWhileOpen records while the rows of query are open, and once they are closed.
func (w *world) recordWhileOpen(query string) {
	w.Helper()
	tx := w.begin()
	rows, err := tx.QueryContext(context.Background(), query)
	if err != nil {
		w.Fatal(err)
	}
	rows.Next()
	err = hooks.Record(context.Background(), tx, hooks.Event{Action: "order.noted"})
	if err == nil || !strings.Contains(err.Error(), "rows are open") {
		w.Errorf("error %v, want one that says what to do", err)
	}
	if err := errors.Join(rows.Close(), rows.Err()); err != nil {
		w.Fatal(err)
	}
	w.record(tx, "later")
	w.commit(tx)
	if got := w.story(); got != "order.noted #later" {
		w.Error(got)
	}
}

func TestRequireActor(t *testing.T) {
	w := newWorld(t, driver.RequireActor())
	tx := w.begin()
	w.exec(tx, "INSERT INTO t (id) VALUES (1)")
	if err := tx.Commit(); err == nil {
		t.Error("a transaction without an actor was committed")
	}
	if _, err := w.db.ExecContext(context.Background(), "INSERT INTO t (id) VALUES (2)"); err == nil {
		t.Error("a statement without an actor was executed")
	}
	w.is()
}

// TestModes: off is the bare driver, and the mode can be changed.
func TestModes(t *testing.T) {
	w := newWorld(t, driver.WithMode(hooks.Off))
	c := w.conn()
	w.exec(c, "SET autocommit = 0", "INSERT INTO t (id) VALUES (1)", "COMMIT")
	w.mode(hooks.Strict)
	w.exec(c, "INSERT INTO t (id) VALUES (2)", "ROLLBACK", "INSERT INTO t (id) VALUES (3)", "COMMIT")
	w.are([]string{"1", "3"}, []string{"3"})
}

// TestOffIsSilent: while the mode is off nothing is sent but what the app sends,
// and where the connection is then is found out afterwards.
func TestOffIsSilent(t *testing.T) {
	w := newWorld(t)
	c := w.conn()
	w.exec(c, "SELECT 1")
	w.mode(hooks.Off)
	before := w.questions(c)
	w.exec(c, "SELECT 1; BEGIN", "INSERT INTO t (id) VALUES (1)", "CREATE TABLE x (a int)", "SELECT 1; BEGIN", `SELECT "a"; SELECT '\\'`,
		"BEGIN", "CREATE TABLE y (a int)", "SET sql_mode = @@sql_mode", "SELECT 1; BEGIN")
	if n := w.questions(c) - before; n != 14 {
		t.Errorf("%d statements were sent, want 13, and the question itself", n)
	}
	w.mode(hooks.Strict)
	w.exec(c, "INSERT INTO t (id) VALUES (2)", "ROLLBACK", "INSERT INTO t (id) VALUES (3)")
	w.are([]string{"1", "3"}, []string{"3"})
}

func (w *world) mode(m hooks.Mode) {
	w.Helper()
	if err := driver.SetMode(context.Background(), w.name, m); err != nil {
		w.Fatal(err)
	}
}

// questions is how many statements the server has got on c.
func (w *world) questions(c *sql.Conn) (n int) {
	w.Helper()
	var name string
	if err := c.QueryRowContext(context.Background(), "SHOW SESSION STATUS LIKE 'Questions'").Scan(&name, &n); err != nil {
		w.Fatal(err)
	}
	return n
}

// TestQueriedString: of several statements that are queried, the failure of a
// later one may go unread.
func TestQueriedString(t *testing.T) {
	w := newWorld(t)
	w.exec(w.bare, "INSERT INTO t (id) VALUES (1)")
	tx := w.begin()
	for _, query := range []string{"SELECT 1; INSERT INTO t (id) VALUES (1)", "INSERT INTO t (id) VALUES (2), (1) RETURNING id"} {
		for _, h := range []queryer{w.db, tx} {
			rows, err := h.QueryContext(context.Background(), query)
			if err == nil {
				err = rows.Close() // without having read them
				_ = rows.Err()
			}
			if _, native := err.(*mysql.MySQLError); !native { //nolint:errorlint // as apps look for it
				t.Errorf("%s: error %T (%v), want the driver's own", query, err, err)
			}
		}
	}
	w.commit(tx)
	w.are([]string{"1"}, nil)
	if got := w.story(); got != "" {
		t.Errorf("forwarded %s", got)
	}
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// TestOnCommit: functions are called as the transaction ends.
func TestOnCommit(t *testing.T) {
	for _, mode := range []hooks.Mode{hooks.Strict, hooks.Off} {
		t.Run(mode.String(), func(t *testing.T) { onCommit(t, mode) })
	}
}

func onCommit(t *testing.T, mode hooks.Mode) {
	t.Helper()
	w := newWorld(t, driver.WithMode(mode))
	conn, err := w.db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w.exec(conn, "SET autocommit = 0", "INSERT INTO t (id) VALUES (9)")
	if err := hooks.OnCommit(context.Background(), conn, func(context.Context) { t.Error("called, though nothing committed") }); err != nil {
		t.Fatal(err)
	}
	w.exec(conn, "ROLLBACK", "SET autocommit = 1")
	var calls []string
	for end, query := range map[string]string{"commit": "DO 1", "rollback": "ROLLBACK", "ddl": "CREATE TABLE x (a int)"} {
		tx := w.begin()
		if err := hooks.OnCommit(context.Background(), tx, func(context.Context) { calls = append(calls, end) }); err != nil {
			t.Fatal(err)
		}
		w.exec(tx, query)
		w.commit(tx)
	}
	slices.Sort(calls)
	if got := strings.Join(calls, " "); got != "commit ddl" {
		t.Errorf("called after %q, want commit and ddl", got)
	}
}

// TestOffWithRowsOpen: the driver cannot ask then whether there is a transaction to
// wait for, and says so at once. Neither the rows nor the connection suffer.
func TestOffWithRowsOpen(t *testing.T) {
	w := newWorld(t, driver.WithMode(hooks.Off))
	conn := w.conn()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	w.exec(conn, "SET autocommit = 0", "INSERT INTO t (id) VALUES (1)")
	rows, err := conn.QueryContext(ctx, "SELECT 1 UNION SELECT 2 UNION SELECT 3")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	rows.Next()
	calls := 0
	count := func(context.Context) { calls++ }
	if err := hooks.OnCommit(ctx, conn, count); err == nil || !strings.Contains(err.Error(), "rows are open") {
		t.Errorf("OnCommit: %v, want an error that says that rows are open", err)
	}
	n := 1
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err != nil || n != 3 {
		t.Errorf("%d rows, error %v, want 3", n, err)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	if err := hooks.OnCommit(ctx, conn, count); err != nil {
		t.Fatal(err)
	}
	w.exec(conn, "COMMIT")
	if calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
	w.are([]string{"1"}, nil)
}

// TestAuditedTwice is refused: each would take the other's savepoint away.
func TestAuditedTwice(t *testing.T) {
	w := newWorld(t)
	hub := forward.New(&forward.Options{NoJournal: true, Logger: zap.NewNop()})
	name := dbtest.Name("mysql")
	driver.Register(name, w.name, hub)
	if _, err := sql.Open(name, w.cfg.FormatDSN()); err == nil || !strings.Contains(err.Error(), "only once") {
		t.Errorf("error %v, want one that says that it can be audited only once", err)
	}
}
