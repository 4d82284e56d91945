package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// SQLite is a Database on SQLite. Its schema is a prefix of names.
type SQLite struct{ *Database }

// At returns the quoted name of a table, without the database: a trigger names none.
func (s SQLite) At(name string) string { return pgschema.Ident(s.Schema + "_" + name) }

// In is At with the main database in front.
func (s SQLite) In(name string) string { return "main." + s.At(name) }

// Check returns an error where rows cannot be captured exactly.
func (s SQLite) Check(ctx context.Context, q Querier) error {
	var encoding string
	var there bool
	err := q.QueryRowContext(ctx, "SELECT encoding, EXISTS (SELECT 1 FROM main.sqlite_master WHERE name = ?) FROM pragma_encoding", s.Schema+"_audit_changes").Scan(&encoding, &there)
	switch {
	case err != nil:
		return Wrap("look for the tables", s.Explain(err))
	case encoding != "UTF-8":
		return fmt.Errorf("changes: the database has the encoding %s: row changes are captured in UTF-8 only", encoding)
	case !there:
		return ErrNotMigrated
	}
	return nil
}

// SQLiteNow is an expression for the time, in UTC, as the tables of changes have it.
const SQLiteNow = "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')"

// OneNumericClass reports whether a column of this type stores no two numbers that are equal and of different storage classes: its
// affinity makes all numbers texts, or reals (https://sqlite.org/datatype3.html, section 3.1).
func OneNumericClass(columnType string) bool {
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(strings.ToUpper(columnType), p) })
	}
	switch {
	case has("INT"):
		return false
	case has("CHAR", "CLOB", "TEXT"):
		return true
	}
	return !has("BLOB") && has("REAL", "FLOA", "DOUBLE")
}
