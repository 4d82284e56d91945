package mysql_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestLockTables commits, and so does UNLOCK TABLES if there are locks.
func TestLockTables(t *testing.T) {
	for name, f := range map[string]func(w *world, c *sql.Conn){
		"autocommit": func(w *world, c *sql.Conn) {
			w.exec(c, "LOCK TABLES t WRITE", "INSERT INTO t (id) VALUES (1)", "UNLOCK TABLES", "INSERT INTO t (id) VALUES (2)")
			w.is("1", "2")
		},
		"without autocommit": func(w *world, c *sql.Conn) {
			w.exec(c, "SET autocommit = 0", "LOCK TABLES t WRITE", "INSERT INTO t (id) VALUES (1)", "COMMIT", "INSERT INTO t (id) VALUES (2)",
				"ROLLBACK", "UNLOCK TABLES", "INSERT INTO t (id) VALUES (3)", "COMMIT")
			w.is("1", "3")
		},
		"a BEGIN unlocks": func(w *world, c *sql.Conn) {
			w.exec(c, "LOCK TABLES t WRITE", "BEGIN", "INSERT INTO t (id) VALUES (1)", "ROLLBACK")
			w.is()
		},
		"nothing to unlock": func(w *world, c *sql.Conn) {
			w.exec(c, "BEGIN", "INSERT INTO t (id) VALUES (1)", "UNLOCK TABLES", "INSERT INTO t (id) VALUES (2)", "COMMIT",
				"BEGIN", "INSERT INTO t (id) VALUES (3)", "UNLOCK TABLES", "ROLLBACK")
			w.is("1", "2")
		},
		"not locked": func(w *world, c *sql.Conn) {
			w.exec(w.bare, "CREATE TABLE other (a int)")
			w.exec(c, "LOCK TABLES other WRITE")
			w.fails(c, 1100, "INSERT INTO t (id) VALUES (1)")
			w.exec(c, "UNLOCK TABLES", "INSERT INTO t (id) VALUES (2)")
			w.is("2")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			f(w, w.conn())
		})
	}
}

// TestXA: what a distributed transaction holds is not forwarded, but reported, and
// what comes after it is followed again.
func TestXA(t *testing.T) {
	for name, f := range map[string]func(w *world, c *sql.Conn){
		"one phase": func(w *world, c *sql.Conn) {
			w.exec(c, "XA START 'x1'", "INSERT INTO t (id) VALUES (1)", "XA END 'x1'", "XA COMMIT 'x1' ONE PHASE", "INSERT INTO t (id) VALUES (2)")
			w.are([]string{"1", "2"}, []string{"2"})
			w.reported(hooks.NoticeDiscarded, 1)
		},
		"DDL, which it refuses": func(w *world, c *sql.Conn) {
			w.exec(c, "XA START 'x2'", "INSERT INTO t (id) VALUES (1)")
			w.fails(c, 1399, "CREATE TABLE x (a int)")
			w.exec(c, "INSERT INTO t (id) VALUES (2)", "XA END 'x2'", "XA ROLLBACK 'x2'", "INSERT INTO t (id) VALUES (3)")
			w.is("3")
			w.reported(hooks.NoticeDiscarded, 2)
		},
		"refused in a transaction": func(w *world, c *sql.Conn) {
			w.exec(c, "BEGIN", "INSERT INTO t (id) VALUES (1)")
			w.fails(c, 1400, "XA START 'x3'")
			w.exec(c, "COMMIT")
			w.is("1")
		},
		"recorded": func(w *world, c *sql.Conn) {
			w.exec(c, "XA START 'x4'")
			w.record(c, "in it")
			w.exec(c, "XA END 'x4'", "XA PREPARE 'x4'", "XA ROLLBACK 'x4'")
			w.record(c, "later")
			if got := w.story(); got != "order.noted #later" {
				w.Error(got)
			}
			w.reported(hooks.NoticeDiscarded, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			f(w, w.conn())
		})
	}
}

// TestReadOnly transactions have events, too.
func TestReadOnly(t *testing.T) {
	w := newWorld(t)
	tx, err := w.db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	w.record(tx, "read")
	w.fails(tx, 1792, "INSERT INTO t (id) VALUES (1)")
	w.commit(tx)
	if got := w.story(); got != "order.noted #read" {
		t.Error(got)
	}
}

// TestOneStatementAtATime: without multiStatements the server refuses strings of
// several. That none of them was executed cannot be known: what they would have
// written is conditional.
func TestOneStatementAtATime(t *testing.T) {
	w := newWorld(t)
	w.cfg.MultiStatements = false
	w.reopen()
	tx := w.begin()
	w.exec(tx, "INSERT INTO t (id) VALUES (1)")
	w.fails(tx, 1064, "DO 1; ROLLBACK")
	w.fails(tx, 1064, "INSERT INTO t (id) VALUES (2); INSERT INTO t (id) VALUES (3)")
	w.commit(tx)
	w.are([]string{"1"}, []string{"1", "2", "3"})
	for _, e := range w.recorder.Entries() {
		if sure := e.Metadata["conditional"] != true; sure != (e.Target.ID == "1") {
			t.Errorf("%s: %v", e.Target.ID, e.Metadata)
		}
	}
}

// TestPrepared: what was prepared is followed as it is executed, and with
// parameters as without.
func TestPrepared(t *testing.T) {
	for _, interpolated := range []bool{false, true} {
		w := newWorld(t)
		w.cfg.InterpolateParams = interpolated
		w.reopen()
		w.exec(w.bare, "CREATE PROCEDURE p(i int) BEGIN IF i = 1 THEN ROLLBACK; END IF; END")
		c := w.conn()
		prepared := func(query string) func(args ...any) {
			st, err := c.PrepareContext(context.Background(), query)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = st.Close() })
			return func(args ...any) {
				if _, err := st.ExecContext(context.Background(), args...); err != nil {
					t.Fatalf("%s: %v", query, err)
				}
			}
		}
		insert, commit, rollback := prepared("INSERT INTO t (id) VALUES (?)"), prepared("COMMIT"), prepared("ROLLBACK")
		w.exec(c, "BEGIN")
		insert(1)
		commit()
		w.exec(c, "BEGIN")
		insert(2)
		rollback()
		insert(3)
		w.is("1", "3")
		w.exec(c, "BEGIN")
		insert(4)
		if _, err := c.ExecContext(context.Background(), "CALL p(?)", 1); err != nil {
			t.Fatal(err)
		}
		insert(5)
		w.is("1", "3", "5")
		w.reported(hooks.NoticeDiscarded, 1)
		w.reported(hooks.NoticeUncaptured, 1)
	}
}
