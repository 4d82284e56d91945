package changes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// TestUndoRefused: an undo that would need a value that was not kept is refused as a whole, and the
// columns are named.
func TestUndoRefused(t *testing.T) {
	table := capture.Table{Name: "t", Mask: []string{"card"}, Exclude: []string{"note"}}
	for name, c := range map[string]struct {
		do    []string // the last of which is undone
		table *capture.Table
		want  string // "" for none
	}{
		"masked":                    {do: []string{"UPDATE t SET card = '2' WHERE id = 1"}, want: `"public"."t" (1): card: masked: their values were not kept`},
		"hashed":                    {table: &capture.Table{Name: "t", Hash: []string{"card"}}, do: []string{"UPDATE t SET card = '2', a = 'y'"}, want: `"public"."t" (1): card: masked: their values were not kept`},
		"masked and not masked":     {do: []string{"UPDATE t SET card = '2', a = 'y'"}, want: `"public"."t" (1): card: masked`},
		"masked, deleted":           {do: []string{"DELETE FROM t"}, want: `"public"."t" (1): card: masked`},
		"excluded, deleted":         {do: []string{"DELETE FROM t"}, want: `"public"."t" (1): note: excluded`},
		"beside a masked column":    {do: []string{"UPDATE t SET a = 'y'"}},
		"inserted":                  {do: []string{"INSERT INTO t VALUES (2, 'x', '4', 'n')"}},
		"excluded alone":            {do: []string{"UPDATE t SET a = 'y', note = 'z'"}},
		"long":                      {do: []string{"UPDATE t SET b = 'short'"}, want: `"public"."t" (1): b: shortened`},
		"long since":                {do: []string{"UPDATE t SET b = 'short'", "UPDATE t SET b = (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 3000) n)"}},
		"truncated":                 {do: []string{"TRUNCATE t"}, want: `"public"."t": TRUNCATE keeps no rows`},
		"among others":              {do: []string{"BEGIN; UPDATE t SET a = 'y'; TRUNCATE t; COMMIT"}, want: `"public"."t": TRUNCATE keeps no rows`},
		"dropped since":             {do: []string{"UPDATE t SET a = 'y'", "ALTER TABLE t DROP a"}, want: `"public"."t" (1): a: dropped or renamed since`},
		"renamed since":             {do: []string{"UPDATE t SET a = 'y'", "ALTER TABLE t RENAME a TO z"}},
		"dropped and made again":    {do: []string{"UPDATE t SET a = 'y'", "ALTER TABLE t DROP a", "ALTER TABLE t ADD a text DEFAULT 'y'"}, want: `"public"."t" (1): a (dropped): dropped or renamed since`},
		"retyped since":             {do: []string{"UPDATE t SET a = 'y'", "ALTER TABLE t ALTER a TYPE varchar(9)"}, want: `"public"."t" (1): a (text, now character varying(9)): of another type since`},
		"another dropped":           {do: []string{"UPDATE t SET a = 'y'", "ALTER TABLE t DROP b"}},
		"table dropped":             {do: []string{"UPDATE t SET a = 'y'", "DROP TABLE t"}, want: `"public"."t" (1): the table is gone`},
		"key dropped":               {do: []string{"UPDATE t SET a = 'y'", "ALTER TABLE t DROP id"}, want: `"public"."t" (1): id: dropped or renamed since`},
		"drifted":                   {do: []string{"ALTER TABLE t ADD c int", "UPDATE t SET a = 'y'"}, want: `"public"."t" (1): card, note: excluded, or not in the history`},
		"drifted, inserted":         {do: []string{"ALTER TABLE t ADD c int", "INSERT INTO t VALUES (2)"}},
		"drifted, all kept":         {table: &capture.Table{Name: "t"}, do: []string{"ALTER TABLE t ADD c int", "UPDATE t SET a = 'y', c = 4"}},
		"drifted, deleted":          {table: &capture.Table{Name: "t"}, do: []string{"UPDATE t SET b = 'short'", "ALTER TABLE t ADD c int DEFAULT 7", "DELETE FROM t"}},
		"drifted, key unknown":      {table: &capture.Table{Name: "t"}, do: []string{"ALTER TABLE t RENAME id TO number", "UPDATE t SET a = 'y'", "ALTER TABLE t RENAME number TO id"}, want: `the key of the row is not known`},
		"added since":               {table: &capture.Table{Name: "t"}, do: []string{"UPDATE t SET b = 'short'", "DELETE FROM t", "ALTER TABLE t ADD c int DEFAULT 7"}},
		"identity":                  {table: &capture.Table{Name: "t"}, do: []string{"ALTER TABLE t ALTER id ADD GENERATED ALWAYS AS IDENTITY (START 5)", "UPDATE t SET id = DEFAULT"}, want: `id: GENERATED ALWAYS AS IDENTITY`},
		"without a key, masked":     {table: &capture.Table{Name: "k", Mask: []string{"b"}}, do: []string{"INSERT INTO k VALUES (1, 2)"}, want: `"public"."k": b: without a key`},
		"without a key, added":      {table: &capture.Table{Name: "k"}, do: []string{"INSERT INTO k VALUES (1, 2)", "ALTER TABLE k ADD c int"}, want: `"public"."k": c: excluded, or not in the history`},
		"renamed table":             {table: &capture.Table{Name: "t"}, do: []string{"UPDATE t SET a = 'y'", "ALTER TABLE t RENAME TO u"}},
		"made again":                {do: []string{"UPDATE t SET a = 'y'", "ALTER TABLE t RENAME TO old", "CREATE TABLE t AS TABLE old", "DROP TABLE old"}, want: `"public"."t" (1): the table is gone`},
		"renamed, and another":      {do: []string{"UPDATE t SET a = 'y'", "ALTER TABLE t RENAME TO old", "CREATE TABLE t AS TABLE old"}},
		"capture removed":           {do: []string{"UPDATE t SET a = 'y'", "DROP TRIGGER threadline_row ON t"}},
		"undone before it was kept": {do: []string{"BEGIN; INSERT INTO t VALUES (3, 'x', '4'); UPDATE t SET card = '5' WHERE id = 3; DELETE FROM t WHERE id = 3; COMMIT"}, want: "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			onPQ(t, func(w *world) {
				w.exec("CREATE TABLE t (id int PRIMARY KEY, a text, card text, note text, b text)", "INSERT INTO t VALUES (1, 'x', '1', 'n', (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 3000) n))", "CREATE TABLE k (a int, b int)")
				if c.table == nil {
					c.table = &table
				}
				w.capture(*c.table)
				w.exec(c.do...)
				u := w.undoLast()
				switch {
				case c.want == "nothing":
					if len(u.Statements)+len(u.Refusals)+len(u.Conflicts) > 0 {
						w.Errorf("%s", u)
					}
				case c.want == "" && len(u.Refusals) > 0:
					w.Errorf("refused: %s", u)
				case c.want == "" && name != "long since" && name != "drifted, inserted":
					w.clean(u)
					w.must(w.run(u))
				case c.want != "" && (len(u.Statements) > 0 || !strings.Contains(fmt.Sprintln(u.Refusals), c.want)):
					w.Errorf("want a refusal that says %q:\n%s", c.want, u)
				}
				if all := u.String(); strings.Contains(all, "(masked)") || strings.Contains(all, "card\" =") {
					w.Errorf("a masked value is written:\n%s", all)
				}
			})
		})
	}
}

// TestUndoWithoutTriggers: an undo to a time refuses to cross one at which the triggers were disabled, whether they were planned again since
// or not; one to a time after it does not.
func TestUndoWithoutTriggers(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1, 1)")
		history, err := w.store.History(ctx, "t", "1")
		w.must(err)
		w.exec("ALTER TABLE t DISABLE TRIGGER ALL", "UPDATE t SET a = 666", "ALTER TABLE t ENABLE TRIGGER ALL", "UPDATE t SET b = 2")
		refused := func(when string) {
			t.Helper()
			u, failed := undo.RowAfter(ctx, w.store, history[0])
			w.must(failed)
			if len(u.Statements) > 0 || len(u.Refusals) != 1 || !strings.Contains(u.Refusals[0].String(), "the history has a gap: triggers were") {
				w.Errorf("%s: %s", when, u)
			}
		}
		refused("before the next plan")
		w.capture(capture.Table{Name: "t"})
		refused("after it")
		w.exec("UPDATE t SET b = 3", "UPDATE t SET b = 4")
		history, err = w.store.History(ctx, "t", "1")
		w.must(err)
		u, err := undo.RowAfter(ctx, w.store, history[len(history)-2])
		w.must(err)
		if len(u.Statements) != 1 || len(u.Refusals) > 0 {
			w.Errorf("behind the gap: %s", u)
		}
	})
}

// TestUndoGap: what was not captured cannot be undone, nor can the rest of its transaction, nor the row.
func TestUndoGap(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1)")
		begin := time.Now()
		w.lose("UPDATE t SET a = 2")
		w.exec("UPDATE t SET a = 3")
		u, err := undo.RowAsOf(ctx, w.store, "t", begin.Add(-time.Hour), "1")
		w.must(err)
		if len(u.Statements) > 0 || len(u.Refusals) != 1 || !strings.Contains(u.Refusals[0].String(), `"public"."t": the history has a gap: the UPDATE was not captured`) {
			w.Errorf("%s", u)
		}
		var xid int64
		var startedAt time.Time
		w.must(w.db.QueryRowContext(ctx, "SELECT xid::text::bigint, tx_started_at FROM threadline.audit_gaps").Scan(&xid, &startedAt))
		u, err = undo.Transaction(ctx, w.store, xid, startedAt)
		w.must(err)
		if len(u.Statements) > 0 || len(u.Refusals) != 1 {
			w.Errorf("%s", u)
		}
		// The change before the gap is in conflict with what is there.
		history, err := w.store.History(ctx, "t", "1")
		w.must(err)
		u, err = undo.Change(ctx, w.store, history[0])
		w.must(err)
		w.wantConflicts(u, `(1): a: changed later: "3"; update in transaction`)
		// The gap is after the first change, and before the last.
		u, err = undo.RowAfter(ctx, w.store, history[0])
		w.must(err)
		if len(u.Statements) > 0 || len(u.Refusals) != 1 || !strings.Contains(u.Refusals[0].String(), `"public"."t": the history has a gap: the UPDATE was not captured`) {
			w.Errorf("to the change before the gap: %s", u)
		}
		w.exec("UPDATE t SET a = 4")
		u, err = undo.RowAfter(ctx, w.store, history[len(history)-1])
		w.must(err)
		if len(u.Statements) != 1 || len(u.Refusals) > 0 {
			w.Errorf("to the change after the gap: %s", u)
		}
	})
}

func (w *world) wantConflicts(u *undo.Script, want ...string) {
	w.Helper()
	all := fmt.Sprint(u.Conflicts)
	for _, c := range want {
		if !strings.Contains(all, c) {
			w.Errorf("no conflict says %q:\n%s", c, u)
		}
	}
	if len(want) != len(u.Conflicts) {
		w.Errorf("%d conflicts, want %d:\n%s", len(u.Conflicts), len(want), u)
	}
}

// undoConflicts are what is undone, and what is in the way.
var undoConflicts = map[string]struct {
	do, since []string
	want      []string
	goes      bool // the statements succeed all the same
}{
	"same field":               {do: []string{"UPDATE child SET a = 'y' WHERE id = 1"}, since: []string{"UPDATE child SET a = 'z' WHERE id = 1"}, want: []string{`"public"."child" (1): a: changed later: "z"; update in transaction`}},
	"same field, and back":     {do: []string{"UPDATE child SET a = 'y' WHERE id = 1"}, since: []string{"UPDATE child SET a = 'z' WHERE id = 1", "UPDATE child SET a = 'y' WHERE id = 1"}, goes: true},
	"another field":            {do: []string{"UPDATE child SET a = 'y' WHERE id = 1"}, since: []string{"UPDATE child SET u = 'z' WHERE id = 1"}, goes: true},
	"row deleted":              {do: []string{"UPDATE child SET a = 'y' WHERE id = 1"}, since: []string{"DELETE FROM child"}, want: []string{"(1): row gone; delete in transaction"}},
	"row truncated":            {do: []string{"UPDATE child SET a = 'y' WHERE id = 1"}, since: []string{"TRUNCATE child"}, want: []string{"(1): row gone"}},
	"row has another key":      {do: []string{"UPDATE child SET a = 'y' WHERE id = 1"}, since: []string{"UPDATE child SET id = 9 WHERE id = 1"}, want: []string{"(1): row gone; update in transaction"}},
	"inserted, then changed":   {do: []string{"INSERT INTO child VALUES (2, 1, 'x', 'u2')"}, since: []string{"UPDATE child SET a = 'z' WHERE id = 2"}, want: []string{`(2): a: changed later: "z"; update in transaction`}},
	"row there":                {do: []string{"DELETE FROM child"}, since: []string{"INSERT INTO child VALUES (1, 1, 'x', 'u2')"}, want: []string{`(1): id: key taken: by "public"."child" (1)`}},
	"unique value taken":       {do: []string{"DELETE FROM child"}, since: []string{"INSERT INTO child VALUES (2, 1, 'x', 'u1')"}, want: []string{`(1): u: key taken: by "public"."child" (2)`}},
	"unique value taken, set":  {do: []string{"UPDATE child SET u = 'v' WHERE id = 1"}, since: []string{"INSERT INTO child VALUES (2, 1, 'x', 'u1')"}, want: []string{`(1): u: key taken: by "public"."child" (2)`}},
	"key taken":                {do: []string{"UPDATE child SET id = 5 WHERE id = 1"}, since: []string{"INSERT INTO child VALUES (1, 1, 'x', 'u2')"}, want: []string{`(5): id: key taken: by "public"."child" (1)`}},
	"parent missing":           {do: []string{"DELETE FROM child"}, since: []string{"DELETE FROM parent WHERE id = 1"}, want: []string{`(1): parent: parent missing: there is no "public"."parent" (1)`}},
	"parent missing, set":      {do: []string{"UPDATE child SET parent = 2 WHERE id = 1"}, since: []string{"DELETE FROM parent WHERE id = 1"}, want: []string{`(1): parent: parent missing`}},
	"referred":                 {do: []string{"INSERT INTO parent VALUES (3, 'p')"}, since: []string{"INSERT INTO child VALUES (3, 3, 'x', 'u3')"}, want: []string{`"public"."parent" (3): id: still referred: by 1 of "public"."child", in parent`}},
	"referred, cascade":        {do: []string{"INSERT INTO parent VALUES (3, 'p')"}, since: []string{"INSERT INTO pet VALUES (3, 3)"}, want: []string{`"public"."parent" (3): id: still referred: by 1 of "public"."pet", in parent`}},
	"referred, set null":       {do: []string{"INSERT INTO parent VALUES (3, 'p')"}, since: []string{"INSERT INTO tag VALUES (3, 3)"}, want: []string{`"public"."parent" (3): id: still referred: by 1 of "public"."tag", in parent`}},
	"key referred, set null":   {do: []string{"UPDATE parent SET id = 3 WHERE id = 2"}, since: []string{"INSERT INTO tag VALUES (3, 3)"}, want: []string{`"public"."parent" (3): id: still referred: by 1 of "public"."tag", in parent`}},
	"row without a key gone":   {do: []string{"INSERT INTO log VALUES (1)"}, since: []string{"DELETE FROM log"}, want: []string{`"public"."log": row gone`}},
	"same transaction, others": {do: []string{"BEGIN; DELETE FROM child; DELETE FROM parent; COMMIT"}, since: []string{"INSERT INTO parent VALUES (7, 'p')"}, goes: true},
}

// conflictTables makes the tables of undoConflicts.
func (w *world) conflictTables() []string {
	w.Helper()
	w.exec("CREATE TABLE parent (id int PRIMARY KEY, a text)", "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent, a text, u text UNIQUE)",
		"CREATE TABLE pet (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE)", "CREATE TABLE tag (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE SET NULL ON UPDATE SET NULL)", "CREATE TABLE log (a int)",
		"INSERT INTO parent VALUES (1, 'p'), (2, 'q')", "INSERT INTO child VALUES (1, 1, 'x', 'u1')")
	tables := []string{"parent", "child", "pet", "tag", "log"}
	for _, name := range tables {
		w.capture(capture.Table{Name: name})
	}
	return tables
}

// TestUndoConflicts: what is in the way is listed; the statements that are executed in spite of it
// change nothing.
func TestUndoConflicts(t *testing.T) {
	for name, c := range undoConflicts {
		t.Run(name, func(t *testing.T) {
			onPQ(t, func(w *world) {
				tables := w.conflictTables()
				w.exec(c.do...)
				xid, startedAt := w.last()
				w.exec(c.since...)
				u, err := undo.Transaction(ctx, w.store, xid, startedAt)
				w.must(err)
				w.wantConflicts(u, c.want...)
				before := w.content(tables...)
				err = w.run(u)
				conn, connErr := w.db.Conn(ctx)
				w.must(connErr)
				_, scriptErr := conn.ExecContext(ctx, u.String())
				_, connErr = conn.ExecContext(ctx, "ROLLBACK")
				w.must(errors.Join(connErr, conn.Close()))
				if (err == nil) != c.goes || !c.goes && scriptErr == nil {
					w.Errorf("the statements: %v; the script: %v\n%s", err, scriptErr, u)
				}
				if got := w.content(tables...); got != before && !c.goes {
					w.Errorf("the undo has changed\n%s\nto\n%s\n%s", before, got, u)
				}
			})
		})
	}
}

// TestUndoLocks: a row that comes to refer to one, while the undo that deletes it waits, is not deleted by a cascade.
func TestUndoLocks(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE parent (id int PRIMARY KEY)", "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE)")
		w.capture(capture.Table{Name: "parent"}, capture.Table{Name: "child"})
		w.exec("INSERT INTO parent VALUES (1)")
		u := w.undoLast()
		w.clean(u)
		other, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		_, err = other.ExecContext(ctx, "INSERT INTO child VALUES (1, 1)")
		w.must(err)
		done := make(chan error, 1)
		go func() { done <- w.run(u) }()
		w.waits()
		w.must(other.Commit())
		if err := <-done; !errors.Is(err, errRows) {
			w.Errorf("the undo: %v", err)
		}
		if got := w.content("parent", "child"); got != "parent: (1)\nchild: (1,1)" {
			w.Error(got)
		}
	})
}

// TestUndoTriggers: the app's triggers that would fire are listed, and no others.
func TestUndoTriggers(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, at int)", "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at := coalesce(NEW.at, 0) + 1; RETURN NEW; END $$",
			"CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
			`CREATE TRIGGER "Touch it" BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch()`, "CREATE TRIGGER of_at AFTER UPDATE OF at ON t FOR EACH STATEMENT EXECUTE FUNCTION nothing()",
			"CREATE TRIGGER of_id AFTER UPDATE OF id ON t EXECUTE FUNCTION nothing()", "CREATE TRIGGER deletes AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION nothing()",
			"CREATE TRIGGER disabled BEFORE UPDATE ON t EXECUTE FUNCTION nothing()", "ALTER TABLE t DISABLE TRIGGER disabled")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1)", "UPDATE t SET a = 2")
		w.exec("UPDATE t SET a = 3")
		u := w.undoLast()
		want := []string{`"Touch it" on "public"."t", BEFORE UPDATE FOR EACH ROW: public.touch`, `"of_at" on "public"."t", AFTER UPDATE FOR EACH STATEMENT: public.nothing`}
		if fmt.Sprint(u.Triggers) != fmt.Sprint(want) {
			w.Errorf("%q, want %q", u.Triggers, want)
		}
		if !strings.Contains(u.String(), "-- Fires again: "+want[0]) {
			w.Errorf("%s", u)
		}
		w.must(w.run(u)) // a row that a trigger changes each time is undone by one statement
		if got := w.content("t"); got != "t: (1,2,2)" {
			w.Error(got)
		}
	})
}

// TestUndoWarnings: what the history does not know is said.
func TestUndoWarnings(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, note text)", "CREATE TABLE child (id int REFERENCES t ON DELETE CASCADE)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1), (2, 2)", "INSERT INTO child VALUES (1)", "DELETE FROM t WHERE id = 1")
		if u := w.undoLast(); !strings.Contains(u.String(), `-- Warning: "public"."child" is not captured: what its foreign key "child_id_fkey" has deleted or changed there stays so`) {
			w.Errorf("%s", u)
		}
		w.capture(capture.Table{Name: "t", Exclude: []string{"note"}})
		w.exec("UPDATE t SET a = 3")
		if u := w.undoLast(); !strings.Contains(u.String(), `-- Warning: "public"."t": whether the changes have changed note as well is not known`) {
			w.Errorf("%s", u)
		}
		w.exec("INSERT INTO t VALUES (4)")
		u := w.undoLast()
		if fmt.Sprint(u.Statements[len(u.Statements)-1].Unchecked) != "[note]" || !strings.Contains(u.String(), "-- Not compared with what the change left: note") {
			w.Errorf("%s", u)
		}
	})
}

// TestUndoRow: a row goes back to a moment, or to a change, whatever happened to it in between.
func TestUndoRow(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b text)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1, 'x')", "UPDATE t SET a = 2", "UPDATE t SET id = 5, b = 'y'", "UPDATE t SET a = 3", "UPDATE t SET b = 'x'", "DELETE FROM t", "INSERT INTO t VALUES (5, 9, 'again')", "UPDATE t SET a = 10")
		history, err := w.store.History(ctx, "t", "5")
		w.must(err)
		contents := []string{"(1,1,x)", "(1,2,x)", "(5,2,y)", "(5,3,y)", "(5,3,x)", "", `(5,9,again)`, `(5,10,again)`}
		if len(history) != len(contents) {
			w.Fatalf("%+v", history)
		}
		for i, c := range history[:len(history)-1] {
			for _, to := range []func() (*undo.Script, error){
				func() (*undo.Script, error) { return undo.RowAsOf(ctx, w.store, "t", c.CapturedAt, "5") },
				func() (*undo.Script, error) { return undo.RowAfter(ctx, w.store, c) },
			} {
				u, undoErr := to()
				w.must(undoErr)
				w.clean(u)
				if want := map[bool]int{true: 2, false: 1}[i < 2]; len(u.Statements) != want { // of two keys
					w.Errorf("%d statements, want %d: %s", len(u.Statements), want, u)
				}
				w.must(w.run(u))
				if got := w.content("t"); got != "t: "+contents[i] {
					w.Errorf("to change %d: %s, want %s\n%s", i, got, contents[i], u)
				}
				w.must(w.run(w.undoLast()))
				if got := w.content("t"); got != "t: (5,10,again)" {
					w.Fatal(got)
				}
			}
			// What the undo itself has changed is part of the history from now on.
			if w.Failed() {
				return
			}
		}
		u, err := undo.RowAsOf(ctx, w.store, "t", w.moment(), "5")
		w.must(err)
		if len(u.Statements) > 0 || !strings.Contains(u.String(), "There is nothing to execute.") {
			w.Errorf("%s", u)
		}
	})
}

// TestUndoChange: one change of several is undone, and what came after it in its transaction is in the way.
func TestUndoChange(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b int)")
		w.capture(capture.Table{Name: "t"})
		w.inOne("INSERT INTO t VALUES (1, 1, 1), (2, 1, 1)", "UPDATE t SET a = 2", "UPDATE t SET b = 2")
		history, err := w.store.History(ctx, "t", "1")
		w.must(err)
		u, err := undo.Change(ctx, w.store, history[1])
		w.must(err)
		w.clean(u)
		if want := fmt.Sprintf("%d@%s", history[1].XID, history[1].TxStartedAt.Format(time.RFC3339Nano)); u.Cause != want {
			w.Errorf("the cause is %s, want %s", u.Cause, want)
		}
		w.must(w.run(u))
		if got := w.content("t"); got != "t: (1,1,2) (2,2,2)" {
			w.Error(got)
		}
		u, err = undo.Change(ctx, w.store, history[0])
		w.must(err)
		w.wantConflicts(u, `(1): b: changed later: "2"; update in transaction`)
		if err := w.run(u); !errors.Is(err, errRows) {
			w.Errorf("the undo: %v", err)
		}
	})
}

// TestUndoBadInput: what cannot be found, or makes no sense, is an error that says so.
func TestUndoBadInput(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE other (id int PRIMARY KEY)", "CREATE TABLE k (a int)")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "k"})
		w.exec("INSERT INTO t VALUES (1, 1)")
		xid, startedAt := w.last()
		history, err := w.store.History(ctx, "t", "1")
		w.must(err)
		c := history[0]
		with := func(f func(c *changes.Change)) changes.Change { c := c; f(&c); return c }
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		for name, try := range map[string]struct {
			f    func() (*undo.Script, error)
			want string
		}{
			"no such transaction": {func() (*undo.Script, error) { return undo.Transaction(ctx, w.store, xid+1000, startedAt) }, "the history has no such change"},
			"another start":       {func() (*undo.Script, error) { return undo.Transaction(ctx, w.store, xid, startedAt.Add(time.Second)) }, "the history has no such change"},
			"negative xid":        {func() (*undo.Script, error) { return undo.Transaction(ctx, w.store, -1, startedAt) }, "the history has no such change"},
			"zero time":           {func() (*undo.Script, error) { return undo.Transaction(ctx, w.store, xid, time.Time{}) }, "the history has no such change"},
			"no change":           {func() (*undo.Script, error) { return undo.Change(ctx, w.store, changes.Change{}) }, "the history has no such change"},
			"another key": {func() (*undo.Script, error) {
				return undo.Change(ctx, w.store, with(func(c *changes.Change) { c.Key = []string{"2"} }))
			}, "the history has no such change"},
			"another operation": {func() (*undo.Script, error) {
				return undo.Change(ctx, w.store, with(func(c *changes.Change) { c.Op = changes.Delete }))
			}, "the history has no such change"},
			"another table": {func() (*undo.Script, error) {
				return undo.Change(ctx, w.store, with(func(c *changes.Change) { c.Table = "other" }))
			}, "the history has no such change"},
			"row, no key":       {func() (*undo.Script, error) { return undo.RowAsOf(ctx, w.store, "t", startedAt) }, "RowAsOf needs the key of a row of t"},
			"row, two keys":     {func() (*undo.Script, error) { return undo.RowAsOf(ctx, w.store, "t", startedAt, "1", "2") }, `the key of "public"."t" has 1 column, not 2: id`},
			"row, never there":  {func() (*undo.Script, error) { return undo.RowAsOf(ctx, w.store, "t", startedAt, "77") }, "the history has no such change"},
			"row, no table":     {func() (*undo.Script, error) { return undo.RowAsOf(ctx, w.store, "nowhere", startedAt, "1") }, "there is no table nowhere"},
			"row, not captured": {func() (*undo.Script, error) { return undo.RowAsOf(ctx, w.store, "other", startedAt, "1") }, "the table was never captured"},
			"row, without keys": {func() (*undo.Script, error) { return undo.RowAsOf(ctx, w.store, "k", startedAt, "1") }, "its rows have no key"},
			"to a change, no key": {func() (*undo.Script, error) {
				return undo.RowAfter(ctx, w.store, with(func(c *changes.Change) { c.Key = nil }))
			}, "RowAfter needs a change of a row with a key"},
			"to a change, unknown": {func() (*undo.Script, error) {
				return undo.RowAfter(ctx, w.store, with(func(c *changes.Change) { c.XID++ }))
			}, "the history has no such change"},
			"cancelled": {func() (*undo.Script, error) { return undo.Transaction(cancelled, w.store, xid, startedAt) }, "context canceled"},
			"MySQL": {func() (*undo.Script, error) {
				return undo.Transaction(ctx, changes.NewStore(w.db, hooks.MySQL, nil), xid, startedAt)
			}, "on PostgreSQL and SQLite, not on"},
			"no database": {func() (*undo.Script, error) {
				return undo.Transaction(ctx, changes.NewStore(nil, hooks.Postgres, nil), xid, startedAt)
			}, "nil"},
		} {
			u, err := try.f()
			if err == nil || u != nil || !strings.Contains(err.Error(), try.want) {
				w.Errorf("%s: %v, %v, want an error that says %q", name, u, err, try.want)
			}
			if strings.HasPrefix(try.want, "the history") && !errors.Is(err, changes.ErrNoChange) {
				w.Errorf("%s: %v is not ErrNoChange", name, err)
			}
		}
	})
}

// TestUndoRecorded: an undo that the app executes is attributed, is recorded as one of its cause, and
// is in the history.
func TestUndoRecorded(t *testing.T) {
	eachApp(t, func(w *world, open func(forward.Options, bool) *app) {
		a := open(forward.Options{}, true)
		a.tx([]string{"alice"}, "INSERT INTO t VALUES (1, 1)")
		a.tx([]string{"bob"}, "UPDATE t SET a = 2")
		u := w.undoLast()
		w.clean(u)
		tx, err := a.db.BeginTx(user("carol"), nil)
		w.must(err)
		defer tx.Rollback()
		for _, s := range u.Statements {
			result, execErr := tx.ExecContext(user("carol"), s.SQL)
			w.must(execErr)
			if n, rowsErr := result.RowsAffected(); rowsErr != nil || n != s.Rows {
				w.Errorf("%s: %d rows, %v", s.SQL, n, rowsErr)
			}
		}
		w.must(hooks.Record(user("carol"), tx, hooks.Event{Action: "t.undone", CausationID: u.Cause}))
		w.must(tx.Commit())
		if got := w.content("t"); got != "t: (1,1)" {
			w.Error(got)
		}
		xid, startedAt := w.last()
		if got := w.text("SELECT string_agg(concat(name, ' by ', actor_id, ' because of ', causation_id), ', ') FROM threadline.audit_actions WHERE causation_id <> ''"); got != "t.undone by carol because of "+u.Cause {
			w.Errorf("the timeline has %q", got)
		}
		redo, err := undo.Transaction(ctx, w.store, xid, startedAt)
		w.must(err)
		w.clean(redo)
		// Whoever has changed the row since is named.
		a.tx([]string{"dave"}, "UPDATE t SET a = 3")
		redo, err = undo.Transaction(ctx, w.store, xid, startedAt)
		w.must(err)
		w.wantConflicts(redo, `"public"."t" (1): a: changed later: "3"; update in transaction`)
		w.wantConflicts(redo, ` by user:dave`)
	})
}

// TestUndoMany: a transaction that is too large to be shown is an error, and not a memory problem.
func TestUndoMany(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec(fmt.Sprintf("INSERT INTO t SELECT n, 0 FROM generate_series(1, %d) n", undo.MaxChanges))
		u := w.undoLast()
		if len(u.Statements) != undo.MaxChanges || len(u.Conflicts) > 0 {
			w.Errorf("%d statements, %d conflicts", len(u.Statements), len(u.Conflicts))
		}
		w.exec(fmt.Sprintf("INSERT INTO t SELECT -n, 0 FROM generate_series(1, %d) n", undo.MaxChanges+1))
		xid, startedAt := w.last()
		if _, err := undo.Transaction(ctx, w.store, xid, startedAt); !errors.Is(err, undo.ErrTooMany) {
			w.Errorf("%v", err)
		}
	})
}
