package changes_test

import (
	"database/sql"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// liteApp opens the file of a world through the wrapper.
func liteApp(w *world) (*sql.DB, *observer.ObservedLogs) {
	w.Helper()
	return liteAppOf(w, driver.AllTables())
}

func liteAppOf(w *world, rules *driver.Rules) (*sql.DB, *observer.ObservedLogs) {
	w.Helper()
	name := dbtest.Name("sqlite")
	core, logs := observer.New(zapcore.WarnLevel)
	hub := forward.New(&forward.Options{Logger: zap.New(core), Timeout: dbtest.Patience})
	hub.Register(threadline.NewForwarder(nil), forward.Auto)
	hub.Keep(capture.Of())
	driver.Register(name, "sqlite", hub, driver.Capture(rules), driver.WriteTimeout(dbtest.Patience), driver.DefaultActor(hooks.Actor{Type: hooks.System, ID: "test"}))
	return dbtest.Open(w.T, name, w.dsn), logs
}

func (w *world) actors(table string, key ...string) string {
	w.Helper()
	history, err := w.store.History(ctx, table, key...)
	w.must(err)
	var list []string
	for _, c := range history {
		list = append(list, c.By.String())
	}
	return strings.Join(list, ", ")
}

// TestSQLiteWho: a change is its transaction's, and without one nobody's.
func TestSQLiteWho(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, a)")
	w.capture(capture.Table{Name: "orders"})
	app, _ := liteApp(w)
	as := func(id string) (*sql.Tx, func(query string)) {
		tx, err := app.BeginTx(hooks.WithActor(ctx, hooks.Actor{Type: hooks.User, ID: id}), nil)
		w.must(err)
		return tx, func(query string) {
			_, err := tx.ExecContext(hooks.WithActor(ctx, hooks.Actor{Type: hooks.User, ID: id}), query)
			w.must(err)
		}
	}
	tx, exec := as("alice")
	exec("INSERT INTO orders VALUES (1, 'a')")
	exec("SAVEPOINT s")
	exec("INSERT INTO orders VALUES (2, 'b')")
	exec("ROLLBACK TO s")
	exec("UPDATE orders SET a = 'c'")
	var id, n int64
	w.must(tx.QueryRowContext(ctx, "SELECT last_insert_rowid(), changes()").Scan(&id, &n))
	if id != 2 && !setsRowID || n != 1 { // SQLite does not take it back
		w.Errorf("last_insert_rowid() is %d and changes() %d, not 2 and 1", id, n)
	}
	w.must(tx.Commit())

	tx, exec = as("mallory")
	exec("UPDATE orders SET a = 'd'")
	w.must(tx.Rollback())

	w.exec("UPDATE orders SET a = 'e'") // without the driver

	_, err := app.ExecContext(hooks.WithActor(ctx, hooks.Actor{Type: hooks.User, ID: "bob"}), "UPDATE orders SET a = 'f'")
	w.must(err)

	tx, exec = as("carol")
	exec("SAVEPOINT s")
	exec("UPDATE orders SET a = 'g'")
	exec("ROLLBACK TO s") // with the mark
	exec("UPDATE orders SET a = 'h'")
	w.must(tx.Commit())

	conn, err := app.Conn(ctx)
	w.must(err)
	w.must(conn.Raw(func(dc any) error { driver.Raw(dc); return nil }))
	w.must(conn.Close())
	w.exec("UPDATE orders SET a = 'i'")
	const want = "user:alice, user:alice, unknown session (the driver has not numbered its transaction), user:bob, user:carol, unknown session (the driver has not numbered its transaction)"
	if got := w.actors("orders", "1"); got != want {
		w.Errorf("the changes are by\n%s\nwant\n%s", got, want)
	}
	first := func() changes.State {
		list, failed := w.store.History(ctx, "orders", "1")
		w.must(failed)
		return list[0].By.State
	}
	if got := first(); got != changes.Recorded {
		w.Errorf("with events in the timeline it is %s", got)
	}
	w.exec("DELETE FROM threadline_audit_contexts")
	if got := first(); got != changes.Pending {
		w.Errorf("with events in the journal alone it is %s", got)
	}
	w.exec("DELETE FROM aftercommit_journal")
	if got := first(); got != changes.Unknown {
		w.Errorf("with no events it is %s", got)
	}
	history, err := w.store.History(ctx, "orders", "1")
	w.must(err)
	whole, err := w.store.Transaction(ctx, history[0].XID, history[0].TxStartedAt, 10)
	w.must(err)
	if len(whole.Changes) != 2 || whole.More || whole.Changes[1].Op != changes.Update {
		w.Errorf("the transaction has %+v", whole)
	}
	if n := w.text("SELECT count(*) FROM aftercommit_transaction WHERE tx_id IS NOT NULL"); n != "0" {
		w.Error("a transaction's number was committed")
	}
}

// TestSQLiteMark: the number is gone at each way to end a transaction, so that what comes behind is nobody's.
func TestSQLiteMark(t *testing.T) {
	for _, statements := range [][]string{
		{"BEGIN", "UPDATE orders SET a = 1", "COMMIT"},
		{"BEGIN", "UPDATE orders SET a = 1", "END"},
		{"SAVEPOINT x", "UPDATE orders SET a = 1", "RELEASE x"},
		{"BEGIN", "UPDATE orders SET a = 1", "SAVEPOINT s", "UPDATE orders SET a = 2", "ROLLBACK TO s", "COMMIT"},
		{"BEGIN", "UPDATE orders SET a = 1", "SELECT 1; COMMIT"},
		{"BEGIN", "UPDATE orders SET a = 1", "COMMIT; BEGIN; UPDATE orders SET a = 2", "COMMIT"},
		{"BEGIN", "UPDATE orders SET a = 1", "SAVEPOINT s; UPDATE orders SET a = 3; ROLLBACK TO s", "UPDATE orders SET a = 2", "COMMIT"},
		{"BEGIN", "UPDATE orders SET a = 1", "SAVEPOINT s", "UPDATE orders SET a = 2; ROLLBACK TO s", "COMMIT"}, // it is there again
		{"UPDATE orders SET a = 1; UPDATE orders SET a = 2"},
		{"INSERT INTO orders VALUES (2, 1) RETURNING id"},
		{"BEGIN", "UPDATE orders SET a = 1", "PRAGMA query_only = 1", "COMMIT", "PRAGMA query_only = 0"},
		{"BEGIN", "UPDATE plain SET a = 1", "COMMIT"},
	} {
		t.Run(strings.Join(statements, "; "), func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, a)", "INSERT INTO orders VALUES (1, 0)", "CREATE TABLE plain (a)", "INSERT INTO plain VALUES (1)")
			w.capture(capture.Table{Name: "orders"})
			app, _ := liteApp(w)
			conn, err := app.Conn(ctx)
			w.must(err)
			for _, s := range statements {
				_, err := conn.ExecContext(ctx, s)
				w.must(err)
			}
			w.must(conn.Close())
			w.exec("UPDATE orders SET a = 'shell'")
			if n := w.text("SELECT count(*) FROM aftercommit_transaction WHERE tx_id IS NOT NULL"); n != "0" {
				w.Error("a transaction's number was committed")
			}
			if n := w.text("SELECT tx_id FROM threadline_audit_changes ORDER BY seq DESC LIMIT 1"); n != "" {
				w.Error("a change of another program has the number of a transaction")
			}
		})
	}
}

// TestSQLiteMarkWithoutEvents: also if the transaction has nothing to write to the journal.
func TestSQLiteMarkWithoutEvents(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, a)", "INSERT INTO orders VALUES (1, 0)")
	w.capture(capture.Table{Name: "orders"})
	app, _ := liteAppOf(w, driver.AllTables().Except("orders"))
	tx, err := app.BeginTx(ctx, nil)
	w.must(err)
	_, err = tx.ExecContext(ctx, "UPDATE orders SET a = 1")
	w.must(err)
	w.must(tx.Commit())
	if n := w.text("SELECT count(*) FROM threadline_audit_changes WHERE tx_id IS NOT NULL"); n != "1" {
		w.Error("the change has no transaction")
	}
	if n := w.text("SELECT count(*) FROM aftercommit_transaction WHERE tx_id IS NOT NULL"); n != "0" {
		w.Error("a transaction's number was committed")
	}
}

// TestSQLiteDDL: DDL through the driver works, and is followed in its transaction.
func TestSQLiteDDL(t *testing.T) {
	for _, inside := range []bool{false, true} {
		t.Run(map[bool]string{false: "autocommit", true: "transaction"}[inside], func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, a, secret, gone, old)", "INSERT INTO orders VALUES (1, 'a', 's', 'g', 'o')")
			table := capture.Table{Name: "orders", Mask: []string{"secret"}}
			w.capture(table)
			app, logs := liteApp(w)
			conn, err := app.Conn(ctx)
			w.must(err)
			exec := func(queries ...string) {
				w.Helper()
				if inside {
					queries = append(append([]string{"BEGIN"}, queries...), "COMMIT")
				}
				for _, q := range queries {
					_, err := conn.ExecContext(ctx, q)
					w.must(err)
				}
			}
			exec("ALTER TABLE orders DROP COLUMN gone", "UPDATE orders SET a = 'b'")
			exec("ALTER TABLE orders ADD COLUMN b", "UPDATE orders SET b = 1")
			exec("ALTER TABLE orders RENAME COLUMN secret TO hidden", "UPDATE orders SET hidden = 't', old = 'p'")
			if _, err := conn.ExecContext(ctx, "ALTER TABLE orders DROP COLUMN nothing"); err == nil {
				w.Error("a column that is not there was dropped")
			}
			exec("UPDATE orders SET a = 'c'")
			// How migrations change what ALTER TABLE cannot.
			exec("CREATE TABLE new (id INTEGER PRIMARY KEY, a TEXT, hidden, b)", "INSERT INTO new SELECT id, a, hidden, b FROM orders", "DROP TABLE orders", "ALTER TABLE new RENAME TO orders", "UPDATE orders SET a = 'd', hidden = 'u'")
			exec("ALTER TABLE orders RENAME TO sales", "UPDATE sales SET a = 'e'")
			exec("CREATE UNIQUE INDEX one ON sales (b)", "INSERT OR REPLACE INTO sales VALUES (2, 'f', 'v', 1)")
			w.must(conn.Close())
			const want = `
update a: a → b;
update b: NULL → 1;
update hidden: (masked) → (masked); old: o → p;
update a: b → c;
update a: c → d; hidden: (masked) → (masked);
update a: d → e;
delete id: 1 → NULL; a: e → NULL; hidden: (masked) → NULL; b: 1 → NULL;`
			w.wantStory(want, "sales", "1")
			for _, e := range logs.All() {
				w.Errorf("it was logged: %s %v", e.Message, e.ContextMap())
			}
		})
	}
}

// TestSQLiteMaskedAgain: a masked or excluded column that is dropped and made again is masked or excluded again, until a plan
// says otherwise.
func TestSQLiteMaskedAgain(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE people (id INTEGER PRIMARY KEY, a, card, note)", "INSERT INTO people (id) VALUES (1)")
	w.capture(capture.Table{Name: "people", Mask: []string{"card"}, Exclude: []string{"note"}})
	app, logs := liteApp(w)
	for _, q := range []string{
		"ALTER TABLE people DROP COLUMN card", "ALTER TABLE people DROP COLUMN note", "UPDATE people SET a = 'b'", "ALTER TABLE people ADD COLUMN b",
		"ALTER TABLE people ADD COLUMN card", "ALTER TABLE people ADD COLUMN note", "UPDATE people SET b = 'c', card = 'secret', note = 'secret'",
	} {
		_, err := app.ExecContext(ctx, q)
		w.must(err)
	}
	w.wantStory("update a: NULL → b;\nupdate b: NULL → c; card: (masked) → (masked);", "people", "1")
	if n := w.text("SELECT count(*) FROM threadline_audit_values WHERE new LIKE '%secret%'"); n != "0" {
		w.Errorf("%s secret values are kept", n)
	}
	if p := w.capture(capture.Table{Name: "people"}); len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "loosens") {
		w.Errorf("the plan is %s", p)
	}
	for _, q := range []string{"ALTER TABLE people DROP COLUMN card", "ALTER TABLE people ADD COLUMN card", "UPDATE people SET card = 'open'"} {
		_, err := app.ExecContext(ctx, q)
		w.must(err)
	}
	if n := w.text("SELECT count(*) FROM threadline_audit_values WHERE new = 'open'"); n != "1" {
		w.Error("a column is masked that the last plan does not mask")
	}
	for _, e := range logs.All() {
		w.Errorf("it was logged: %s %v", e.Message, e.ContextMap())
	}
}

// TestSQLiteCopied: a table that a migration has renamed, copied into another of its name and dropped goes on.
func TestSQLiteCopied(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, a, card)", "INSERT INTO orders VALUES (1, 'a', 'secret')")
	w.capture(capture.Table{Name: "orders", Mask: []string{"card"}})
	app, logs := liteApp(w)
	for _, q := range []string{
		"ALTER TABLE orders RENAME TO old", "CREATE TABLE orders (id INTEGER PRIMARY KEY, a TEXT, card)", "INSERT INTO orders SELECT * FROM old", "DROP TABLE old",
		"UPDATE orders SET a = 'b', card = 'secret 2'", "CREATE INDEX i ON orders (a)", "UPDATE orders SET a = 'c'",
	} {
		_, err := app.ExecContext(ctx, q)
		w.must(err)
	}
	w.wantStory("update a: a → b; card: (masked) → (masked);\nupdate a: b → c;", "orders", "1")
	breaks, err := w.store.Breaks(ctx, "orders")
	w.must(err)
	var kinds []string
	for _, b := range breaks {
		kinds = append(kinds, string(b.Kind))
	}
	if got := strings.Join(kinds, " "); got != "began renamed renamed uncaptured reshaped" {
		w.Errorf("the breaks are %s: %+v", got, breaks)
	}
	// A table that has taken the name of another that is still there is another.
	for _, q := range []string{"ALTER TABLE orders RENAME TO sales", "CREATE TABLE orders (id INTEGER PRIMARY KEY, a)", "INSERT INTO orders VALUES (1, 'other')", "UPDATE sales SET a = 'd'"} {
		_, failed := app.ExecContext(ctx, q)
		w.must(failed)
	}
	w.capture(capture.Table{Name: "orders"})
	_, err = app.ExecContext(ctx, "DROP TABLE sales")
	w.must(err)
	_, err = app.ExecContext(ctx, "UPDATE orders SET a = 'more'")
	w.must(err)
	w.wantStory("update a: other → more;", "orders", "1")
	for _, e := range logs.All() {
		w.Errorf("it was logged: %s %v", e.Message, e.ContextMap())
	}
}

// TestSQLiteFollowedWhole: if a table cannot be captured anew, its triggers are those that it had, and not some of each.
func TestSQLiteFollowedWhole(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, a)")
	w.capture(capture.Table{Name: "orders"})
	triggers := func() string {
		return w.text("SELECT group_concat(sql) FROM (SELECT sql FROM sqlite_master WHERE name LIKE 'threadline_capture%' ORDER BY name)")
	}
	before := triggers()
	app, logs := liteApp(w)
	w.exec("CREATE TRIGGER fails BEFORE INSERT ON threadline_audit_captures BEGIN SELECT RAISE(ABORT, 'no notes'); END")
	for _, q := range []string{"CREATE UNIQUE INDEX i ON orders (a)", "ALTER TABLE orders ADD COLUMN b"} {
		_, err := app.ExecContext(ctx, q)
		w.must(err)
		if triggers() != before {
			w.Errorf("after %s the triggers are others", q)
		}
	}
	if logs.Len() == 0 {
		w.Error("it was not logged")
	}
	w.exec("DROP TRIGGER fails")
	breaks, err := w.store.Breaks(ctx, "orders")
	w.must(err)
	if n := len(breaks); n != 2 || breaks[1].Kind != changes.Uncaptured {
		w.Errorf("the breaks are %+v", breaks)
	}
	_, err = app.ExecContext(ctx, "ALTER TABLE orders ADD COLUMN c")
	w.must(err)
	if got := w.text("SELECT count(*) FROM sqlite_master WHERE name LIKE 'threadline_capture%' AND sql LIKE '%\"c\"%'"); got == "0" {
		w.Error("it is not captured again")
	}
}
