package driver

import (
	"context"
	"database/sql/driver"
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// answer is what a statement returned: a result or rows.
type answer struct {
	res  driver.Result
	rows driver.Rows
}

// job is one call of Exec or Query, directly or of a prepared statement.
type job struct {
	stmts []lex.Statement
	args  []driver.NamedValue
	whole string // the text, of an Exec without arguments
	asked string // that of a Query without arguments
	do    func(ctx context.Context) (answer, error)
	names meanings
	// prepared: the app has prepared it.
	prepared bool
	// blind: a question before it would come between the transaction's start and a
	// statement that must be ahead of any query, or on MySQL between a statement and
	// what asks for its ROW_COUNT().
	blind bool
	// copying: lib/pq is in the middle of a COPY and can ask nothing.
	copying bool
}

// keepStmts gives the job statements of its own, which the next parse on the connection
// leaves alone.
func (j *job) keepStmts() {
	j.stmts = slices.Clone(j.stmts)
	j.names.stmts = j.stmts
}
