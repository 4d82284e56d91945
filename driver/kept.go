package driver

import (
	"context"
	"database/sql/driver"

	"github.com/go-aftercommit/aftercommit/internal/basestmt"
)

// kept is a prepared statement that stays with its connection. Only databases in the app's
// process have one: a server would have to keep it, too. On SQLite, compiling the statement that
// writes the events takes longer than executing it.
type kept struct {
	query string
	st    driver.Stmt // nil without one
}

// exec executes a statement with arguments, which is kept until there is another one or it
// fails.
func (k *kept) exec(ctx context.Context, o *optional, query string, args []driver.NamedValue) (driver.Result, error) {
	if k.query != query || k.st == nil {
		k.close()
		st, err := o.prepare(ctx, query)
		if err != nil {
			return nil, err
		}
		k.query, k.st = query, st
	}
	res, err := basestmt.Exec(ctx, k.st, args)
	if err != nil {
		k.close()
	}
	return res, err
}

// close is for the end of the connection: SQLite closes none that has statements.
func (k *kept) close() {
	if k.st != nil {
		_ = k.st.Close()
		k.st = nil
	}
}
