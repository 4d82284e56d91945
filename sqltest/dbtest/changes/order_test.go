package changes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestNested: what triggers of the app and cascades change is captured; that of triggers is
// told apart.
func TestNested(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE parent (id int PRIMARY KEY, n int DEFAULT 0)", "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE)",
			"CREATE FUNCTION count_children() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE parent SET n = n + 1 WHERE id = NEW.parent; RETURN NULL; END $$",
			"CREATE TRIGGER a_first AFTER INSERT ON child FOR EACH ROW EXECUTE FUNCTION count_children()")
		w.capture(capture.Table{Name: "parent"}, capture.Table{Name: "child"})
		w.exec("INSERT INTO parent VALUES (1)", "INSERT INTO child VALUES (1, 1)", "UPDATE parent SET id = 2", "DELETE FROM parent")
		w.wantStory("insert id: NULL → 1; parent: NULL → 1;\nupdate parent: 1 → 2;\ndelete id: 1 → NULL; parent: 2 → NULL;", "child", "1")
		w.wantStory("insert id: NULL → 1; n: NULL → 0;\nupdate n: 0 → 1;\nupdate [1] to [2] id: 1 → 2;\ndelete id: 2 → NULL; n: 1 → NULL;", "parent", "2")
		var nested []string
		for table, key := range map[string]string{"parent": "2", "child": "1"} {
			history, err := w.store.History(ctx, table, key)
			w.must(err)
			for _, c := range history {
				if c.Nested {
					nested = append(nested, table+" "+string(c.Op))
				}
			}
		}
		if len(nested) != 1 || nested[0] != "parent update" {
			w.Errorf("nested are %v", nested)
		}
	})
}

// TestChangedAgain: an AFTER trigger of the app's that fires before ours changes the row again, and
// others of the statement: the history has the order in which that happened.
func TestChangedAgain(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, n int DEFAULT 0)",
			"CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.n < 2 THEN UPDATE t SET n = n + 1; END IF; RETURN NULL; END $$",
			"CREATE TRIGGER a_first AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION again()")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1), (2, 1)", "UPDATE t SET a = 2, n = 0")
		for _, key := range []string{"1", "2"} {
			row := make(map[string]string)
			history, err := w.store.History(ctx, "t", key)
			w.must(err)
			for i, c := range history {
				if (c.Op == changes.Insert) != (i == 0) {
					w.Errorf("row %s: change %d is an %s", key, i, c.Op)
				}
				for _, f := range c.Fields {
					if i > 0 && row[f.Name] != f.Old.String() {
						w.Errorf("row %s: change %d is of %s from %s, and it was %s", key, i, f.Name, f.Old, row[f.Name])
					}
					row[f.Name] = f.New.String()
				}
			}
			if got, want := row["a"]+" "+row["n"], w.text("SELECT concat(a, ' ', n) FROM t WHERE id = "+key); got != want {
				w.Errorf("row %s ends as %s, and is %s", key, got, want)
			}
		}
	})
}

// TestRolledBack: what was rolled back, also to a savepoint, is not in the history, and the
// next change says who wrote.
func TestRolledBack(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		tx, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		for _, q := range []string{"SAVEPOINT a", "INSERT INTO t VALUES (1, 1)", "ROLLBACK TO a", "INSERT INTO t VALUES (1, 2)", "SAVEPOINT b", "UPDATE t SET a = 3", "ROLLBACK TO b", "UPDATE t SET a = 4"} {
			_, err := tx.ExecContext(ctx, q)
			w.must(err)
		}
		w.must(tx.Commit())
		w.wantStory("insert id: NULL → 1; a: NULL → 2;\nupdate a: 2 → 4;", "t", "1")
		if got := w.text("SELECT count(role) FROM threadline.audit_changes"); got != "1" {
			w.Errorf("%s changes say who wrote", got)
		}
	})
}

// TestWriters: the order of one row's changes is that of its locks, and not of the transactions' XIDs.
func TestWriters(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "INSERT INTO t VALUES (1, 0), (2, 0)")
		w.capture(capture.Table{Name: "t"})
		first, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		_, err = first.ExecContext(ctx, "UPDATE t SET a = 1 WHERE id = 2") // has an XID
		w.must(err)
		w.exec("UPDATE t SET a = 1 WHERE id = 1")
		_, err = first.ExecContext(ctx, "UPDATE t SET a = a + 1 WHERE id = 1")
		w.must(err)
		w.must(first.Commit())
		w.wantStory("update a: 0 → 1;\nupdate a: 1 → 2;", "t", "1")
	})
}

// TestPartitions: rows are kept under the parent, in whichever partition they are, and however it
// was written to.
func TestPartitions(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE p (id int, region text, a int, PRIMARY KEY (id, region)) PARTITION BY LIST (region)", "CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu')",
			"CREATE TABLE p_us (a int, dropped int, region text NOT NULL, id int NOT NULL)", "ALTER TABLE p_us DROP dropped", "ALTER TABLE p ATTACH PARTITION p_us FOR VALUES IN ('us')")
		w.capture(capture.Table{Name: "p"})
		w.exec("INSERT INTO p VALUES (1, 'eu', 1)", "UPDATE p SET a = 2", "INSERT INTO p_us (id, region, a) VALUES (2, 'us', 1)", "UPDATE p_us SET a = 2", "CREATE TABLE p_as PARTITION OF p FOR VALUES IN ('as')",
			"INSERT INTO p VALUES (3, 'as', 1)", "TRUNCATE p_us")
		w.wantStory("insert id: NULL → 1; region: NULL → eu; a: NULL → 1;\nupdate a: 1 → 2;\ntruncate", "p", "1", "eu")
		w.wantStory("insert id: NULL → 2; region: NULL → us; a: NULL → 1;\nupdate a: 1 → 2;\ntruncate", "p", "2", "us")
		if got := w.story("p", "3", "as"); !strings.HasPrefix(got, "insert id: NULL → 3;") {
			w.Errorf("in a new partition: %s", got)
		}
		p, err := w.installer().Plan(ctx, capture.Table{Name: "p"})
		w.must(err)
		if len(p.Steps) != 1 { // the new partition's TRUNCATE
			w.Errorf("%s", p)
		}
		w.capture(capture.Table{Name: "p"})
	})
}

// TestWithoutKey: rows without a key are kept whole.
func TestWithoutKey(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (a int, b int)")
		if p := w.capture(capture.Table{Name: "t"}); len(p.Warnings) != 1 {
			w.Errorf("%q", p.Warnings)
		}
		w.exec("INSERT INTO t VALUES (1, 2), (1, 2)", "UPDATE t SET a = 3")
		if got := w.text("SELECT string_agg(concat(op, old_row, new_row), ' ' ORDER BY lsn) FROM threadline.audit_changes"); got != "I(1,2) I(1,2) U(1,2)(3,2) U(1,2)(3,2)" {
			w.Error(got)
		}
	})
}

// TestSerializable: the triggers read nothing that other transactions write, so that they add no failure.
func TestSerializable(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "INSERT INTO t SELECT n, 0 FROM generate_series(1, 100) n", "ANALYZE t", "SET enable_seqscan = off")
		w.capture(capture.Table{Name: "t"})
		w.exec("ALTER DATABASE "+w.text("SELECT quote_ident(current_database())")+" SET default_transaction_isolation = serializable", "ALTER DATABASE "+w.text("SELECT quote_ident(current_database())")+" SET enable_seqscan = off")
		defer w.exec("ALTER DATABASE " + w.text("SELECT quote_ident(current_database())") + " RESET ALL")
		w.db.SetMaxIdleConns(0) // sessions from now on have it
		a, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		b, err := w.db.BeginTx(ctx, nil)
		w.must(err)
		for i := range 5 {
			_, err = a.ExecContext(ctx, fmt.Sprintf("INSERT INTO t VALUES (%d, 1)", 1000+i))
			w.must(err)
			_, err = b.ExecContext(ctx, fmt.Sprintf("INSERT INTO t VALUES (%d, 1)", 2000+i))
			w.must(err)
		}
		w.must(a.Commit())
		w.must(b.Commit())
	})
}

// TestPlanned: a row's history is read by indexes, however many other changes there are.
func TestPlanned(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE u (id int PRIMARY KEY, a int)", "CREATE TABLE log (a int)")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "u"}, capture.Table{Name: "log"})
		w.exec("INSERT INTO t SELECT n, 0 FROM generate_series(1, 5000) n", "INSERT INTO u SELECT n, 0 FROM generate_series(1, 5000) n", "INSERT INTO log SELECT n FROM generate_series(1, 5000) n",
			"UPDATE t SET id = -id WHERE id < 500", "UPDATE u SET a = 1", "ANALYZE threadline.audit_changes", "ALTER TABLE t ADD b int", "UPDATE t SET a = 5 WHERE id = -7")
		scanned, fetched := w.readsIn(func(store *changes.Store) error {
			(&world{T: w.T, db: w.db, store: store}).wantStory("insert id: NULL → 7; a: NULL → 0;\nupdate [7] to [-7] id: 7 → -7;\nupdate (drifted) id: -7 → -7; a: 0 → 5; b: NULL → NULL;", "t", "-7")
			return nil
		})
		if scanned > 0 || fetched > 99 {
			w.Errorf("%d rows read one after the other, %d by indexes", scanned, fetched)
		}
	})
}

// TestRestored: after a restore into another cluster, whose WAL and whose XIDs begin anew, a row's
// changes stay in order, and new ones come after them.
func TestRestored(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("SELECT pg_logical_emit_message(false, '', repeat('x', 40000000))", "INSERT INTO t VALUES (1, 1)", "UPDATE t SET a = 2", "UPDATE t SET a = 3")

		other := dbtest.Start(t, nil)
		db := dbtest.Open(t, "postgres", other.Database(t))
		restored := &world{T: w.T, db: db, store: changes.NewStore(db, hooks.Postgres, nil)}
		w.must(restored.installer().Migrate(ctx))
		for _, table := range []string{"threadline.audit_shapes", "threadline.audit_changes"} {
			restored.exec("INSERT INTO " + table + " SELECT * FROM json_populate_recordset(NULL::" + table + ", $json$" + w.text("SELECT json_agg(r) FROM "+table+" r") + "$json$)")
		}
		restored.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "INSERT INTO t VALUES (1, 3)")
		restored.capture(capture.Table{Name: "t"})
		restored.exec("UPDATE t SET a = 4", "UPDATE t SET a = 5")
		if restored.text("SELECT concat(max(lsn) > '"+w.text("SELECT min(lsn) FROM threadline.audit_changes")+"') FROM threadline.audit_changes WHERE new_row = '(,5)'") != "f" {
			w.Fatal("the new cluster's WAL is not behind")
		}
		restored.wantStory("insert id: NULL → 1; a: NULL → 1;\nupdate a: 1 → 2;\nupdate a: 2 → 3;\nupdate a: 3 → 4;\nupdate a: 4 → 5;", "t", "1")
	})
}
