package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestVacuum: VACUUM gives no pages of the tables that captures write to back, because it would lock these, and the changes of that
// time would be lost. That holds for partitions, and from the next Migrate on in a history that is older than that.
func TestVacuum(t *testing.T) {
	for name, partition := range map[string]capture.Partitioning{"undivided": capture.Undivided, "divided": capture.Monthly} {
		t.Run(name, func(t *testing.T) {
			onPQ(t, func(w *world) {
				w.divide(partition)
				w.exec("CREATE TABLE t (id int PRIMARY KEY)")
				w.capture(capture.Table{Name: "t"})
				keepsPages := func() {
					t.Helper()
					w.exec("INSERT INTO t SELECT n FROM generate_series(1, 300) n", "DELETE FROM t", "DELETE FROM threadline.audit_changes", "VACUUM threadline.audit_changes")
					if got := w.text("SELECT sum(pg_relation_size(oid)) > 0 FROM pg_class WHERE relnamespace = 'threadline'::regnamespace AND relkind = 'r' AND relname LIKE 'audit_changes%'"); got != "true" {
						t.Error("VACUUM has given pages back")
					}
				}
				keepsPages()
				w.exec("DO $$ DECLARE r record; BEGIN FOR r IN SELECT oid::regclass AS name FROM pg_class WHERE relnamespace = 'threadline'::regnamespace AND relkind = 'r' LOOP EXECUTE format('ALTER TABLE %s RESET (vacuum_truncate, toast.vacuum_truncate)', r.name); END LOOP; END $$")

				// A VACUUM that takes hours does not hold Migrate up.
				tx, err := w.db.BeginTx(ctx, nil)
				w.must(err)
				_, err = tx.ExecContext(ctx, "LOCK TABLE threadline.audit_gaps IN SHARE UPDATE EXCLUSIVE MODE")
				w.must(err)
				w.must(w.installer().Migrate(ctx))
				w.must(tx.Rollback())
				keepsPages()
				without := func() string {
					return w.text("SELECT string_agg(c.relname, ' ') FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.relnamespace = 'threadline'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^audit_(changes|gaps)'" +
						" AND NOT ('vacuum_truncate=false' = ANY (coalesce(c.reloptions, '{}')) AND 'vacuum_truncate=false' = ANY (coalesce(t.reloptions, '{}')))")
				}
				if got := without(); got != "audit_gaps" {
					t.Errorf("VACUUM may give pages of %q back", got)
				}
				w.exec("ALTER TABLE threadline.audit_gaps SET (vacuum_truncate = true)")
				w.must(w.installer().Migrate(ctx))
				if got := without(); got != "audit_gaps" {
					t.Errorf("VACUUM may give pages of %q back, where that was decided for audit_gaps", got)
				}
				w.exec("ALTER TABLE threadline.audit_gaps RESET (vacuum_truncate)")
				w.must(w.installer().Migrate(ctx))
				if got := without(); got != "" {
					t.Errorf("VACUUM may give pages of %q back", got)
				}
			})
		})
	}
}
