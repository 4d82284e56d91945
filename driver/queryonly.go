package driver

import "context"

// writable lifts PRAGMA query_only while events are written, and while the handler
// looks whether a transaction has ended: the app sets it against its own writes, and
// some SQLite drivers do for a read-only BeginTx. It does not help where a file was
// opened to be read only. It returns what sets it again.
func (c *conn) writable(ctx context.Context) (again func()) {
	again = func() {}
	if on, _ := c.number(ctx, "PRAGMA query_only"); on == 0 || c.simple(ctx, "PRAGMA query_only = 0") != nil {
		return again
	}
	return func() {
		if c.bad { // and perhaps still in use
			return
		}
		if c.simple(context.WithoutCancel(ctx), "PRAGMA query_only = 1") != nil {
			c.discard()
		}
	}
}
