package reading

import (
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// clocks are the queries for the time, and for that of a table's last change.
func (s SQLite) clocks() (clock, last string) {
	return "SELECT " + catalog.SQLiteNow, "SELECT coalesce(max(c.captured_at), '') FROM " + s.In("audit_changes") + " c WHERE c.held IS NULL AND c.table_id = ?1"
}
