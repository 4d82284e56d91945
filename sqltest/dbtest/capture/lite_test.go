package capture_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const liteTables = `CREATE TABLE orders (id bigint PRIMARY KEY, note text); CREATE TABLE vips (id bigint);
	CREATE VIEW open_orders AS SELECT * FROM orders WHERE note IS NULL`

var liteCases = []relationCase{
	{"beside a permanent one", "CREATE TEMP TABLE orders (id bigint)\n" + insert + "\nINSERT INTO main.orders (id) VALUES (1)\nINSERT INTO temp.orders VALUES (2)", "orders.inserted orders#1" + row},
	{"rolled back", "BEGIN\nCREATE TEMP TABLE orders (id bigint)\n" + insert + "\nROLLBACK\n" + insert, "orders.inserted orders#1" + row},
	{"rolled back to a savepoint", "BEGIN\nSAVEPOINT s\nCREATE TEMP TABLE orders (id bigint)\n" + insert + "\nROLLBACK TO s\n" + insert + "\nCOMMIT", "orders.inserted orders#1" + row},
	{"renamed", "CREATE TEMP TABLE scratch (id bigint)\nALTER TABLE scratch RENAME TO notes\nINSERT INTO notes VALUES (1)", ""},
	{"the permanent one is dropped", "CREATE TEMP TABLE vips (id bigint)\nDROP TABLE main.vips\nINSERT INTO vips VALUES (1)", "schema.changed schema#vips statements=1"},
	{"the temporary one is dropped", "CREATE TEMP TABLE orders (id bigint)\nDROP TABLE orders\n" + insert, "orders.inserted orders#1" + row},
	{"in one string", "CREATE TEMP TABLE orders (id bigint); " + insert + "; DROP TABLE orders; INSERT INTO main.orders (id) VALUES (1)", "orders.inserted orders#1" + row},
	{"capitals", "insert into ORDERS (id) values (1)\nINSERT INTO [Orders] (id) VALUES (2)", "orders.inserted orders#1" + row + "\norders.inserted orders#2" + row},
	{"attached", "ATTACH '%s' AS more\nCREATE TABLE more.notes (id bigint PRIMARY KEY)\nINSERT INTO notes (id) VALUES (1)\nINSERT INTO More.Notes (id) VALUES (2)\nDETACH more", "schema.changed schema#more.notes statements=1\nmore.notes.inserted more.notes#1" + row + "\nmore.notes.inserted more.notes#2" + row},
	{"INSTEAD OF", "+CREATE TRIGGER t INSTEAD OF INSERT ON open_orders BEGIN INSERT INTO orders (id) VALUES (new.id); END\nINSERT INTO open_orders (id) VALUES (1)", "open_orders.inserted open_orders statements=1 conditional=true"},
	{"INSTEAD OF, temporary", "CREATE TEMP TRIGGER t INSTEAD OF DELETE ON open_orders BEGIN DELETE FROM orders WHERE id = old.id; END\n" + insert + "\nDELETE FROM open_orders", "orders.inserted orders#1" + row + "\nopen_orders.deleted open_orders statements=1 conditional=true"},
	{"RAISE(IGNORE)", "+CREATE TRIGGER t BEFORE INSERT ON orders BEGIN SELECT RAISE(IGNORE); END\n" + insert + "\nBEGIN\n" + insert + "\nCOMMIT\nDELETE FROM orders", "orders.inserted orders#1 statements=1 conditional=true\norders.inserted orders#1 statements=1 conditional=true"},
	{"RAISE(IGNORE), RETURNING", "+CREATE TRIGGER t BEFORE INSERT ON orders BEGIN SELECT RAISE(IGNORE); END\n?" + insert + " RETURNING id", "orders.inserted orders#1 statements=1 conditional=true"},
	{"RAISE(IGNORE) of a DELETE", "+CREATE TRIGGER t BEFORE DELETE ON orders BEGIN SELECT RAISE(IGNORE); END\nUPDATE orders SET note = 'x'\nDELETE FROM orders", "orders.deleted orders statements=1 conditional=true"},
	{"RAISE(ABORT)", "+CREATE TRIGGER t BEFORE DELETE ON orders WHEN old.id = 1 BEGIN SELECT RAISE(ABORT, 'IGNORE'); END\nDELETE FROM orders", ""},
	{"a command of FTS5", "+create  virtual table fts USING fts5(body)\nINSERT INTO fts (body) VALUES ('x')\nINSERT INTO fts (fts) VALUES ('optimize')", "fts.inserted fts" + row},
	{"a column of the table's name", "+CREATE TABLE notes (notes text)\nINSERT INTO notes (notes) VALUES ('optimize')", "notes.inserted notes" + row},
	{"nothing matches", "UPDATE orders SET note = 'x'\nBEGIN\nDELETE FROM orders\nCOMMIT", ""},
}

// TestRelationsOnSQLite: a name is what SQLite takes it for.
func TestRelationsOnSQLite(t *testing.T) {
	for _, c := range liteCases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, dbtest.SQLite, liteTables)
			c.script = strings.ReplaceAll(c.script, "%s", filepath.Join(t.TempDir(), "more.db"))
			w.runRelation(c)
		})
	}
}

// TestNamesKeepSQLiteWaiting: what the driver asks does not begin the app's
// transaction as a reading one, which then could not write after others have.
func TestNamesKeepSQLiteWaiting(t *testing.T) {
	each(t, liteTables, func(w *world) {
		conn := w.conn()
		w.execOn(conn, "CREATE TEMP TABLE scratch (id bigint)")
		for _, first := range []string{"INSERT INTO scratch VALUES (1)", "!DELETE FROM nowhere", "!INSERT INTO open_orders (id) VALUES (1)"} {
			w.execOn(conn, "BEGIN")
			if first[0] == '!' {
				if _, err := conn.ExecContext(ctx(), first[1:]); err == nil {
					w.Fatalf("%s does not fail", first[1:])
				}
			} else {
				w.execOn(conn, first)
			}
			w.must(w.bare.ExecContext(ctx(), "INSERT INTO vips VALUES (1)"))
			w.execOn(conn, "INSERT INTO orders (id) SELECT count(*) FROM orders")
			w.execOn(conn, "COMMIT")
			w.wantAfter(first, "orders.inserted orders"+row)
		}
	}, lite...)
}
