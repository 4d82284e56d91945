package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestStatements: what COPY, MERGE, ON CONFLICT, data-modifying CTEs and prepared statements write is kept as it is in the table.
func TestStatements(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, region text DEFAULT 'eu')", "CREATE TABLE p (id int, a int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region)",
			"CREATE TABLE eu PARTITION OF p FOR VALUES IN ('eu')", "CREATE TABLE us PARTITION OF p FOR VALUES IN ('us')")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "p"})
		list := []struct{ statement, want string }{
			{"COPY {t} (id, a, region) FROM PROGRAM 'printf \"1,1,eu\\n2,1,us\\n\"' (FORMAT csv)", "I I"},
			{"INSERT INTO {t} VALUES (1, 2, 'eu'), (3, 2, 'eu') ON CONFLICT {key} DO UPDATE SET a = excluded.a", "I U"},
			{"INSERT INTO {t} VALUES (1, 2, 'eu'), (3, 9, 'eu') ON CONFLICT DO NOTHING", ""},
			{"INSERT INTO {t} VALUES (1, 2, 'eu') ON CONFLICT {key} DO UPDATE SET a = excluded.a", ""},
			{"WITH d AS (DELETE FROM {t} WHERE id = 3 RETURNING *), i AS (INSERT INTO {t} SELECT 4, a, region FROM d) UPDATE {t} SET a = 3 WHERE id = 1", "D I U"},
			{"UPDATE {t} SET a = t2.a + 1 FROM (VALUES (1, 7), (1, 8)) t2 (id, a) WHERE {t}.id = t2.id", "U"},
			{"PREPARE x AS UPDATE {t} SET a = $1 WHERE id = 2; EXECUTE x(5); EXECUTE x(5); EXECUTE x(6); DEALLOCATE x", "U U"},
		}
		if w.text("SELECT current_setting('server_version_num')::int >= 150000") == "true" {
			list = append(list, struct{ statement, want string }{"MERGE INTO {t} USING (VALUES (1, 10), (2, 0), (5, 5)) s (id, a) ON {t}.id = s.id WHEN MATCHED AND s.a = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET a = s.a WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.a, 'eu')", "D I U"})
		}
		for table, key := range map[string]string{"t": "(id)", "p": "(id, region)"} {
			for _, c := range list {
				w.exec("DELETE FROM threadline.audit_changes", strings.NewReplacer("{t}", table, "{key}", key).Replace(c.statement))
				// In which order the parts of a statement are executed is up to the server.
				if got := w.text("SELECT string_agg(op::text, ' ' ORDER BY op) FROM threadline.audit_changes"); got != c.want {
					w.Errorf("%s into %s is kept as %q, want %q", c.statement, table, got, c.want)
				}
			}
		}
	})
}

// TestSubscriber: what a logical subscriber applies is kept if the owner of the table has the trigger fire always, and
// a plan leaves that as it is.
func TestSubscriber(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.exec("CREATE TABLE t (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "t"})
		w.exec("ALTER TABLE t ENABLE ALWAYS TRIGGER threadline_row", "SET session_replication_role = replica", "INSERT INTO t VALUES (1)", "UPDATE t SET id = 2", "RESET session_replication_role")
		w.wantStory("insert id: NULL → 1;\nupdate [1] to [2] id: 1 → 2;", "t", "2")
		p, err := w.installer().Plan(ctx, capture.Table{Name: "t"})
		w.must(err)
		if len(p.Steps) > 0 {
			w.Errorf("%s", p)
		}
	})
}

// TestSequences: capture uses no sequence of a session: lastval is the app's.
func TestSequences(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.exec("CREATE TABLE t (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (START 1000), a int)") // no other sequence begins there
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t (a) VALUES (1)")
		if got := w.text("SELECT lastval() - id FROM t"); got != "0" {
			w.Errorf("lastval is %s more than the row's ID", got)
		}
	})
}
