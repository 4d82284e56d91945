package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// ddl are changes to a captured table with columns id, a, b, secret; none makes a write fail,
// and after it an update of the row is still in the history, without the secret.
var ddl = map[string]struct {
	statements []string
	update     string // "" means that of a
	want       string // in the last change
}{
	"nothing":                   {want: "update a: 1 → 2;"},
	"column added":              {statements: []string{"ALTER TABLE t ADD c int DEFAULT 7"}, want: "update (drifted) id: 1 → 1; a: 1 → 2; b: x → x; c: 7 → 7;"},
	"added, and that changes":   {statements: []string{"ALTER TABLE t ADD c int"}, update: "UPDATE t SET c = 1", want: "c: NULL → 1;"},
	"column dropped":            {statements: []string{"ALTER TABLE t DROP b"}, want: "update (drifted) id: 1 → 1; a: 1 → 2;"},
	"dropped and added":         {statements: []string{"ALTER TABLE t DROP b", "ALTER TABLE t ADD b text"}, want: "a: 1 → 2;"},
	"column renamed":            {statements: []string{"ALTER TABLE t RENAME a TO z"}, update: "UPDATE t SET z = 2", want: "update (drifted) id: 1 → 1; z: 1 → 2; b: x → x;"},
	"secret renamed":            {statements: []string{"ALTER TABLE t RENAME secret TO open"}, want: "update (drifted) id: 1 → 1; a: 1 → 2; b: x → x;"},
	"secret renamed and again":  {statements: []string{"ALTER TABLE t RENAME secret TO open", "ALTER TABLE t ADD secret text DEFAULT 'new secret'"}, want: "update (drifted) id: 1 → 1; a: 1 → 2; b: x → x;"},
	"column retyped":            {statements: []string{"ALTER TABLE t ALTER a TYPE text"}, update: "UPDATE t SET a = '2'", want: "update a: 1 → 2;"},
	"key dropped":               {statements: []string{"ALTER TABLE t DROP id CASCADE"}, want: "update (drifted) a: 1 → 2; b: x → x;"},
	"table renamed":             {statements: []string{"ALTER TABLE t RENAME TO u"}, update: "UPDATE u SET a = 2", want: "update a: 1 → 2;"},
	"table moved":               {statements: []string{"CREATE SCHEMA elsewhere", "ALTER TABLE t SET SCHEMA elsewhere"}, update: "UPDATE elsewhere.t SET a = 2", want: "update a: 1 → 2;"},
	"shapes gone":               {statements: []string{"DELETE FROM threadline.audit_shapes"}, want: "a: 1 → 2;"},
	"in the same transaction":   {statements: []string{"BEGIN; UPDATE t SET a = 9; ALTER TABLE t ADD c int; UPDATE t SET a = 1, c = 3; COMMIT"}, want: "update (drifted) id: 1 → 1; a: 1 → 2; b: x → x; c: 3 → 3;"},
	"unlike operators in front": {statements: []string{"CREATE SCHEMA evil", "CREATE FUNCTION evil.no(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'", "CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.no)", "SET search_path = evil, public, pg_catalog"}, want: "update a: 1 → 2;"},
}

func TestDDL(t *testing.T) {
	for name, d := range ddl {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.db.SetMaxOpenConns(1)
				w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b text, secret text)")
				w.capture(capture.Table{Name: "t", Mask: []string{"secret"}})
				w.exec("INSERT INTO t VALUES (1, 1, 'x', 'hidden secret')")
				w.exec(d.statements...)
				if d.update == "" {
					d.update = "UPDATE t SET a = 2"
				}
				w.exec(d.update)
				if n := w.text("SELECT count(*) FROM threadline.audit_gaps"); n != "0" {
					w.Errorf("%s gaps: %s", n, w.text("SELECT string_agg(reason, ' ') FROM threadline.audit_gaps"))
				}
				if name == "shapes gone" {
					return // its history cannot be read
				}
				table := "t"
				w.exec("SET search_path = public")
				if strings.HasPrefix(name, "table ") {
					table = strings.Fields(d.update)[1] // it keeps its history
				}
				story := strings.Split(w.story(table, "1"), "\n")
				if last := story[len(story)-1]; !strings.Contains(last, d.want) {
					w.Errorf("the last change is %q, want %q", last, d.want)
				}
				if all := w.text("SELECT string_agg(c::text, ' ') FROM threadline.audit_changes c"); strings.Contains(all, "secret,") || strings.Contains(all, "hidden") || strings.Contains(all, "new secret") {
					w.Errorf("the secret is in %s", all)
				}
			})
		})
	}
}

// TestTablesGone: without its own tables the trigger lets the app write.
func TestTablesGone(t *testing.T) {
	for _, drop := range []string{"audit_changes", "audit_changes, threadline.audit_gaps", "audit_changes, threadline.audit_gaps, threadline.audit_shapes"} {
		t.Run(drop, func(t *testing.T) {
			each(t, func(w *world) {
				w.exec("CREATE TABLE t (id int PRIMARY KEY)")
				w.capture(capture.Table{Name: "t"})
				w.exec("INSERT INTO t VALUES (1)", "DROP TABLE threadline."+drop, "INSERT INTO t VALUES (2)", "UPDATE t SET id = id + 10", "DELETE FROM t WHERE id = 12", "TRUNCATE t")
				if drop == "audit_changes" {
					if n := w.text("SELECT count(*) FROM threadline.audit_gaps"); n != "5" {
						w.Errorf("%s gaps, want 5", n)
					}
				}
			})
		})
	}
}

// TestLocked: a write does not wait for a lock on the table of changes; what is not
// captured is a gap.
func TestLocked(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "t"})
		tx, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		_, err = tx.ExecContext(ctx, "LOCK TABLE threadline.audit_changes")
		w.must(err)
		w.exec("INSERT INTO t VALUES (1)") // hangs if it waits
		w.must(tx.Rollback())
		w.exec("INSERT INTO t VALUES (2)")
		if got := w.text("SELECT count(*) FROM threadline.audit_gaps") + " " + w.changes(); got != "1 1" {
			w.Errorf("gaps and changes: %s", got)
		}
	})
}

// TestSchemaDropped: with the schema go the triggers, and the app writes on.
func TestSchemaDropped(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1)", "DROP SCHEMA threadline CASCADE", "UPDATE t SET id = 2", "TRUNCATE t")
		if n := w.text("SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass"); n != "0" {
			w.Errorf("%s triggers are left", n)
		}
	})
}

// TestKeysInDrift: while a table has drifted, its rows are still told apart.
func TestKeysInDrift(t *testing.T) {
	each(t, func(w *world) {
		w.exec(`CREATE TABLE t ("Id" int PRIMARY KEY, a int)`)
		w.capture(capture.Table{Name: "t"})
		w.exec(`INSERT INTO t VALUES (1, 1), (2, 1)`, `ALTER TABLE t ADD b int`, `UPDATE t SET a = 2 WHERE "Id" = 1`, `UPDATE t SET a = 3 WHERE "Id" = 2`, `UPDATE t SET "Id" = 9 WHERE "Id" = 1`, `DELETE FROM t WHERE "Id" = 9`)
		w.wantStory("insert Id: NULL → 2; a: NULL → 1;\nupdate (drifted) Id: 2 → 2; a: 1 → 3; b: NULL → NULL;", "t", "2")
		w.wantStory("insert Id: NULL → 1; a: NULL → 1;\nupdate (drifted) Id: 1 → 1; a: 1 → 2; b: NULL → NULL;\nupdate (drifted) [1] to [9] Id: 1 → 9; a: 2 → 2; b: NULL → NULL;\ndelete (drifted) Id: 9 → NULL; a: 2 → NULL; b: NULL → NULL;", "t", "9")
	})
}
