package mysql_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// deadlock makes tx the victim of a deadlock by what run executes, which wants row
// 9. Which of the two waits last does not matter: the server finds the cycle, and
// takes the one that has changed fewer rows.
func (w *world) deadlock(tx *sql.Tx, run victim) {
	w.Helper()
	w.exec(w.bare, "INSERT INTO t (id) VALUES (8), (9)")
	other, err := w.bare.BeginTx(context.Background(), nil)
	if err != nil {
		w.Fatal(err)
	}
	w.exec(tx, "UPDATE t SET v = 0 WHERE id = 8")
	// The one that has changed more rows survives.
	w.exec(other, "UPDATE t SET v = v + 1 WHERE id = 9", "INSERT INTO t (id) VALUES (20), (21), (22), (23), (24), (25), (26), (27)")
	survivor := make(chan error, 1)
	go func() {
		_, failed := other.ExecContext(context.Background(), "UPDATE t SET v = v + 1 WHERE id = 8")
		survivor <- failed
	}()
	err = run(tx)
	if lost := errors.Join(<-survivor, other.Rollback()); lost != nil {
		w.Fatalf("the survivor: %v", lost)
	}
	w.exec(w.bare, "DELETE FROM t WHERE id IN (8, 9)")
	var e *mysql.MySQLError
	if !errors.As(err, &e) || e.Number != 1213 {
		w.Fatalf("error %v instead of a deadlock", err)
	}
}

// victims are ways to wait for row 9, by the statement that the deadlock ends.
func victims() map[string]victim {
	// The server has sent row 8 before it waits for row 9.
	const both = " WHERE id IN (8, 9)"
	rows := func(q string, read func(rows *sql.Rows)) victim {
		return func(tx *sql.Tx) error {
			rows, err := tx.QueryContext(context.Background(), q)
			if err != nil {
				return err
			}
			read(rows)
			return errors.Join(rows.Err(), rows.Close())
		}
	}
	all := func(rows *sql.Rows) {
		for rows.Next() || rows.NextResultSet() {
		}
	}
	none := func(*sql.Rows) {}
	return map[string]victim{
		"query":                       rows("SELECT v FROM t WHERE id = 9 FOR UPDATE", all),
		"rows":                        rows("SELECT v FROM t"+both+" FOR UPDATE", all),
		"rows, unread":                rows("SELECT v FROM t"+both+" FOR UPDATE", none),
		"result set":                  rows("SELECT 1; SELECT v FROM t"+both+" FOR UPDATE", all),
		"result set, at once":         rows("SELECT 1; SELECT v FROM t WHERE id = 9 FOR UPDATE", all),
		"result set, unread":          rows("SELECT 1; SELECT v FROM t"+both+" FOR UPDATE", none),
		"rows of a write":             rows("DELETE FROM t"+both+" RETURNING id", all),
		"rows of a write, unread":     rows("DELETE FROM t"+both+" RETURNING id", none),
		"rows of an uncaptured write": rows("DELETE a FROM t a JOIN t b USING (id) WHERE a.id IN (8, 9)", all),
		"prepared": func(tx *sql.Tx) error {
			st, err := tx.PrepareContext(context.Background(), "SELECT v FROM t WHERE id = 9 FOR UPDATE")
			if err != nil {
				return err
			}
			defer st.Close()
			var v int
			return st.QueryRowContext(context.Background()).Scan(&v)
		},
		"exec": func(tx *sql.Tx) error {
			_, err := tx.ExecContext(context.Background(), "UPDATE t SET v = 1 WHERE id = 9")
			return err
		},
	}
}

// victim executes in tx what wants row 9.
type victim func(tx *sql.Tx) error

func TestDeadlockVictim(t *testing.T) {
	for name, run := range victims() {
		for end, finish := range map[string]func(w *world, tx *sql.Tx){
			"commits": func(w *world, tx *sql.Tx) {
				w.commit(tx)
				w.is("2")
			},
			"rolls back": func(w *world, tx *sql.Tx) {
				w.rollback(tx) // MariaDB autocommits after a deadlock, MySQL does not
				w.is(w.rows()...)
			},
		} {
			t.Run(name+", "+end, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				tx := w.begin()
				w.exec(tx, "INSERT INTO t (id) VALUES (1)")
				w.deadlock(tx, run)
				w.exec(tx, "INSERT INTO t (id) VALUES (2)")
				finish(w, tx)
				w.reported(hooks.NoticeDiscarded, 0)
			})
		}
	}
	t.Run("unseen", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		c := w.conn()
		tx, err := c.BeginTx(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		w.exec(tx, "INSERT INTO t (id) VALUES (1)")
		w.deadlock(tx, func(*sql.Tx) error {
			return c.Raw(func(dc any) error {
				_, err := driver.Raw(dc).(sqldriver.ExecerContext).ExecContext(context.Background(), "UPDATE t SET v = 1 WHERE id = 9", nil)
				return err
			})
		})
		w.exec(tx, "INSERT INTO t (id) VALUES (2)")
		w.commit(tx)
		w.is("2")
		w.reported(hooks.NoticeDiscarded, 1)
	})
}
