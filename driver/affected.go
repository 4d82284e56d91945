package driver

import (
	"database/sql/driver"
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// counters are the packages of the base drivers that are known to count what a
// statement with RETURNING has changed when it is executed rather than queried. Others
// stop at its first row, before the database has counted, and so return 0 or the
// number of the statement before.
var counters = []string{
	"github.com/lib/pq", "github.com/jackc/pgx/v5/stdlib", "github.com/uptrace/bun/driver/pgdriver", "modernc.org/sqlite",
}

// affected is how many rows j has changed, if its result can be believed: a number
// that is wrong would count a row that there is not, or leave an event out.
func (p *capturer) affected(j *job, res driver.Result) (rows int64, known bool) {
	if res == nil || len(j.stmts) != 1 {
		return 0, false
	}
	s := &j.stmts[0]
	n, err := res.RowsAffected()
	switch {
	case err != nil, n < 0:
		return 0, false
	case s.Returning && !counts(p.base):
		return 0, false
	case n == 0 && s.Op == lex.Merge: // which lib/pq does not count
		return 0, false
	case n > 0 && s.Op == lex.Upsert && p.names.is.countsReplaced:
		return 0, false
	}
	return n, true
}

// counts reports whether base, perhaps below wrappers of others, is one of counters.
func counts(base driver.Conn) bool {
	for layer := range layers(base) {
		if slices.ContainsFunc(counters, func(pkg string) bool { return isOf(layer, pkg) }) {
			return true
		}
	}
	return false
}
