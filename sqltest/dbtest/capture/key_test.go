package capture_test

import (
	"database/sql"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const keyTables = `CREATE TABLE orders (id bigint PRIMARY KEY, note text);
	CREATE TABLE users (id text PRIMARY KEY, note text);
	CREATE TABLE files (id uuid PRIMARY KEY, note text);
	CREATE TABLE lines (line bigint PRIMARY KEY, id bigint UNIQUE)`

var fileID = uuid.MustParse("0190aaaa-bbbb-7ccc-8ddd-eeeeffff0001")

// keys are statements with the key that is plain to see in them, or "".
var keys = []struct {
	query   string
	args    []any
	key     string
	engines []dbtest.Engine
}{
	{query: "INSERT INTO orders (id) VALUES (1)", key: "1"},
	{query: "INSERT INTO orders (note, id) VALUES ('x', 2)", key: "2"},
	{query: "INSERT INTO orders (id) VALUES (-3)", key: "-3"},
	{query: "INSERT INTO orders (id, note) VALUES (?, ?)", args: []any{4, "x"}, key: "4"},
	{query: "INSERT INTO orders (note, id) VALUES (?, ?)", args: []any{"x", int64(5)}, key: "5"},
	{query: "INSERT INTO orders (id) VALUES (6), (7)"},
	{query: "INSERT INTO orders (id) VALUES (3 + 5)"},
	{query: "INSERT INTO orders VALUES (9, 'x')"},
	{query: "INSERT INTO orders (id) SELECT 10"},
	{query: "INSERT INTO orders (id) VALUES ($2 + 0), ($1 + 0)", args: []any{11, 12}, engines: pg},
	{query: "INSERT INTO orders (id, note) VALUES ($2, $1)", args: []any{"x", 13}, key: "13", engines: pg},
	{query: "INSERT INTO orders (id) VALUES ($1::bigint)", args: []any{14}, key: "14", engines: pg},
	{query: "INSERT INTO orders (id) VALUES (CAST(? AS bigint))", args: []any{15}, key: "15"},
	{query: "INSERT INTO orders (id, note) VALUES (:id, :note)", args: []any{sql.Named("note", "x"), sql.Named("id", 16)}, key: "16", engines: lite},
	{query: "UPDATE orders SET note = 'y' WHERE id = 1", key: "1"},
	{query: "UPDATE orders SET note = ? WHERE id = ?", args: []any{"y", 2}, key: "2"},
	{query: "UPDATE orders SET note = 'y' WHERE note = 'x' AND id = 4", key: "4"},
	{query: "UPDATE orders SET note = 'y' WHERE (id = 5)", key: "5"},
	{query: "UPDATE orders AS o SET note = 'y' WHERE o.id = 5", key: "5"},
	{query: "UPDATE orders SET note = 'y' WHERE orders.id = 5", key: "5"},
	{query: "UPDATE orders SET note = 'y' WHERE id = 1 OR id = 2"},
	{query: "UPDATE orders SET note = 'y' WHERE id > 1"},
	{query: "UPDATE orders SET note = 'y' WHERE id IN (1)"},
	{query: "UPDATE orders SET note = 'y' WHERE NOT id = 1"},
	{query: "UPDATE orders SET note = 'y' WHERE id = (SELECT 1)"},
	{query: "DELETE FROM orders WHERE id = ?", args: []any{1}, key: "1"},
	{query: "DELETE FROM orders WHERE id = 2 RETURNING id", key: "2"},
	{query: "INSERT INTO orders (id, note) VALUES (4, 'z') ON CONFLICT (id) DO UPDATE SET note = excluded.note", key: "4"},

	{query: "INSERT INTO users (id) VALUES ('ada')", key: "ada"},
	{query: "INSERT INTO users (id) VALUES ('it''s')", key: "it's"},
	{query: "INSERT INTO users (id) VALUES (?)", args: []any{"o'hara; DROP TABLE users --"}, key: "o'hara; DROP TABLE users --"},
	{query: "INSERT INTO users (id) VALUES (?)", args: []any{"größe 注文"}, key: "größe 注文"},
	{query: "INSERT INTO users (id) VALUES ($$dollar$$)", key: "dollar", engines: pg},
	{query: "INSERT INTO users (id) VALUES (lower('EVE'))"},
	{query: "UPDATE users SET note = 'y' WHERE id = 'ada'", key: "ada"},
	{query: "UPDATE users SET note = 'y' WHERE id = ?", args: []any{"it's"}, key: "it's"},
	{query: "DELETE FROM users WHERE id = 'ada'", key: "ada"},

	{query: "INSERT INTO files (id) VALUES (?)", args: []any{fileID}, key: fileID.String()},
	{query: "UPDATE files SET note = 'y' WHERE id = ?", args: []any{fileID.String()}, key: fileID.String()},
	{query: "DELETE FROM files WHERE id = '" + fileID.String() + "'", key: fileID.String()},

	{query: "INSERT INTO lines (line, id) VALUES (17, 18)", key: "18"},
	{query: "UPDATE lines SET id = 19 WHERE line = 17"},
}

// TestKeys: the key's value is the target's ID where the statement plainly
// shows it, and never another value.
func TestKeys(t *testing.T) {
	each(t, keyTables, func(w *world) {
		for _, k := range keys {
			if !w.speaks(k.engines) {
				continue
			}
			for _, way := range ways {
				tx := w.begin()
				if err := way.run(tx, w.e.Rebind(k.query), k.args...); err != nil {
					w.Fatalf("%s, %s: %v", way.name, k.query, err)
				}
				// Once for good, so that the next statements find the row.
				if way.name != ways[len(ways)-1].name {
					w.must(tx.Rollback())
					continue
				}
				w.must(tx.Commit())
			}
			w.wantKey(k.query, k.key)
		}
	})
}

func (w *world) wantKey(query, key string) {
	w.Helper()
	events := w.events()
	if len(events) != 1 {
		w.Errorf("%s: %d events, want 1", query, len(events))
		return
	}
	if got := events[0].Target.ID; got != key {
		w.Errorf("%s: key %q, want %q", query, got, key)
	}
}

// TestKeyColumn: another column may be the key.
func TestKeyColumn(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, keyTables, driver.KeyColumn("line"))
		w.exec("INSERT INTO lines (id, line) VALUES (?, ?)", 1, 2)
		w.exec("UPDATE lines SET line = 3 WHERE line = 2")
		w.exec("DELETE FROM lines WHERE id = 1")
		w.want(
			"lines.inserted lines#2 statements=1 rows=1 column=line",
			"lines.updated lines#2 statements=1 rows=1 column=line",
			"lines.deleted lines statements=1 rows=1 column=line",
		)
	})
}

// TestNoValues: an event has no values of columns but the key's.
func TestNoValues(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		w.exec("INSERT INTO orders (id, note) VALUES (?, ?)", 1, "hidden")
		w.exec("UPDATE orders SET note = 'hidden' WHERE note = 'hidden'")
		for _, e := range w.events() {
			w.wantNowhere(e, "hidden")
		}
	})
}
