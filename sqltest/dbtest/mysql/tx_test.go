package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

func TestTransactions(t *testing.T) {
	for name, f := range map[string]func(w *world){
		"commit": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "INSERT INTO t (id) VALUES (2)")
			w.commit(tx)
			w.is("1", "2")
		},
		"rollback": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)")
			w.rollback(tx)
			w.is()
			w.reported(hooks.NoticeRolledBack, 1)
		},
		"raw rollback, then Commit": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "ROLLBACK")
			w.commit(tx)
			w.is()
		},
		"raw rollback, an insert, then Commit": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "ROLLBACK", "INSERT INTO t (id) VALUES (2)")
			w.rollback(tx)
			w.is("2")
		},
		"raw commit, then Rollback": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "COMMIT")
			w.rollback(tx)
			w.is("1")
		},
		"commit and chain": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "COMMIT AND CHAIN", "INSERT INTO t (id) VALUES (2)", "ROLLBACK AND CHAIN",
				"INSERT INTO t (id) VALUES (3)")
			w.commit(tx)
			w.is("1", "3")
		},
		"raw begin": func(w *world) {
			c := w.conn()
			w.exec(c, "BEGIN", "INSERT INTO t (id) VALUES (1)", "ROLLBACK", "START TRANSACTION", "INSERT INTO t (id) VALUES (2)", "COMMIT")
			w.is("2")
		},
		"begin inside": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "START TRANSACTION", "INSERT INTO t (id) VALUES (2)")
			w.rollback(tx)
			w.is("1")
		},
		"BeginTx after a raw begin": func(w *world) {
			c := w.conn()
			w.exec(c, "BEGIN", "INSERT INTO t (id) VALUES (1)")
			tx, err := c.BeginTx(context.Background(), nil)
			if err != nil {
				w.Fatal(err)
			}
			w.exec(tx, "INSERT INTO t (id) VALUES (2)")
			w.rollback(tx)
			w.is("1")
		},
		"a statement fails": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)")
			w.fails(tx, 1062, "INSERT INTO t (id) VALUES (1)")
			w.exec(tx, "INSERT INTO t (id) VALUES (2)")
			w.commit(tx)
			w.is("1", "2")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(newWorld(t))
		})
	}
}

// TestBeginFails: a BEGIN that the server cannot read has committed nothing.
func TestBeginFails(t *testing.T) {
	w := newWorld(t)
	tx := w.begin()
	w.exec(tx, "INSERT INTO t (id) VALUES (1)")
	w.fails(tx, 1064, "START TRANSACTION SOON")
	w.commit(tx)
	w.is("1")
}

func TestRecorded(t *testing.T) {
	w := newWorld(t)
	tx := w.begin()
	w.record(tx, "kept")
	w.exec(tx, "SAVEPOINT a")
	w.record(tx, "dropped")
	w.exec(tx, "ROLLBACK TO a")
	w.commit(tx)
	tx = w.begin()
	w.record(tx, "dropped")
	w.exec(tx, "ROLLBACK")
	w.commit(tx)
	w.record(w.db, "outside")
	if got := w.story(); got != "order.noted #kept, order.noted #outside" {
		t.Error(got)
	}
}

func (w *world) record(h hooks.Handle, id string) {
	w.Helper()
	if err := hooks.Record(context.Background(), h, hooks.Event{Action: "order.noted", Target: hooks.Target{Type: "note", ID: id}}); err != nil {
		w.Fatal(err)
	}
}

func TestSavepoints(t *testing.T) {
	for name, f := range map[string]func(w *world){
		"rollback to": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "SAVEPOINT a", "INSERT INTO t (id) VALUES (2)", "ROLLBACK TO a", "INSERT INTO t (id) VALUES (3)")
			w.commit(tx)
			w.is("1", "3")
		},
		"rollback to one before the first event": func(w *world) {
			tx := w.begin()
			w.exec(tx, "SAVEPOINT a", "INSERT INTO t (id) VALUES (1)", "ROLLBACK TO SAVEPOINT A", "INSERT INTO t (id) VALUES (2)")
			w.commit(tx)
			w.is("2")
		},
		"release of one before the first event": func(w *world) {
			tx := w.begin()
			w.exec(tx, "SAVEPOINT a", "INSERT INTO t (id) VALUES (1)", "RELEASE SAVEPOINT a", "INSERT INTO t (id) VALUES (2)")
			w.commit(tx)
			w.is("1", "2")
		},
		"release, and nothing more": func(w *world) {
			tx := w.begin()
			w.exec(tx, "SAVEPOINT a", "INSERT INTO t (id) VALUES (1)", "RELEASE SAVEPOINT a")
			w.commit(tx)
			w.is("1")
		},
		"set in a string, after the first event": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "DO 1; SAVEPOINT z", "RELEASE SAVEPOINT z")
			w.commit(tx)
			w.is("1")
		},
		"set in a string, before the first event": func(w *world) {
			tx := w.begin()
			w.exec(tx, "DO 1; SAVEPOINT z", "INSERT INTO t (id) VALUES (1)", "RELEASE SAVEPOINT z")
			w.commit(tx)
			w.are([]string{"1"}, nil)
			w.reported(hooks.NoticeDiscarded, 1)
		},
		"set in a string, gone back to": func(w *world) {
			tx := w.begin()
			w.exec(tx, "DO 1; SAVEPOINT z", "INSERT INTO t (id) VALUES (1)", "ROLLBACK TO z", "INSERT INTO t (id) VALUES (2)")
			w.commit(tx)
			w.is("2")
		},
		"outside a transaction": func(w *world) {
			c := w.conn()
			w.exec(c, "SAVEPOINT a", "INSERT INTO t (id) VALUES (1)")
			w.is("1")
			w.fails(c, 1305, "ROLLBACK TO a")
			w.exec(c, "INSERT INTO t (id) VALUES (2)")
			w.is("1", "2")
		},
		"the app's own are left alone": func(w *world) {
			tx := w.begin()
			w.exec(tx, "SAVEPOINT a", "INSERT INTO t (id) VALUES (1)", "SAVEPOINT b", "INSERT INTO t (id) VALUES (2)")
			w.fails(tx, 1062, "INSERT INTO t (id) VALUES (1)")
			w.fails(tx, 1064, "CREATE TABL x (a int)")
			w.exec(tx, "DO 1", "ROLLBACK TO b", "ROLLBACK TO a", "INSERT INTO t (id) VALUES (3)")
			w.commit(tx)
			w.is("3")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(newWorld(t))
		})
	}
}

// TestSavepointsOfOneName: the second takes the place of the first.
func TestSavepointsOfOneName(t *testing.T) {
	for name, f := range map[string]func(w *world){
		"nothing more": func(w *world) {
			tx := w.begin()
			w.exec(tx, "SAVEPOINT a", "INSERT INTO t (id) VALUES (1)", "SAVEPOINT a")
			w.commit(tx)
			w.is("1")
		},
		"rolled back to": func(w *world) {
			tx := w.begin()
			w.exec(tx, "SAVEPOINT a", "INSERT INTO t (id) VALUES (1)", "SAVEPOINT a", "INSERT INTO t (id) VALUES (2)", "ROLLBACK TO a")
			w.commit(tx)
			w.is("1")
		},
		"something unseen": func(w *world) {
			w.exec(w.bare, "CREATE PROCEDURE p() SELECT 1")
			tx := w.begin()
			w.exec(tx, "SAVEPOINT a", "INSERT INTO t (id) VALUES (1)", "SAVEPOINT a", "CALL p()")
			w.commit(tx)
			w.is("1")
			w.reported(hooks.NoticeDiscarded, 0)
		},
		"released": func(w *world) {
			tx := w.begin()
			w.exec(tx, "SAVEPOINT a", "INSERT INTO t (id) VALUES (1)", "SAVEPOINT a", "INSERT INTO t (id) VALUES (2)", "ROLLBACK TO a",
				"RELEASE SAVEPOINT a")
			w.fails(tx, 1305, "ROLLBACK TO a")
			w.commit(tx)
			w.is("1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(newWorld(t))
		})
	}
}

// TestImplicitCommits: what came before is committed, whatever comes after.
func TestImplicitCommits(t *testing.T) {
	for _, query := range []string{
		"CREATE TABLE x (a int)", "ALTER TABLE t ADD x int", "TRUNCATE other", "LOCK TABLES t WRITE", "FLUSH TABLES",
		"RENAME TABLE other TO another", "ANALYZE TABLE t", "GRANT SELECT ON t TO root@localhost", "CREATE INDEX i ON t (v)", "DROP TABLE other",
		"CREATE VIEW w AS SELECT 1", "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(w.bare, "CREATE TABLE other (a int)")
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", query)
			if got := w.forwarded(); len(got) != 1 || got[0] != "1" {
				t.Errorf("forwarded %v before the transaction ends, want 1", got)
			}
			w.exec(tx, "UNLOCK TABLES", "INSERT INTO t (id) VALUES (2)")
			w.rollback(tx)
			w.is("1", "2")
			w.reported(hooks.NoticeDiscarded, 0)
		})
	}
	for name, f := range map[string]func(w *world){
		"DDL that fails": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)")
			w.fails(tx, 1050, "CREATE TABLE t (a int)")
			w.exec(tx, "INSERT INTO t (id) VALUES (2)")
			w.rollback(tx)
			w.is("1", "2")
		},
		"DDL that cannot be read": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)")
			w.fails(tx, 1064, "CREATE TABLE (")
			w.rollback(tx)
			w.is()
		},
		"the same, then Commit": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)")
			w.fails(tx, 1064, "CREATE TABLE (")
			w.commit(tx)
			w.is("1")
		},
		"temporary tables": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "CREATE TEMPORARY TABLE tmp (a int)", "DROP TEMPORARY TABLE tmp")
			w.rollback(tx)
			w.is()
		},
		"the DDL's own event": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "CREATE TABLE x (a int)")
			w.rollback(tx)
			if got := w.story(); got != "t.inserted #1 rows=1, schema.changed #x" {
				w.Error(got)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(newWorld(t))
		})
	}
}

// TestAutocommitOff: without autocommit nothing is outside a transaction.
func TestAutocommitOff(t *testing.T) {
	for name, f := range map[string]func(w *world){
		"by SET": func(w *world) {
			c := w.conn()
			w.exec(c, "SET autocommit = 0", "INSERT INTO t (id) VALUES (1)", "ROLLBACK", "INSERT INTO t (id) VALUES (2)", "COMMIT",
				"INSERT INTO t (id) VALUES (3)", "ROLLBACK", "INSERT INTO t (id) VALUES (4)", "SET autocommit = 1", "INSERT INTO t (id) VALUES (5)")
			w.is("2", "4", "5")
		},
		"in a transaction": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "SET autocommit = 1", "SET @@session.autocommit = 0")
			w.rollback(tx)
			w.is()
		},
		"DDL": func(w *world) {
			c := w.conn()
			w.exec(c, "SET autocommit = 0", "INSERT INTO t (id) VALUES (1)", "CREATE TABLE x (a int)", "INSERT INTO t (id) VALUES (2)", "ROLLBACK")
			w.is("1")
		},
		"DDL that fails": func(w *world) {
			c := w.conn()
			w.exec(c, "SET autocommit = 0", "INSERT INTO t (id) VALUES (1)")
			w.fails(c, 1050, "CREATE TABLE t (a int)")
			w.exec(c, "INSERT INTO t (id) VALUES (2)", "COMMIT")
			w.are([]string{"1", "2"}, []string{"2"})
			w.reported(hooks.NoticeDiscarded, 1)
		},
		"DDL that cannot be read": func(w *world) {
			c := w.conn()
			w.exec(c, "SET autocommit = 0", "INSERT INTO t (id) VALUES (1)")
			w.fails(c, 1064, "CREATE TABLE (")
			w.exec(c, "ROLLBACK", "INSERT INTO t (id) VALUES (2)", "COMMIT")
			w.is("2")
			w.reported(hooks.NoticeDiscarded, 1)
		},
		"by the DSN": func(w *world) {
			w.cfg.Params = map[string]string{"autocommit": "0"}
			w.reopen()
			c := w.conn()
			w.exec(c, "INSERT INTO t (id) VALUES (1)", "ROLLBACK", "INSERT INTO t (id) VALUES (2)", "COMMIT")
			w.is("2")
		},
		"in an executed comment": func(w *world) {
			c := w.conn()
			w.exec(c, "/*!40101 SET autocommit = 0 */", "INSERT INTO t (id) VALUES (1)", "ROLLBACK")
			w.is()
		},
		"completion_type": func(w *world) {
			c := w.conn()
			w.exec(c, "SET completion_type = 'CHAIN'", "BEGIN", "INSERT INTO t (id) VALUES (1)", "COMMIT", "INSERT INTO t (id) VALUES (2)", "ROLLBACK")
			w.is("1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(newWorld(t))
		})
	}
}

// TestRollbackAfterUnseen: what a ROLLBACK takes back has been rolled back, also
// after a statement that might have ended the transaction and has not.
func TestRollbackAfterUnseen(t *testing.T) {
	w := newWorld(t)
	w.exec(w.bare, "CREATE PROCEDURE nothing() BEGIN END", "CREATE PROCEDURE ends() BEGIN COMMIT; START TRANSACTION; END")
	for unseen, settled := range map[string]bool{"CALL nothing()": true, "SET autocommit = 1": true, "CALL ends()": false} {
		for _, raw := range []bool{false, true} {
			w.notices.reset()
			called := false
			c := w.conn()
			var tx *sql.Tx
			var h hooks.Handle = c
			if raw {
				w.exec(c, "BEGIN")
			} else {
				var err error
				if tx, err = c.BeginTx(context.Background(), nil); err != nil {
					t.Fatal(err)
				}
				h = tx
			}
			w.exec(h, "INSERT INTO t (id) VALUES (1)")
			if err := hooks.OnRollback(context.Background(), h, func(context.Context) { called = true }); err != nil {
				t.Fatal(err)
			}
			w.exec(h, unseen)
			if raw {
				w.exec(c, "ROLLBACK")
			} else {
				w.rollback(tx)
			}
			rolledBack, discarded := w.notices.count(hooks.NoticeRolledBack) == 1, w.notices.count(hooks.NoticeDiscarded) == 1
			if called != settled || rolledBack != settled || discarded == settled {
				t.Errorf("%s, raw %v: OnRollback called %v, rolled back %v, discarded %v", unseen, raw, called, rolledBack, discarded)
			}
			w.exec(w.bare, "DELETE FROM t")
		}
	}
}

// TestWarnings are the app's own after a statement that commits.
func TestWarnings(t *testing.T) {
	w := newWorld(t)
	tx := w.begin()
	w.exec(tx, "INSERT INTO t (id) VALUES (1)", "DROP TABLE IF EXISTS nonesuch")
	rows, err := tx.QueryContext(context.Background(), "SHOW WARNINGS")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for rows.Next() {
		var level, text string
		var number int
		if err := rows.Scan(&level, &number, &text); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	w.commit(tx)
	if len(texts) != 1 || !strings.Contains(texts[0], "nonesuch") {
		t.Errorf("warnings %q, want the one about the table", texts)
	}
	w.is("1")
}
