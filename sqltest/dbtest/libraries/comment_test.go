package libraries_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestStatementAfterComment: a statement is not swallowed because an app tags its
// own with a comment of the same name.
func TestStatementAfterComment(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		w.exec(w.open(), "/* aftercommit */ INSERT INTO orders (note) VALUES ('apples')")
		w.want("orders.inserted 1")
		w.wantOrders("apples")
	})
}
