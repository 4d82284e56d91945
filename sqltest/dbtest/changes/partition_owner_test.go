package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestPartitionsOfAnother: one role owns a captured partitioned table, another one a partition of it that is partitioned again, and a
// third one the history and its functions. Each of the first two can add partitions to its table; nobody else may execute the functions.
func TestPartitionsOfAnother(t *testing.T) {
	each(t, func(w *world) {
		roles := []string{"changes_owner", `"changes Sub"`, "changes_next"}
		for _, r := range roles {
			w.exec("DROP ROLE IF EXISTS "+r, "CREATE ROLE "+r, "GRANT CREATE ON SCHEMA public TO "+r)
			defer w.exec("DROP OWNED BY "+r+" CASCADE", "DROP ROLE "+r)
		}
		w.must(w.as("changes_owner", "CREATE TABLE t (id int, part text, PRIMARY KEY (id, part)) PARTITION BY LIST (part)",
			"CREATE TABLE deep PARTITION OF t FOR VALUES IN ('d', 'e') PARTITION BY LIST (part)"))
		w.exec(`ALTER TABLE deep OWNER TO "changes Sub"`)
		w.capture(capture.Table{Name: "t"})
		w.must(w.as("changes_owner", "CREATE TABLE a PARTITION OF t FOR VALUES IN ('a')", "CREATE TABLE b (part text NOT NULL, id int NOT NULL)",
			"ALTER TABLE t ATTACH PARTITION b FOR VALUES IN ('b')"))
		w.must(w.as(`"changes Sub"`, "CREATE TABLE d PARTITION OF deep FOR VALUES IN ('d')"))
		w.must(w.as("changes_owner", "INSERT INTO t VALUES (1, 'a'), (2, 'b')"))
		w.exec("INSERT INTO t VALUES (3, 'd')", "UPDATE d SET id = 4")
		if got := w.text("SELECT string_agg(op::text || key, ' ' ORDER BY lsn) FROM threadline.audit_changes"); got != `I(1,a) I(2,b) I(3,d) U(4,d)` {
			w.Errorf("captured: %s", got)
		}
		w.capture(capture.Table{Name: "t"})

		// Now another role owns it, since the last plan.
		w.exec("ALTER TABLE t OWNER TO changes_next")
		plan, err := w.installer().Plan(ctx, capture.Table{Name: "t"})
		w.must(err)
		for _, want := range []string{"changes_owner may execute its function", "changes_next may not execute its function", "FROM changes_owner, PUBLIC", "TO changes_next"} {
			if !strings.Contains(plan.String(), want) {
				w.Errorf("the plan does not have %q:\n%s", want, plan)
			}
		}
		w.capture(capture.Table{Name: "t"})
		w.must(w.as("changes_next", "CREATE TABLE c PARTITION OF t FOR VALUES IN ('c')"))
	})
}
