package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestPartitionForged: who owns a partition that is divided again may execute the capture function, and can keep by it neither rows
// that are in no table, nor have those that are there told otherwise.
func TestPartitionForged(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("DROP ROLE IF EXISTS changes_sub", "CREATE ROLE changes_sub", "GRANT CREATE ON SCHEMA public TO changes_sub", "GRANT USAGE ON SCHEMA threadline TO changes_sub")
		defer w.exec("DROP OWNED BY changes_sub CASCADE", "DROP ROLE changes_sub")
		w.exec("CREATE TABLE t (id int, part text, a int, PRIMARY KEY (id, part)) PARTITION BY LIST (part)", "CREATE TABLE x PARTITION OF t FOR VALUES IN ('x')",
			"CREATE TABLE deep PARTITION OF t FOR VALUES IN ('d', 'e') PARTITION BY LIST (part)", "ALTER TABLE deep OWNER TO changes_sub", "GRANT INSERT, SELECT, DELETE ON t TO changes_sub")
		w.capture(capture.Table{Name: "t"})
		function := "threadline." + w.text("SELECT proname FROM pg_proc WHERE proname LIKE 'capture\\_%'") + "()"
		w.exec("INSERT INTO t VALUES (1, 'x', 1)")
		w.must(w.as("changes_sub", "CREATE TABLE d PARTITION OF deep FOR VALUES IN ('d')", "INSERT INTO t VALUES (2, 'd', 2)",
			"CREATE TRIGGER forged BEFORE INSERT OR UPDATE OR DELETE ON d FOR EACH ROW EXECUTE FUNCTION "+function,
			"INSERT INTO d VALUES (1, 'x', 100)", "UPDATE d SET id = 1, part = 'x', a = 100", "DELETE FROM d", "DROP TRIGGER forged ON d"))
		if got := w.text("SELECT string_agg(op::text || key, ' ' ORDER BY lsn) FROM threadline.audit_changes"); got != "I(1,x) I(2,d)" {
			w.Errorf("captured: %s", got)
		}

		// A row of another table, in which only the key changes, stands for one of the partition of which all does.
		at := w.text("SELECT (regexp_match(prosrc, 'threadline\\.tx_[a-z0-9]+_[0-9a-f]+_'))[1] FROM pg_proc WHERE proname LIKE 'capture\\_%'")
		w.exec("DELETE FROM threadline.audit_changes")
		w.must(w.as("changes_sub", "CREATE TABLE mine (id int, part text, a int)", "INSERT INTO mine VALUES (2, 'd', 7)",
			"CREATE TRIGGER forged AFTER UPDATE ON mine REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION "+function,
			"DELETE FROM t WHERE id = 2", "INSERT INTO t VALUES (3, 'd', 1000)", "SELECT set_config('"+at+"1', '0/0', true)", "UPDATE mine SET id = 3"))
		if got := w.text("SELECT string_agg(op::text || key, ' ' ORDER BY lsn) FROM threadline.audit_changes"); got != "D(2,d) I(3,d)" {
			w.Errorf("captured: %s", got)
		}
	})
}
