package reading

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// keyError is [change.ErrKey] for one table.
type keyError struct {
	text string
	err  error // the server's, which shows a query that the caller has not written
}

func (e *keyError) Error() string   { return e.text }
func (e *keyError) Unwrap() []error { return []error{change.ErrKey, e.err} }

// checkKeyValues returns a [keyError] if a value is none of its column's type, so that no row can have the key. Otherwise, a misspelt key
// would look like that of a row that has never changed.
func (r *Snapshot) checkKeyValues(ctx context.Context, t *Table, columns []*LiveColumn, key []string) error {
	for i, c := range columns {
		if c.byText() { // a cast would execute what a role has made
			continue
		}
		_, failed, err := r.try(ctx, "SELECT NULL::pg_catalog.text FROM (SELECT "+c.comparand(change.Value{Text: &key[i]})+") v")
		if err != nil {
			return err
		}
		if state := hooks.SQLState(failed); len(state) == 5 && state[:2] == "22" { // data exceptions (manual, appendix A)
			return &keyError{fmt.Sprintf("changes: no row of %s can have this key: its column %q is of type %s, and %q is no value of that", t.Label(), c.Name, c.Type, key[i]), failed}
		}
	}
	return nil
}

// keyColumns are the columns of the key, nil if one of them is not known. Of a table that is not here they are known if their types are
// PostgreSQL's own.
func (t *Table) keyColumns() []*LiveColumn {
	columns := make([]*LiveColumn, len(t.Key))
	for i, k := range t.Key {
		if t.LiveTable != nil {
			columns[i] = t.Column(k)
		} else if n := t.LastShape.Position(k); n >= 0 {
			columns[i] = builtIn(&t.LastShape.Columns[n])
		}
		if columns[i] == nil {
			return nil
		}
	}
	return columns
}

// typeModifier is a length, a precision or a scale in the name of a type.
var typeModifier = regexp.MustCompile(`\(\d+(,-?\d+)?\)`)

// builtInTypes are types as a shape has them, whose names cannot mean other ones.
var builtInTypes = []string{
	"smallint", "integer", "bigint", "numeric", "real", "double precision", "boolean", "uuid", "date", "text", "character varying", "character", "bytea",
	"timestamp with time zone", "timestamp without time zone", "time with time zone", "time without time zone", "interval", "inet", "cidr", "macaddr", "oid",
}

// builtIn is a column as if its table were here, nil if its type is not one of PostgreSQL's own.
func builtIn(c *catalog.Column) *LiveColumn {
	base := typeModifier.ReplaceAllString(c.Type, "")
	if !slices.Contains(builtInTypes, base) {
		return nil
	}
	return &LiveColumn{Name: c.Name, Type: c.Type, Space: "pg_catalog", Equal: "pg_catalog", Base: base}
}
