package driver

import (
	"context"
)

// Raw returns the base driver's connection, for use inside sql.Conn.Raw:
//
//	conn.Raw(func(dc any) error {
//		return driver.Raw(dc).(*stdlib.Conn).Conn().Ping(ctx)
//	})
//
// What is not a wrapped connection is returned as it is. The driver cannot see
// what is done with the base connection: events recorded so far are written
// before, and what is written through it is uncaptured. If they cannot be
// written, the transaction is made to fail at its COMMIT in strict mode.
func Raw(dc any) any {
	f, ok := dc.(interface{ unwrap() *conn })
	if !ok {
		return dc
	}
	c := f.unwrap()
	ctx := context.Background()
	if c.behind {
		c.lookBehind(ctx)
	}
	if !c.bad {
		if err := c.beforeUnseen(ctx); err != nil {
			c.tx.broken = err
		}
		c.behind, c.alert, c.unsure = true, true, nil
		c.uncaptured(1, "raw")
	}
	return c.base
}
