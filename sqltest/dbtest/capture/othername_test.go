package capture_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestKeysByOtherNames: SQLite has other names for the key, by which an UPDATE moves a
// row, an INSERT gives it two values, and a trigger changes it.
func TestKeysByOtherNames(t *testing.T) {
	const table = "CREATE TABLE % (id integer PRIMARY KEY, n int)"
	w := newWorld(t, dbtest.SQLite, "")
	var cases []certain
	for _, set := range []string{"id = 12", "rowid = 12", "oid = 12", "_rowid_ = 12", "'id' = 12", "(n, rowid) = (1, 12)"} {
		cases = append(cases, certain{
			set, table + "; INSERT INTO % VALUES (9, 1), (12, 1)",
			"DELETE FROM % WHERE id = 12\nUPDATE % SET " + set + " WHERE id = 9\nDELETE FROM % WHERE id = 12",
			"%.deleted %#12" + one + "\n%.updated %#9" + one + "\n%.deleted %#12" + one,
		})
	}
	for insert, id := range map[string]string{
		"(id, rowid) VALUES (7, 8)": "", "(rowid, id) VALUES (7, 8)": "", "(id, n, id) VALUES (7, 1, 8)": "", "('id', n) VALUES (7, 8)": "#7",
	} {
		cases = append(cases, certain{insert, table, "INSERT INTO % " + insert, "%.inserted %" + id + one})
	}
	for _, set := range []string{"UPDATE % SET rowid = new.id + 1000", "UPDATE '%' SET 'id' = new.id + 1000"} {
		cases = append(cases, certain{
			set, table + "; CREATE TRIGGER %t AFTER INSERT ON % BEGIN " + set + " WHERE id = new.id! END",
			"INSERT INTO % (id) VALUES (5)\nINSERT INTO % (id) VALUES (6) RETURNING id", "%.inserted %" + two,
		})
	}
	w.certain(cases)
}

// TestRowNumberAsKey: another column may have the row's number.
func TestRowNumberAsKey(t *testing.T) {
	w := newWorld(t, dbtest.SQLite, "", driver.KeyColumn("rowid"))
	const column = one + " column=rowid"
	w.certain([]certain{
		{
			"none does", "CREATE TABLE % (n int)", "INSERT INTO % (rowid, n) VALUES (7, 8)\nUPDATE % SET n = 1 WHERE rowid = 7",
			"%.inserted %#7" + column + "\n%.updated %#7" + column,
		},
		{"INSERT", "CREATE TABLE % (num integer PRIMARY KEY, n int)", "INSERT INTO % (rowid, num) VALUES (7, 8)", "%.inserted %" + column},
		{
			"UPDATE", "CREATE TABLE % (num integer PRIMARY KEY, n int); INSERT INTO % VALUES (9, 1), (12, 1)",
			"DELETE FROM % WHERE rowid = 12\nUPDATE % SET num = 12 WHERE rowid = 9\nDELETE FROM % WHERE rowid = 12",
			"%.deleted %#12" + column + "\n%.updated %#9" + column + "\n%.deleted %#12" + column,
		},
	})
}

// TestGeneratedKeys: a key that is generated moves with the columns that it is
// generated from.
func TestGeneratedKeys(t *testing.T) {
	each(t, "", func(w *world) {
		kinds := []string{"STORED"}
		if w.e.Dialect == hooks.SQLite {
			kinds = append(kinds, "VIRTUAL")
		}
		var cases []certain
		for _, kind := range kinds {
			table := "CREATE TABLE % (n int, id int GENERATED ALWAYS AS (n + 1) " + kind + " UNIQUE)"
			cases = append(cases, certain{
				kind, table + "; INSERT INTO % (n) VALUES (11), (8)",
				"DELETE FROM % WHERE id = 12\nUPDATE % SET n = 11 WHERE id = 9\nDELETE FROM % WHERE id = 12",
				"%.deleted %#12" + one + "\n%.updated %#9" + one + "\n%.deleted %#12" + one,
			})
			if w.e.Dialect == hooks.SQLite {
				cases = append(cases, certain{
					kind + ", trigger", table + "; CREATE TRIGGER %t AFTER INSERT ON % BEGIN UPDATE % SET n = n + 100! END",
					"DELETE FROM % WHERE n = 77\nINSERT INTO % (n) VALUES (1) RETURNING id", "%.inserted %" + one,
				})
			} else {
				cases = append(cases, certain{kind + ", returned", table, "INSERT INTO % (n) VALUES (1) RETURNING id", "%.inserted %#2" + one})
			}
		}
		w.certain(cases)
	})
}

// TestDeferredKeys: a unique constraint that is deferrable does not hold after each
// statement, so that two rows may have one key.
func TestDeferredKeys(t *testing.T) {
	each(t, "", func(w *world) {
		var cases []certain
		for _, when := range []string{"UNIQUE DEFERRABLE INITIALLY DEFERRED", "PRIMARY KEY DEFERRABLE"} {
			cases = append(cases, certain{
				when, "CREATE TABLE % (id int " + when + ", n int)",
				"SET CONSTRAINTS ALL DEFERRED\nINSERT INTO % (id, n) VALUES (7, 1)\nINSERT INTO % (id, n) VALUES (7, 2)\nUPDATE % SET n = n + 1 WHERE id = 7\nUPDATE % SET id = 8 WHERE id = 7 AND n = 2",
				"%.inserted %" + two + "\n%.updated % statements=1 rows=2\n%.updated %" + one,
			})
		}
		w.certain(cases)
	}, pg...)
}

// TestKeysOfSeveralRows: where it could not be asked whether a key is one row's, the
// number of rows says that it is not.
func TestKeysOfSeveralRows(t *testing.T) {
	w := newWorld(t, dbtest.SQLite, "")
	conn := w.conn()
	w.execOn(conn, "ATTACH ':memory:' AS more")
	w.execOn(conn, "CREATE TABLE more.notes (id int, n int)")
	w.execOn(conn, "INSERT INTO more.notes VALUES (7, 1), (7, 2), (8, 3)")
	w.execOn(conn, "CREATE TABLE more.other (id int)") // forgets what names mean
	w.events()
	w.execOn(conn, "BEGIN")
	w.execOn(conn, "UPDATE more.notes SET n = 1 WHERE id = 8")
	w.execOn(conn, "UPDATE more.notes SET n = 1 WHERE id = 7")
	w.must(drain(conn.QueryContext(ctx(), "DELETE FROM more.notes WHERE id = 7 RETURNING n")))
	w.execOn(conn, "COMMIT")
	w.want("more.notes.updated more.notes#8"+one, "more.notes.updated more.notes statements=1 rows=2", "more.notes.deleted more.notes statements=1 rows=2")
}

// TestLongKeys: a key that does not fit into an event as it is has no ID, since what
// is left of it may be another row's.
func TestLongKeys(t *testing.T) {
	each(t, "CREATE TABLE texts (id text PRIMARY KEY)", func(w *world) {
		fits := strings.Repeat("p", hooks.MaxText)
		w.exec("INSERT INTO texts (id) VALUES (?)", fits)
		w.want("texts.inserted texts#" + fits + one)
		tx := w.begin()
		w.execOn(tx, "DELETE FROM texts WHERE id = ?", fits)
		w.execOn(tx, "INSERT INTO texts (id) VALUES ('"+fits+"x')")
		w.must(drain(tx.QueryContext(ctx(), "INSERT INTO texts (id) VALUES ('"+fits+"y') RETURNING id")))
		w.must(tx.Commit())
		w.want("texts.deleted texts#"+fits+one, "texts.inserted texts"+two)
		if w.e.Dialect == hooks.SQLite {
			w.exec("INSERT INTO texts (id) VALUES (?)", "a\x00b")
			w.want("texts.inserted texts" + one)
		}
	})
}
