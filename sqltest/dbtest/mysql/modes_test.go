package mysql_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestModeChanges: how a string is read, its own statements may change, and so may the
// session before it.
func TestModeChanges(t *testing.T) {
	const (
		escaped = `INSERT INTO s VALUES ('\'); COMMIT; -- ')`
		gbk     = "INSERT INTO s (x) VALUES ('\xbf\x5c'); COMMIT; -- ')"
	)
	for name, f := range map[string]func(w *world){
		"escapes, in the string": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "SET sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES'); "+escaped, "INSERT INTO t (id) VALUES (2)")
			w.rollback(tx)
			w.are([]string{"1", "2"}, []string{"2"})
			w.reported(hooks.NoticeDiscarded, 1)
		},
		"escapes, before it": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "SET @old = @@sql_mode, sql_mode = 'NO_BACKSLASH_ESCAPES'", escaped, "SET sql_mode = @old",
				"INSERT INTO t (id) VALUES (2)", escaped)
			w.rollback(tx)
			w.are([]string{"1", "2"}, []string{"2"})
		},
		"quotes": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')", `INSERT INTO "t" ("id") VALUES (2)`)
			w.commit(tx)
			w.is("1", "2")
		},
		"quotes, and a comment": func(w *world) {
			w.exec(w.bare, "INSERT INTO t (id) VALUES (1), (2)")
			c := w.conn()
			w.exec(c, "SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')", `UPDATE "t" SET v = 5 /*!99999 */`)
			if got := w.story(); got != "t.updated rows=2" {
				w.Error(got)
			}
		},
		"character set": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "SET NAMES gbk", gbk, "INSERT INTO t (id) VALUES (2)")
			w.rollback(tx)
			w.are([]string{"1", "2"}, []string{"2"})
			w.reported(hooks.NoticeDiscarded, 1)
		},
		"character set, in the string": func(w *world) {
			tx := w.begin()
			w.exec(tx, "INSERT INTO t (id) VALUES (1)", "SET NAMES gbk; "+gbk, "INSERT INTO t (id) VALUES (2)")
			w.rollback(tx)
			w.are([]string{"1", "2"}, []string{"2"})
			w.reported(hooks.NoticeDiscarded, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(w.bare, "CREATE TABLE s (x varbinary(200))")
			f(w)
		})
	}
}

// TestKeysThatDoNotFit are not those of the rows: without strict mode, and with
// IGNORE, the server takes the nearest value that fits.
func TestKeysThatDoNotFit(t *testing.T) {
	const clipped = "t.inserted rows=1"
	for name, c := range map[string]struct {
		before, query, want string
	}{
		"ignore":          {"DO 1", "INSERT IGNORE INTO t (id) VALUES (99999999999)", clipped},
		"ignore set":      {"DO 1", "INSERT IGNORE t SET id = 99999999999", clipped},
		"strict":          {"DO 1", "INSERT INTO t (id) VALUES (7)", "t.inserted #7 rows=1"},
		"not strict":      {"SET sql_mode = ''", "INSERT INTO t (id) VALUES (99999999999)", clipped},
		"strict again":    {"SET sql_mode = ''; SET sql_mode = 'STRICT_ALL_TABLES'", "INSERT INTO t (id) VALUES (7)", "t.inserted #7 rows=1"},
		"replace":         {"SET sql_mode = ''", "REPLACE INTO t (id) VALUES (99999999999)", "t.upserted"},
		"as it is in the": {"SET sql_mode = ''", "UPDATE t SET v = 1 WHERE id = 3", "t.updated #3 rows=1"},
		"in the string":   {"DO 1", "SET sql_mode = ''; INSERT INTO t (id) VALUES (99999999999); SET sql_mode = 'STRICT_ALL_TABLES'", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(w.bare, "INSERT INTO t (id) VALUES (3)")
			conn := w.conn()
			w.exec(conn, c.before, c.query)
			tx := w.begin()
			w.rollback(tx)
			if got := w.story(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	t.Run("by the DSN", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.cfg.Params = map[string]string{"sql_mode": "''"}
		w.reopen()
		w.exec(w.db, "INSERT INTO t (id) VALUES (99999999999)")
		if got := w.story(); got != clipped {
			t.Errorf("%q, want %q", got, clipped)
		}
	})
}

// TestLoadData counts its rows, and follows its transaction.
func TestLoadData(t *testing.T) {
	w := newWorld(t)
	w.exec(w.bare, "INSERT INTO t (id) VALUES (1)")
	name := strings.ReplaceAll(w.name, "-", "")
	mysql.RegisterReaderHandler(name, func() io.Reader { return strings.NewReader("1\t5\n2\t5\n3\t5\n") })
	t.Cleanup(func() { mysql.DeregisterReaderHandler(name) })
	load := "LOAD DATA LOCAL INFILE 'Reader::" + name + "' %s INTO TABLE t (id, v)"
	tx := w.begin()
	w.exec(tx, fmt.Sprintf(load, "IGNORE"))
	w.rollback(tx)
	w.exec(w.db, fmt.Sprintf(load, ""), fmt.Sprintf(load, "REPLACE"))
	if got := w.story(); got != "t.inserted rows=2, t.upserted" {
		t.Error(got)
	}
}
