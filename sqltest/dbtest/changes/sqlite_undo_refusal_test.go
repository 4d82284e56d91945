package changes_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// TestSQLiteUndoConflicts: what is in the way is listed; the statements that are executed in spite of it change nothing.
func TestSQLiteUndoConflicts(t *testing.T) {
	cases := map[string]struct {
		do, since []string
		want      []string
		goes      bool
	}{
		"another storage class": {do: []string{"UPDATE log SET a = 1 WHERE a = 2", "UPDATE child SET a = 'y' WHERE id = 1"}, since: []string{"UPDATE child SET a = x'79' WHERE id = 1"}, want: []string{`(1): a: changed later: X'79'; update in transaction`}},
	}
	for name, c := range undoConflicts {
		if !strings.Contains(fmt.Sprint(c.since), "TRUNCATE") {
			cases[name] = c
		}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := lite(t)
			w.exec("PRAGMA foreign_keys = ON")
			tables := w.conflictTables()
			do := strings.Split(strings.TrimSuffix(strings.TrimPrefix(strings.Join(c.do, "; "), "BEGIN; "), "; COMMIT"), "; ")
			w.liteInOne(1, do...)
			w.liteInOne(2, c.since...)
			u := w.liteUndo(1)
			var want []string
			for _, text := range c.want {
				want = append(want, strings.ReplaceAll(text, `"public"`, `"main"`))
			}
			w.wantConflicts(u, want...)
			before := w.liteContent(tables...)
			err := w.liteRun(3, u)
			if (err == nil) != c.goes {
				w.Errorf("the statements: %v\n%s", err, u)
			}
			if !c.goes {
				_, err = w.db.ExecContext(ctx, strings.ReplaceAll(u.String(), ".bail on\n", ""))
				if err == nil {
					w.Errorf("the script succeeds:\n%s", u)
				}
				w.exec("ROLLBACK")
				if got := w.liteContent(tables...); got != before {
					w.Errorf("the undo has changed\n%s\nto\n%s\n%s", before, got, u)
				}
			}
		})
	}
}

// TestSQLiteUndoRefused: an undo that would need a value that was not kept is refused as a whole, and the columns are named.
func TestSQLiteUndoRefused(t *testing.T) {
	const long = "replace(hex(zeroblob(40000)), '00', 'long')"
	whole := capture.Table{Name: "t"}
	for name, c := range map[string]struct {
		do    []string // executed in one transaction, which is undone
		since []string
		table capture.Table
		want  string // "" for none
	}{
		"masked":                 {do: []string{"UPDATE t SET card = '2' WHERE id = 1"}, want: `"main"."t" (1): card: masked: their values were not kept`},
		"masked and not masked":  {do: []string{"UPDATE t SET card = '2', a = 'y'"}, want: `"main"."t" (1): card: masked`},
		"masked, deleted":        {do: []string{"DELETE FROM t"}, want: `"main"."t" (1): card: masked`},
		"excluded, deleted":      {do: []string{"DELETE FROM t"}, want: `"main"."t" (1): note: excluded`},
		"masked, replaced":       {do: []string{"REPLACE INTO t VALUES (1, 'x', '1', 'n', 'b')"}, want: `"main"."t" (1): card: masked`},
		"beside a masked column": {do: []string{"UPDATE t SET a = 'y'"}},
		"inserted":               {do: []string{"INSERT INTO t VALUES (2, 'x', '4', 'n', NULL)"}},
		"excluded alone":         {do: []string{"UPDATE t SET a = 'y', note = 'z'"}},
		"long":                   {do: []string{"UPDATE t SET b = 'short'"}, want: `"main"."t" (1): b: shortened`},
		"long, of one length":    {do: []string{"UPDATE t SET b = replace(" + long + ", 'l', 'L')"}, want: `"main"."t" (1): b: shortened`},
		"long since":             {do: []string{"UPDATE t SET b = " + long + " WHERE id = 3"}},
		"renamed since":          {do: []string{"UPDATE t SET a = 'y'"}, since: []string{"ALTER TABLE t RENAME a TO z"}, want: `"main"."t" (1): a: dropped or renamed since`},
		"dropped since":          {do: []string{"UPDATE t SET a = 'y'"}, since: []string{"-- remove", "ALTER TABLE t DROP a"}, want: `"main"."t" (1): a: dropped or renamed since`},
		"retyped since":          {do: []string{"UPDATE t SET a = 'y'"}, since: []string{"-- remove", "ALTER TABLE t DROP a", "ALTER TABLE t ADD a INT"}, want: `"main"."t" (1): a (TEXT, now INT): of another type since`},
		"table dropped":          {do: []string{"UPDATE t SET a = 'y'"}, since: []string{"DROP TABLE t"}, want: `"main"."t" (1): the table is gone`},
		"table renamed":          {do: []string{"UPDATE t SET a = 'y'"}, since: []string{"ALTER TABLE t RENAME TO other"}},
		"made again":             {table: whole, do: []string{"UPDATE t SET a = 'y'"}, since: []string{"CREATE TABLE other AS SELECT * FROM t", "DROP TABLE t", "ALTER TABLE other RENAME TO t"}},
		"not captured yet":       {table: whole, do: []string{"ALTER TABLE t ADD c", "UPDATE t SET c = 5, b = 'short' WHERE id = 3", "DELETE FROM t WHERE id = 3"}, want: `"main"."t" (3): c: excluded, or not in the history`},
		"captured late":          {table: whole, do: []string{"ALTER TABLE t ADD c", "UPDATE t SET c = 5 WHERE id = 3", "DELETE FROM t WHERE id = 3"}, since: []string{"-- capture"}, want: `"main"."t" (3): c: excluded, or not in the history`},
		"added since":            {table: whole, do: []string{"DELETE FROM t WHERE id = 3"}, since: []string{"-- suspend", "ALTER TABLE t ADD c DEFAULT 7"}},
		"a key of NULL":          {table: capture.Table{Name: "n"}, do: []string{"UPDATE n SET a = 1"}, want: `"main"."n": the key of the row has, or had, NULL in it`},
		"a key set to NULL":      {table: capture.Table{Name: "n"}, do: []string{"UPDATE n SET k = 'x'"}, want: `"main"."n" (x): the key of the row has, or had, NULL in it`},
		"without a key, masked":  {table: capture.Table{Name: "k", Mask: []string{"b"}}, do: []string{"INSERT INTO k VALUES (1, 2)"}, want: `"main"."k": b: without a key`},
		"without a key, added":   {table: capture.Table{Name: "k"}, do: []string{"INSERT INTO k VALUES (1, 2)"}, since: []string{"ALTER TABLE k ADD c INT"}, want: `"main"."k": c: excluded, or not in the history`},
		"in reverse":             {table: whole, do: []string{"CREATE TRIGGER late AFTER UPDATE OF a ON t WHEN NEW.a = 'y' BEGIN UPDATE t SET a = 'z' WHERE id = NEW.id; END", "UPDATE t SET a = 'y' WHERE id = 3"}, want: `"main"."t" (3): the history has a gap: a change does not begin with what the one before it has left`},
		"nothing left":           {do: []string{"INSERT INTO t VALUES (4, 'x', '4', 'n', NULL)", "UPDATE t SET card = '5' WHERE id = 4", "DELETE FROM t WHERE id = 4"}, want: "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a text, card text, note text, b text)", "INSERT INTO t VALUES (1, 'x', '1', 'n', "+long+"), (3, 'x', '1', 'n', 'b')", "CREATE TABLE k (a int, b int)", "CREATE TABLE n (k TEXT PRIMARY KEY, a)", "INSERT INTO n VALUES (NULL, 0)")
			if c.table.Name == "" {
				c.table = capture.Table{Name: "t", Mask: []string{"card"}, Exclude: []string{"note"}}
			}
			w.capture(c.table)
			w.liteInOne(1, c.do...)
			for _, q := range c.since {
				switch q {
				case "-- remove":
					w.must(w.installer().Remove(ctx, c.table.Name))
				case "-- capture":
					w.capture(c.table)
				case "-- suspend": // as the driver lets a program change the table
					w.suspended(c.since[1:]...)
				default:
					if !slices.Contains(c.since, "-- suspend") {
						w.exec(q)
					}
				}
			}
			u := w.liteUndo(1)
			switch {
			case c.want == "nothing":
				if len(u.Statements)+len(u.Refusals)+len(u.Conflicts) > 0 {
					w.Errorf("%s", u)
				}
			case c.want == "":
				w.clean(u)
				w.must(w.liteRun(2, u))
			case len(u.Statements) > 0 || !strings.Contains(fmt.Sprintln(u.Refusals), c.want):
				w.Errorf("want a refusal that says %q:\n%s", c.want, u)
			}
			if all := u.String(); strings.Contains(all, "(masked)") || strings.Contains(all, "card\" =") || strings.Contains(all, "80000") {
				w.Errorf("a value is written that was not kept:\n%s", all)
			}
		})
	}
}

// suspended executes queries through the driver, which makes the captures anew.
func (w *world) suspended(queries ...string) {
	w.Helper()
	app, _ := liteApp(w)
	for _, q := range queries {
		_, err := app.ExecContext(ctx, q)
		w.must(err)
	}
	w.must(app.Close())
}

// TestSQLiteUndoRow: to a time and to a change, and not over a gap.
func TestSQLiteUndoRow(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (k PRIMARY KEY, a)")
	w.capture(capture.Table{Name: "t"})
	begin := w.liteClock()
	w.liteInOne(1, "INSERT INTO t VALUES (1, 0.1), ('2', 1)")
	middle := w.liteClock()
	w.liteInOne(2, "UPDATE t SET a = '0.1' WHERE k = 1", "UPDATE t SET k = 'moved' WHERE k = 1")
	w.exec("UPDATE t SET a = x'00' WHERE k = 'moved'") // without the driver
	want := func(u *undo.Script, err error, content string) {
		t.Helper()
		w.must(err)
		w.clean(u)
		was := w.liteContent("t")
		w.must(w.liteRun(9, u))
		if got := strings.Join(strings.Fields(w.liteContent("t")), " "); got != "t: "+content {
			t.Errorf("it leads to %s, want %s\n%s", got, content, u)
		}
		w.must(w.run(w.liteUndo(9))) // back again
		if got := w.liteContent("t"); got != was {
			t.Errorf("back is %s, want %s", got, was)
		}
		w.exec("DELETE FROM threadline_audit_changes WHERE tx_id = 9 OR tx_id IS NULL AND seq > (SELECT min(seq) FROM threadline_audit_changes WHERE tx_id = 9)")
	}
	u, err := undo.RowAsOf(ctx, w.store, "t", middle, "moved")
	want(u, err, `1x integer 1; real 3fb999999999999a 1x text "2"; integer 1`)
	u, err = undo.RowAsOf(ctx, w.store, "t", begin, "moved")
	want(u, err, `1x text "2"; integer 1`)
	history, err := w.store.History(ctx, "t", "moved")
	w.must(err)
	if len(history) != 4 {
		t.Fatalf("%v", history)
	}
	u, err = undo.RowAfter(ctx, w.store, history[1])
	want(u, err, `1x integer 1; text "0.1" 1x text "2"; integer 1`)
	u, err = undo.Change(ctx, w.store, history[3])
	want(u, err, `1x text "2"; integer 1 1x text "moved"; text "0.1"`)
	u, err = undo.Change(ctx, w.store, history[1])
	w.must(err)
	w.wantConflicts(u, `(1): row gone; update in transaction 2`)
	if _, err = undo.Transaction(ctx, w.store, 0, time.Time{}); !errors.Is(err, changes.ErrNoChange) {
		t.Errorf("a transaction without a number: %v", err)
	}
	if _, err = undo.RowAsOf(ctx, w.store, "t", begin, "nothing"); !errors.Is(err, changes.ErrNoChange) {
		t.Errorf("a row that never was: %v", err)
	}
	w.must(w.installer().Remove(ctx, "t"))
	w.exec("UPDATE t SET a = 'lost'")
	w.capture(capture.Table{Name: "t"})
	u, err = undo.RowAsOf(ctx, w.store, "t", middle, "moved")
	w.must(err)
	if len(u.Statements) > 0 || !strings.Contains(fmt.Sprint(u.Refusals), "the history has a gap") {
		t.Errorf("over a gap: %s", u)
	}
}

// TestSQLiteUndoForeignKeys: an undo is for connections that enforce foreign keys as the one that made it.
func TestSQLiteUndoForeignKeys(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE a (id INTEGER PRIMARY KEY)", "CREATE TABLE b (id INTEGER PRIMARY KEY, a INT REFERENCES a ON DELETE CASCADE ON UPDATE CASCADE)", "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1, 1)")
	w.capture(capture.Table{Name: "a"}, capture.Table{Name: "b"})
	w.exec("PRAGMA foreign_keys = ON")
	w.liteInOne(1, "UPDATE a SET id = 2")
	u := w.liteUndo(1)
	w.clean(u)
	w.exec("PRAGMA foreign_keys = OFF")
	if err := w.liteRun(2, u); err == nil {
		t.Errorf("it is executed without foreign keys, which have to change b: %s", w.liteContent("a", "b"))
	}
	w.liteInOne(3, "UPDATE a SET id = 3 WHERE id = 2")
	u = w.liteUndo(3)
	w.clean(u)
	w.exec("PRAGMA foreign_keys = ON")
	if err := w.liteRun(4, u); err == nil {
		t.Errorf("it is executed with foreign keys, which were not enforced: %s", w.liteContent("a", "b"))
	}
	w.exec("PRAGMA foreign_keys = OFF")
	w.must(w.liteRun(5, u))
}

// TestSQLiteUndoTriggers: the app's triggers that would fire are listed, and no others; so is what is not looked up.
func TestSQLiteUndoTriggers(t *testing.T) {
	w := lite(t)
	w.exec("PRAGMA foreign_keys = ON", "CREATE TABLE t (id INTEGER PRIMARY KEY, a, at, note)", "CREATE UNIQUE INDEX partly ON t (a) WHERE at > 0", "CREATE TABLE child (t INT REFERENCES t ON DELETE CASCADE)",
		`CREATE TRIGGER "Touch it" BEFORE /* DELETE */ UPDATE ON t BEGIN SELECT 1; END`, "CREATE TRIGGER of_a AFTER UPDATE OF \"at\", a ON t BEGIN DELETE FROM child WHERE t = 7; END",
		"CREATE TEMP TRIGGER [temp one] UPDATE ON main.t BEGIN SELECT 1; END", "CREATE TRIGGER of_id AFTER UPDATE OF id ON t BEGIN SELECT 1; END", "CREATE TRIGGER deletes AFTER DELETE ON t BEGIN UPDATE child SET t = t; END")
	w.capture(capture.Table{Name: "t", Exclude: []string{"note"}})
	w.exec("INSERT INTO t VALUES (1, 1, NULL, 'n')")
	w.liteInOne(1, "UPDATE t SET a = 2")
	u := w.liteUndo(1)
	want := []string{`"Touch it" on "main"."t", BEFORE UPDATE FOR EACH ROW`, `"of_a" on "main"."t", AFTER UPDATE FOR EACH ROW`, `"temp one" on "main"."t", AFTER UPDATE FOR EACH ROW`}
	if fmt.Sprint(u.Triggers) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", u.Triggers, want)
	}
	for _, warning := range []string{`whether the unique index "partly" of "main"."t" has the values of another row is not looked up`, `whether the changes have changed note as well is not known`} {
		if !strings.Contains(fmt.Sprint(u.Warnings), warning) {
			t.Errorf("no warning says %s: %q", warning, u.Warnings)
		}
	}
	w.exec("INSERT INTO child VALUES (1)")
	w.capture(capture.Table{Name: "t"})
	w.liteInOne(2, "DELETE FROM t")
	if u = w.liteUndo(2); !strings.Contains(fmt.Sprint(u.Warnings), `"main"."child" is not captured: what its foreign key "t" has deleted or changed there stays so`) {
		t.Errorf("%s", u)
	}
}

// TestSQLiteUndoExact: an undo that is executed late changes no row whose value has another storage class since, and removes
// none that has the values since, whatever the table says ON CONFLICT.
func TestSQLiteUndoExact(t *testing.T) {
	for name, c := range map[string]struct{ do, since string }{
		"storage class":      {"UPDATE t SET a = 1", "UPDATE t SET a = 1.0"},
		"letter case":        {"UPDATE t SET n = 'x'", "UPDATE t SET n = 'X'"},
		"replace by INSERT":  {"DELETE FROM t", "INSERT INTO t VALUES (2, 'U', 0, 'n')"},
		"replace by UPDATE":  {"UPDATE t SET u = 'v'", "INSERT INTO t VALUES (2, 'u', 0, 'n')"},
		"replace of the key": {"UPDATE t SET id = 7", "INSERT INTO t VALUES (1, 'w', 0, 'n')"},
		"replace by NOCASE":  {"UPDATE t SET u = 'v'", "INSERT INTO t VALUES (2, 'U', 0, 'n')"},
	} {
		t.Run(name, func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, u TEXT COLLATE NOCASE UNIQUE ON CONFLICT REPLACE, a, n TEXT COLLATE NOCASE)", "INSERT INTO t VALUES (1, 'u', 0, 'n')")
			w.capture(capture.Table{Name: "t"})
			w.liteInOne(1, c.do)
			u := w.liteUndo(1)
			w.clean(u)
			w.exec(c.since)
			before := w.liteContent("t")
			if err := w.liteRun(2, u); err == nil {
				t.Errorf("the undo succeeds:\n%s", u)
			}
			if got := w.liteContent("t"); got != before {
				t.Errorf("it has changed\n%s\nto\n%s\n%s", before, got, u)
			}
			if u = w.liteUndo(1); len(u.Conflicts) == 0 {
				t.Errorf("nothing is in the way:\n%s", u)
			}
		})
	}
}
