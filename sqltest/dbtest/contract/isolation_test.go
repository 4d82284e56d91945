package contract_test

import (
	"database/sql"
	"testing"
)

// TestSerializableDefault: what is read back after a commit does not take part in
// the app's serializable histories. The bare driver commits both transactions of
// this one: only the first has read what the second has written. A reader of the
// journal between them, in which the first writes later, would be one too many.
func TestSerializableDefault(t *testing.T) {
	for _, how := range []string{"for the database", "in the session"} {
		t.Run(how, func(t *testing.T) {
			each(t, func(w *world) {
				set := "SET default_transaction_isolation = 'serializable'"
				if how == "for the database" {
					w.must(w.bare.ExecContext(ctx(), "DO $do$ BEGIN EXECUTE format($q$ALTER DATABASE %I "+set+"$q$, current_database()); END $do$"))
					set = "SELECT 1"
				}
				first, second := w.conn(), w.conn()
				for _, conn := range []*sql.Conn{first, second} {
					w.must(conn.ExecContext(ctx(), set))
				}
				w.must(first.ExecContext(ctx(), "INSERT INTO things (id) VALUES (1)"))
				begin := func(conn *sql.Conn) *sql.Tx {
					tx, err := conn.BeginTx(ctx(), nil)
					w.must(err)
					return tx
				}
				one := begin(first)
				var n int
				w.must(one.QueryRowContext(ctx(), "SELECT count(*) FROM things WHERE note IS NULL").Scan(&n))
				two := begin(second)
				w.must(two.ExecContext(ctx(), "UPDATE things SET note = 'x'"))
				w.record(two, "a")
				w.must(two.Commit())
				w.must(one.ExecContext(ctx(), "INSERT INTO visits (id) VALUES (2)"))
				w.record(one, "b")
				w.must(one.Commit())
				w.want("1 2", "a visits.inserted b", "a visits.inserted b")
			}, pg...)
		})
	}
}
