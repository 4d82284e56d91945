package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestForeignPartition: a partitioned table is captured with its partitions that are foreign tables, which can have no trigger on
// TRUNCATE, whether they were there before the capture or came later. A plan warns of what is not captured.
func TestForeignPartition(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE EXTENSION postgres_fdw", "CREATE TABLE far (id int, region int, v text)", "CREATE TABLE later (id int, region int, v text)",
			"DO $$ BEGIN EXECUTE format('CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname %L, port %L, host %L)', current_database(), current_setting('port'), split_part(current_setting('unix_socket_directories'), ',', 1)); END $$",
			"CREATE USER MAPPING FOR current_user SERVER here", "CREATE TABLE p (id int, region int, v text) PARTITION BY LIST (region)", "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
			"CREATE FOREIGN TABLE p2 PARTITION OF p FOR VALUES IN (2) SERVER here OPTIONS (table_name 'far')")
		p := w.capture(capture.Table{Name: "p"})
		if warnings := strings.Join(p.Warnings, "\n"); !strings.Contains(warnings, `has the foreign table "public"."p2" as a partition`) {
			t.Errorf("the plan warns of\n%s", warnings)
		}
		w.exec("CREATE FOREIGN TABLE p3 PARTITION OF p FOR VALUES IN (3) SERVER here OPTIONS (table_name 'later')")
		w.capture(capture.Table{Name: "p"})
		w.exec("INSERT INTO p VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c')", "UPDATE p SET v = v || '!'", "UPDATE p2 SET v = v || '?'", "DELETE FROM p WHERE region > 1", "TRUNCATE p1")
		const want = "I(1,1,a) I(2,2,b) I(3,3,c) U(1,1,a!) U(2,2,b!) U(3,3,c!) U(2,2,b!?) D D T"
		if got := w.text("SELECT string_agg(concat(op, new_row), ' ' ORDER BY lsn) FROM threadline.audit_changes"); got != want {
			t.Errorf("captured is %s, want %s", got, want)
		}
	})
}

// TestHistoryIsNotCaptured: the tables of the history are refused: each change would be another one.
func TestHistoryIsNotCaptured(t *testing.T) {
	onPQ(t, func(w *world) {
		tables := strings.Fields(w.text("SELECT string_agg(oid::regclass::text, ' ') FROM pg_class WHERE relnamespace = 'threadline'::regnamespace AND relkind = 'r' AND relname LIKE 'audit%'"))
		if len(tables) < 8 {
			t.Fatalf("there are %q", tables)
		}
		for _, name := range tables {
			if _, err := w.installer().Plan(ctx, capture.Table{Name: name}); err == nil || !strings.Contains(err.Error(), "is not a table of the app's") {
				t.Errorf("a plan for %s: %v", name, err)
			}
			if _, _, err := capture.Of(capture.Table{Name: name}).Keep(ctx, w.db); err == nil || !strings.Contains(err.Error(), "is not a table of the app's") {
				t.Errorf("Keep for %s: %v", name, err)
			}
		}
		// Elsewhere such a name means nothing.
		w.exec("CREATE TABLE audit_changes (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "audit_changes"})
	})
}
