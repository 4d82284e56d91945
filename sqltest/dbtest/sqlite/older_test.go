package sqlite_test

import "testing"

// TestOlderPrograms: SQLite parses all views and triggers when it opens a file, so one with
// syntax that a version does not know keeps it from reading the app's own tables.
func TestOlderPrograms(t *testing.T) {
	w := newWorld(t)
	db := w.open()
	w.must(db.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
	w.wantTrail(db, "schema.changed")
	for _, newer := range []string{"->", "RETURNING", "STRICT", "MATERIALIZED", "UPDATE%SET%FROM", "DISTINCT FROM", "RIGHT JOIN", "FULL JOIN"} {
		if name := w.text(db, "SELECT group_concat(name, ', ') FROM sqlite_master WHERE sql LIKE '%"+newer+"%'"); name != "" {
			t.Errorf("%s: %s came with a version after 3.31", name, newer)
		}
	}
}
