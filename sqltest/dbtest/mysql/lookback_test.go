package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestLooksBack: ROW_COUNT() and FOUND_ROWS() in a captured write are those of the
// app's statement before it, also where the driver knows nothing of the table yet
// and where the write is the first of its transaction.
func TestLooksBack(t *testing.T) {
	const found = "SELECT SQL_CALC_FOUND_ROWS * FROM t LIMIT 1"
	for name, c := range map[string]struct {
		queries    []string
		log        string // what the last one has written
		story      string
		uncaptured int
	}{
		"ROW_COUNT": {
			[]string{"UPDATE t SET v = v + 1", "INSERT INTO log (n) VALUES (ROW_COUNT())"},
			"3", "t.updated rows=3, log.inserted rows=1", 0,
		},
		"FOUND_ROWS": {
			[]string{found, "INSERT INTO log (n) VALUES (Found_Rows())"},
			"3", "log.inserted rows=1", 0,
		},
		"first of its transaction": {
			[]string{"UPDATE scratch SET a = a + 1", "INSERT INTO log (n) SELECT ROW_COUNT()"},
			"2", "log.inserted rows=1", 0,
		},
		"known": {
			[]string{"INSERT INTO log (id, n) VALUES (70, 7)", "UPDATE t SET v = v + 1", "INSERT INTO log (id, n) VALUES (71, ROW_COUNT())"},
			"3", "log.inserted #70 rows=1, t.updated rows=3, log.inserted #71 rows=1", 0,
		},
		"read otherwise in another sql_mode": {
			[]string{"UPDATE t SET v = v + 1", `INSERT INTO log (n, s) VALUES (ROW_COUNT(), '\'); DELETE FROM t; -- ')`},
			"3", "t.updated rows=3", 1,
		},
	} {
		for _, how := range []string{"autocommit", "transaction", "prepared"} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.exec(w.bare, "CREATE TABLE log (id int AUTO_INCREMENT PRIMARY KEY, n int, s text)", "INSERT INTO t VALUES (1,1), (2,2), (3,3)")
				for _, db := range []*sql.DB{w.bare, w.db} {
					w.exec(w.bare, "DELETE FROM log")
					w.playBack(db, how, c.queries)
					var n string
					if err := w.bare.QueryRowContext(context.Background(), "SELECT n FROM log ORDER BY id DESC LIMIT 1").Scan(&n); err != nil || n != c.log {
						t.Errorf("it has written %s (%v), want %s", n, err, c.log)
					}
				}
				if got := w.story(); got != c.story {
					t.Errorf("story %q, want %q", got, c.story)
				}
				w.reported(hooks.NoticeUncaptured, c.uncaptured)
				w.reported(hooks.NoticeDiscarded, 0)
			})
		}
	}
}

// playBack executes queries on a connection that has a temporary table of two rows.
func (w *world) playBack(db *sql.DB, how string, queries []string) {
	w.Helper()
	ctx := context.Background()
	c, err := db.Conn(ctx)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	w.exec(c, "CREATE TEMPORARY TABLE scratch (a int)", "INSERT INTO scratch VALUES (1), (2)")
	if how != "autocommit" {
		w.exec(c, "BEGIN")
	}
	for _, q := range queries {
		switch {
		case strings.HasPrefix(q, "SELECT"):
			var id, v int
			err = c.QueryRowContext(ctx, q).Scan(&id, &v)
		case how == "prepared" && strings.HasPrefix(q, "INSERT"):
			err = byPrepare(ctx, c, q)
		default:
			_, err = c.ExecContext(ctx, q)
		}
		if err != nil {
			w.Fatal(fmt.Errorf("%s: %w", q, err))
		}
	}
	if how != "autocommit" {
		w.exec(c, "COMMIT")
	}
}

// TestLooksBackFirst: such a write that is the first of its transaction is forwarded
// only if that commits, and while its rows are open it is reported.
func TestLooksBackFirst(t *testing.T) {
	w := newWorld(t)
	w.exec(w.bare, "CREATE TABLE log (n int)")
	tx := w.begin()
	w.exec(tx, "INSERT INTO log VALUES (ROW_COUNT())")
	w.rollback(tx)
	tx = w.begin()
	var n int
	if err := tx.QueryRowContext(context.Background(), "INSERT INTO log VALUES (ROW_COUNT()) RETURNING 1").Scan(&n); err != nil {
		t.Fatal(err)
	}
	w.commit(tx)
	if got := w.story(); got != "" {
		t.Error(got)
	}
	w.reported(hooks.NoticeUncaptured, 1)
	c := w.conn()
	w.exec(c, "BEGIN", "INSERT INTO log VALUES (ROW_COUNT())", "DO 1; COMMIT; BEGIN", "COMMIT")
	if got := w.story(); got != "" {
		t.Error("without the witness:", got)
	}
	w.reported(hooks.NoticeDiscarded, 1)
}

func byPrepare(ctx context.Context, c *sql.Conn, query string) error {
	st, err := c.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx)
	return errors.Join(err, st.Close())
}
