package capture_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestRefusedDDL: what cannot run in a transaction, and fails, has no event where it
// leaves nothing.
func TestRefusedDDL(t *testing.T) {
	each(t, "", func(w *world) {
		var database string
		w.must(w.bare.QueryRowContext(ctx(), "SELECT quote_ident(current_database())").Scan(&database))
		for _, query := range []string{
			"DROP DATABASE " + database,
			"ALTER DATABASE " + database + " SET TABLESPACE pg_default",
			"CREATE DATABASE " + database,
			"CREATE TABLESPACE ts LOCATION '/nonexistent/aftercommit'",
			"DROP TABLESPACE pg_default",
			"CREATE SUBSCRIPTION s CONNECTION 'host=/nonexistent/aftercommit' PUBLICATION p",
			"DROP SUBSCRIPTION s",
			"DROP INDEX CONCURRENTLY missing",
			"ALTER SYSTEM SET no_such_setting = 1",
		} {
			if _, err := w.db.ExecContext(ctx(), query); err == nil {
				w.Errorf("%s: no error", query)
			}
			w.wantAfter(query)
		}
		if n := w.told.total(hooks.NoticeUncaptured); n != 0 {
			w.Errorf("%d uncaptured", n)
		}
	}, pg...)
}
