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
	names meanings
	// What is executed, or queried: text with the args given, or what instead does, if it is set.
	text    string
	given   []driver.NamedValue
	queries bool
	on      *optional
	instead func(ctx context.Context) (answer, error)
	// prepared: the app has prepared it.
	prepared bool
	// blind: a question before it would come between the transaction's start and a
	// statement that must be ahead of any query, or on MySQL between a statement and
	// what asks for its ROW_COUNT().
	blind bool
	// copying: lib/pq is in the middle of a COPY and can ask nothing.
	copying bool
}

// do executes it.
func (j *job) do(ctx context.Context) (a answer, err error) {
	switch {
	case j.instead != nil:
		return j.instead(ctx)
	case j.queries:
		a.rows, err = j.on.query(ctx, j.text, j.given)
	default:
		a.res, err = j.on.exec(ctx, j.text, j.given)
	}
	return a, err
}

// keepStmts copies the job's statements: the next parse on the connection overwrites those
// that it returned.
func (j *job) keepStmts() {
	j.stmts = slices.Clone(j.stmts)
	j.names.stmts = j.stmts
}

// onlyReads reports whether none of the statements writes or controls anything, as far as
// can be seen.
func onlyReads(stmts []lex.Statement) bool {
	for i := range stmts {
		if stmts[i].Kind != lex.Read {
			return false
		}
	}
	return true
}

// restricts reports whether the transaction may be read-only after stmts: also
// by a BEGIN READ ONLY inside it, at which PostgreSQL only warns.
func restricts(stmts []lex.Statement) bool {
	for i := range stmts {
		if stmts[i].Restricts || stmts[i].Kind == lex.Begin {
			return true
		}
	}
	return false
}

func controls(stmts []lex.Statement) bool {
	for i := range stmts {
		if isControl(stmts[i].Kind) {
			return true
		}
	}
	return false
}

func isControl(k lex.Kind) bool { return k >= lex.Begin && k <= lex.RollbackPrepared }

func countWrites(stmts []lex.Statement) int {
	n := 0
	for i := range stmts {
		switch stmts[i].Kind {
		case lex.Write, lex.Schema, lex.Opaque:
			n++
		}
	}
	return n
}
