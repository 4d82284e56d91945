package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestOriginDenied: the owner of the history may lose the right to call pg_control_system, which many take from PUBLIC. Then no write
// fails, and its changes are gaps.
func TestOriginDenied(t *testing.T) {
	for name, tt := range map[string]struct {
		table     capture.Table
		partition capture.Partitioning
		alter     string
	}{
		"by row":      {},
		"drifted":     {alter: "ALTER TABLE t ADD more int"},
		"Bulk":        {table: capture.Table{Bulk: true}},
		"partitioned": {partition: capture.Monthly},
	} {
		t.Run(name, func(t *testing.T) {
			onPQ(t, func(super *world) {
				role := dbtest.Name("owner")
				super.exec(`CREATE ROLE "`+role+`" LOGIN`, "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO \""+role+"\"', current_database()); END $$", `GRANT ALL ON SCHEMA public TO "`+role+`"`, "DROP SCHEMA threadline CASCADE")
				defer super.exec(`DROP OWNED BY "`+role+`" CASCADE`, `DROP ROLE "`+role+`"`)
				w := &world{T: super.T, e: super.e, db: dbtest.Open(super.T, super.e.Driver, super.dsn+" user="+role), dsn: super.dsn, partition: tt.partition}
				w.store = changes.NewStore(w.db, hooks.Postgres, nil)
				w.must(w.installer().Migrate(ctx))
				w.exec("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'a')")
				tt.table.Name = "t"
				w.capture(tt.table)
				if tt.alter != "" {
					w.exec(tt.alter)
				}
				super.exec("REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC")
				w.exec("UPDATE t SET v = 'b'", "BEGIN; UPDATE t SET v = 'b'; DELETE FROM t WHERE id = 1; COMMIT", "TRUNCATE t")
				super.exec("GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO PUBLIC")
				w.exec("INSERT INTO t VALUES (3, 'c')")
				if n := w.changes(); n != "1" {
					t.Errorf("%s changes", n)
				}
				if got, want := w.text("SELECT string_agg(DISTINCT op || ': ' || reason, '; ') FROM threadline.audit_gaps"), "permission denied for function pg_control_system"; got != "DELETE: "+want+"; TRUNCATE: "+want+"; UPDATE: "+want && tt.alter == "" {
					t.Errorf("the gaps are %s", got)
				}
				if breaks, err := w.store.Breaks(ctx, "t"); err != nil || len(breaks) < 2 || breaks[1].Kind != changes.Lost {
					t.Errorf("the breaks are %v, error: %v", breaks, err)
				}
			})
		})
	}
}
