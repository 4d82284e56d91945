package sqltest

import (
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// statements are the SQL of the script in one dialect.
type statements struct {
	create string
	drop   []string
	insert string // id, name
	named  string // the same with @id, @name
	all    string // every column in the order of ids
	types  string // an expression of each kind
	// level shows the isolation level.
	level string
	param func(n int) string
}

const transparentColumns = `(
	id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL UNIQUE, amount NUMERIC(10,2),
	seen TIMESTAMP, body %s, flag BOOLEAN DEFAULT TRUE, ratio DOUBLE PRECISION)`

func statementsOf(dialect hooks.Dialect) statements {
	s := statements{
		drop:  []string{"DROP TABLE IF EXISTS sqltest_item"},
		named: "INSERT INTO sqltest_item (id, name) VALUES (@id, @name)",
		all:   "SELECT id, name, amount, seen, body, flag, ratio FROM sqltest_item ORDER BY id",
		types: "SELECT 1, 'text', NULL, 1.5, 9223372036854775807",
	}
	blob := "BYTEA"
	s.param = func(n int) string { return fmt.Sprintf("$%d", n) }
	s.level = "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"
	if dialect == hooks.SQLite {
		blob = "BLOB"
		s.param = func(int) string { return "?" }
		s.level = "PRAGMA query_only"
	}
	s.create = "CREATE TABLE sqltest_item " + fmt.Sprintf(transparentColumns, blob)
	s.insert = s.with("INSERT INTO sqltest_item (id, name) VALUES (?, ?)")
	return s
}

// with writes the dialect's parameters for the question marks of a query.
func (s statements) with(query string) string {
	var b strings.Builder
	for i, part := range strings.Split(query, "?") {
		if i > 0 {
			b.WriteString(s.param(i))
		}
		b.WriteString(part)
	}
	return b.String()
}
