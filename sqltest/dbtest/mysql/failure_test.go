package mysql_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func (w *world) reopen() {
	w.Helper()
	w.db = dbtest.Open(w, w.name, w.cfg.FormatDSN())
}

// TestLockWaitTimeout takes back the statement, or the transaction, as the server
// is configured.
func TestLockWaitTimeout(t *testing.T) {
	for setting, want := range map[string][]string{"OFF": {"1", "2", "9"}, "ON": {"2", "9"}} {
		t.Run("innodb_rollback_on_timeout="+setting, func(t *testing.T) {
			t.Parallel()
			testLockWaitTimeout(t, setting, want)
		})
	}
}

func testLockWaitTimeout(t *testing.T, setting string, want []string) {
	t.Helper()
	w := newWorldOn(t, ownServer(t, "--innodb-rollback-on-timeout="+setting))
	w.exec(w.bare, "INSERT INTO t (id) VALUES (9)")
	other, err := w.bare.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.exec(other, "UPDATE t SET v = 1 WHERE id = 9")
	tx := w.begin()
	w.exec(tx, "INSERT INTO t (id) VALUES (1)")
	w.fails(tx, 1205, "UPDATE t SET v = 2 WHERE id = 9")
	w.exec(tx, "INSERT INTO t (id) VALUES (2)")
	if err := other.Rollback(); err != nil {
		t.Fatal(err)
	}
	w.commit(tx)
	w.are(want, want[:len(want)-1])
}

// TestSnapshotIsolation: of some errors only MariaDB itself can say that they have
// rolled back the transaction.
func TestSnapshotIsolation(t *testing.T) {
	w := newWorld(t)
	w.exec(w.bare, "INSERT INTO t (id) VALUES (9)")
	c := w.conn()
	if _, err := c.ExecContext(context.Background(), "SET SESSION innodb_snapshot_isolation = ON"); err != nil {
		t.Skip(err) // before 10.11.8
	}
	w.exec(c, "BEGIN", "INSERT INTO t (id) VALUES (1)", "SELECT count(*) FROM t")
	w.exec(w.bare, "UPDATE t SET v = 1 WHERE id = 9")
	w.fails(c, 1020, "UPDATE t SET v = 2 WHERE id = 9")
	w.exec(c, "INSERT INTO t (id) VALUES (2)")
	w.are([]string{"2", "9"}, []string{"2"})
	w.reported(hooks.NoticeRolledBack, 1)
}

// TestUnseen: what may have ended the transaction is believed only as far as the
// server proves it.
func TestUnseen(t *testing.T) {
	for name, c := range map[string]struct {
		body            string
		rows, forwarded []string
		unknown         int
	}{
		"reads":        {"SELECT 1; SELECT 2;", []string{"1", "2"}, []string{"1", "2"}, 0},
		"commits":      {"COMMIT;", []string{"1", "2"}, []string{"2"}, 1},
		"rolls back":   {"ROLLBACK;", []string{"2"}, []string{"2"}, 1},
		"begins":       {"ROLLBACK; START TRANSACTION;", []string{"2"}, nil, 2},
		"commits, too": {"COMMIT; START TRANSACTION;", []string{"1", "2"}, nil, 2},
		"autocommit":   {"SET autocommit = 0;", []string{"1", "2"}, []string{"1", "2"}, 0},
	} {
		for how, call := range map[string]func(w *world, tx *sql.Tx){
			"exec": func(w *world, tx *sql.Tx) { w.exec(tx, "CALL p()") },
			"query": func(w *world, tx *sql.Tx) {
				rows, err := tx.QueryContext(context.Background(), "CALL p()")
				if err != nil {
					w.Fatal(err)
				}
				for rows.Next() || rows.NextResultSet() {
				}
				if err := errors.Join(rows.Err(), rows.Close()); err != nil {
					w.Fatal(err)
				}
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.exec(w.bare, "CREATE PROCEDURE p() BEGIN "+c.body+" END")
				tx := w.begin()
				w.exec(tx, "INSERT INTO t (id) VALUES (1)")
				call(w, tx)
				w.exec(tx, "INSERT INTO t (id) VALUES (2)")
				w.commit(tx)
				w.are(c.rows, c.forwarded)
				w.reported(hooks.NoticeDiscarded, c.unknown)
			})
		}
	}
}

// TestUnseenThenCommitted: what commits after something unseen commits another
// transaction, perhaps.
func TestUnseenThenCommitted(t *testing.T) {
	for _, query := range []string{"CREATE TABLE x (a int)", "BEGIN", "ROLLBACK", "SET autocommit = 1", "FLUSH TABLES"} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(w.bare, "CREATE PROCEDURE p() BEGIN ROLLBACK; START TRANSACTION; END")
			c := w.conn()
			w.exec(c, "BEGIN", "INSERT INTO t (id) VALUES (1)")
			err := hooks.OnCommit(context.Background(), c, func(context.Context) { t.Error("called, though nothing committed") })
			if err != nil {
				t.Fatal(err)
			}
			w.exec(c, "CALL p()", query, "ROLLBACK", "INSERT INTO t (id) VALUES (2)")
			w.is("2")
			w.reported(hooks.NoticeDiscarded, 1)
			w.reported(hooks.NoticeRolledBack, 0)
		})
	}
}

func TestStrings(t *testing.T) {
	for name, f := range map[string]func(w *world){
		"writes": func(w *world) {
			w.exec(w.db, "INSERT INTO t (id) VALUES (1); INSERT INTO t (id) VALUES (2)")
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (3); INSERT INTO t (id) VALUES (4)")
			w.rollback(tx)
			w.is("1", "2")
		},
		"a transaction": func(w *world) {
			w.exec(w.db, "BEGIN; INSERT INTO t (id) VALUES (1); COMMIT")
			w.are([]string{"1"}, nil)
			w.reported(hooks.NoticeUncaptured, 1)
		},
		"a transaction that stays open": func(w *world) {
			c := w.conn()
			w.exec(c, "SELECT 1; BEGIN", "INSERT INTO t (id) VALUES (1)", "ROLLBACK")
			w.is()
		},
		"an end": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "ROLLBACK; BEGIN", "INSERT INTO t (id) VALUES (2)")
			w.commit(tx)
			w.are([]string{"2"}, nil)
			w.reported(hooks.NoticeDiscarded, 2)
		},
		"DDL": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "DO 1; CREATE TABLE x (a int)", "INSERT INTO t (id) VALUES (2)")
			w.rollback(tx)
			w.are([]string{"1", "2"}, []string{"2"})
			w.reported(hooks.NoticeDiscarded, 1)
		},
		"behind a routine": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "CREATE PROCEDURE p() SELECT 1; BEGIN", "INSERT INTO t (id) VALUES (2)")
			w.rollback(tx)
			w.is("1")
		},
		"back to a savepoint": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "SAVEPOINT a", "INSERT INTO t (id) VALUES (2)", "ROLLBACK TO a; SELECT 1")
			w.commit(tx)
			w.is("1")
		},
		"back to a savepoint, and the same again": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "SAVEPOINT a", "UPDATE t SET v = 1", "ROLLBACK TO a; SELECT 1", "UPDATE t SET v = 2")
			w.commit(tx)
			if got := w.story(); got != "t.inserted #1 rows=1, t.updated rows=1" {
				w.Error(got)
			}
		},
		"one fails": func(w *world) {
			w.fails(w.db, 1062, "INSERT INTO t (id) VALUES (1); INSERT INTO t (id) VALUES (1)")
			w.are([]string{"1"}, nil)
			w.reported(hooks.NoticeUncaptured, 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(newWorld(t))
		})
	}
}

// TestWords: statements that have others in them, or are read in several ways.
func TestWords(t *testing.T) {
	for name, f := range map[string]func(w *world){
		"a backslash": func(w *world) {
			w.exec(w.bare, "CREATE TABLE s (x text)")
			c := w.conn()
			const query = `INSERT INTO s VALUES ('\'); ROLLBACK; -- ')`
			w.exec(c, "BEGIN", "INSERT INTO t (id) VALUES (1)", query, "COMMIT")
			w.is("1")
			w.exec(c, "SET sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')", "BEGIN", "INSERT INTO t (id) VALUES (2)", query, "INSERT INTO t (id) VALUES (3)")
			w.are([]string{"1", "3"}, []string{"1", "3"})
		},
		"a version": func(w *world) {
			c := w.conn()
			w.exec(c, "BEGIN", "INSERT INTO t (id) VALUES (1)", "SELECT 1 /*!99999 ; COMMIT */", "INSERT INTO t (id) VALUES (2)",
				"/*!40000 ROLLBACK */", "INSERT INTO t (id) VALUES (3)")
			w.is("3")
			w.reported(hooks.NoticeDiscarded, 2)
		},
		"a compound statement": func(w *world) {
			c := w.conn()
			w.exec(c, "BEGIN", "INSERT INTO t (id) VALUES (1)", "BEGIN NOT ATOMIC ROLLBACK; END", "INSERT INTO t (id) VALUES (2)")
			w.are([]string{"2"}, []string{"2"})
		},
		"xa": func(w *world) {
			c := w.conn()
			w.exec(c, "XA START 'x'", "INSERT INTO t (id) VALUES (1)", "XA END 'x'", "XA ROLLBACK 'x'", "INSERT INTO t (id) VALUES (2)")
			w.exec(c, "XA START 'y'", "INSERT INTO t (id) VALUES (3)", "XA END 'y'", "XA PREPARE 'y'", "XA COMMIT 'y'")
			w.are([]string{"2", "3"}, []string{"2"})
			w.reported(hooks.NoticeDiscarded, 2)
		},
		"prepared by SQL": func(w *world) {
			c := w.conn()
			w.exec(c, "PREPARE s FROM 'ROLLBACK'", "BEGIN", "INSERT INTO t (id) VALUES (1)", "EXECUTE s", "INSERT INTO t (id) VALUES (2)")
			w.are([]string{"2"}, []string{"2"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(newWorld(t))
		})
	}
}

// TestConnectionIsCut before, or instead of, the COMMIT: nothing is forwarded.
func TestConnectionIsCut(t *testing.T) {
	w := newWorld(t)
	tx := w.begin()
	var id string
	if err := tx.QueryRowContext(context.Background(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	w.exec(tx, "INSERT INTO t (id) VALUES (1)")
	w.exec(w.bare, "KILL "+id)
	if err := tx.Commit(); err == nil {
		t.Error("Commit of a connection that was cut returned nil")
	}
	w.is()
	if got := w.recorder.Actions(); !slices.Equal(got, nil) {
		t.Errorf("forwarded %v", got)
	}
	w.reported(hooks.NoticeDiscarded, 1)
	w.exec(w.db, "INSERT INTO t (id) VALUES (2)")
	w.is("2")
}

// TestConnectionIsCutInCommit after the server has got it: it has committed, and
// the app cannot know.
func TestConnectionIsCutInCommit(t *testing.T) {
	w := newWorld(t)
	socket := w.cfg.Addr
	mysql.RegisterDialContext(w.name, func(ctx context.Context, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		return &cut{Conn: c}, err
	})
	t.Cleanup(func() { mysql.DeregisterDialContext(w.name) })
	w.cfg.Net = w.name
	w.reopen()
	tx := w.begin()
	w.exec(tx, "INSERT INTO t (id) VALUES (1)")
	if err := tx.Commit(); !errors.Is(err, mysql.ErrInvalidConn) && !errors.Is(err, sqldriver.ErrBadConn) {
		t.Errorf("error %v of a COMMIT without an answer", err)
	}
	w.are([]string{"1"}, nil)
	w.reported(hooks.NoticeDiscarded, 1)
}

// cut is a connection that breaks when the answer to a COMMIT has come.
type cut struct {
	net.Conn
	broken bool
}

func (c *cut) Write(p []byte) (int, error) {
	c.broken = strings.Contains(string(p), "COMMIT")
	return c.Conn.Write(p)
}

func (c *cut) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.broken {
		return 0, errors.Join(net.ErrClosed, c.Close())
	}
	return n, err
}
