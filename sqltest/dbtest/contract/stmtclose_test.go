package contract_test

import (
	sqldriver "database/sql/driver"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestStmtClosedAfterItsConnection: database/sql does not close the statements of an
// *sql.Conn that is given up, and one of modernc.org/sqlite panics if it is closed later.
func TestStmtClosedAfterItsConnection(t *testing.T) {
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, setup{})
		conn, err := w.db.Conn(ctx())
		w.must(err)
		st, err := conn.PrepareContext(ctx(), e.Rebind("INSERT INTO orders (id) VALUES (?)"))
		w.must(err)
		w.must(st.ExecContext(ctx(), 1))
		_ = conn.Raw(func(any) error { return sqldriver.ErrBadConn })
		w.must(st.Close())
	})
}
