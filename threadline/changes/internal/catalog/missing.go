package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/internal/near"
)

// ErrNoTable is what a [MissingError] is.
var ErrNoTable = errors.New("there is no such table")

// MissingError says that a table is not found.
type MissingError struct{ text string }

func (e *MissingError) Error() string { return e.text }

// Is says that it is [ErrNoTable].
func (e *MissingError) Is(target error) bool { return target == ErrNoTable }

// missing is the error for a table that is not found. It names a table that may be meant: one of a similar name, in a schema that is not
// in the search_path, or in one that this role may not use.
func missing(ctx context.Context, q pgschema.Querier, name string) error {
	hint := `name its schema if it is not in the search_path, and quote a name with capitals: "Order"`
	switch meant, err := meantTable(ctx, q, name); {
	case err != nil || meant == nil: // the hint will do
	case meant.Hidden:
		hint = fmt.Sprintf("there is %s, in a schema that this role may not use: grant USAGE on it", meant.Name)
	default:
		hint = fmt.Sprintf("did you mean %s?", meant.Name)
	}
	return &MissingError{fmt.Sprintf("changes: there is no table %s: %s", name, hint)}
}

// candidate is a table that may be meant.
type candidate struct {
	Plain  string
	Name   string // as SQL has it
	Hidden bool   // in a schema that this role may not use
}

// mostCandidates bounds how many tables are compared with a name.
const mostCandidates = 10_000

// meantTable returns the table that may be meant by a name, nil if there is none.
func meantTable(ctx context.Context, q pgschema.Querier, name string) (*candidate, error) {
	var text []byte
	err := q.QueryRowContext(ctx, `SELECT coalesce(pg_catalog.json_agg(t), '[]')::pg_catalog.text FROM (
		SELECT c.relname AS "Plain", c.oid::pg_catalog.regclass::pg_catalog.text AS "Name", NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS "Hidden"
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}') AND n.nspname <> 'information_schema' AND n.nspname OPERATOR(pg_catalog.!~~) 'pg\_%'
		ORDER BY 3, pg_catalog.pg_table_is_visible(c.oid) DESC, 2 LIMIT $1) t`, mostCandidates).Scan(&text)
	var list []candidate
	if err = errors.Join(err, json.Unmarshal(text, &list)); err != nil {
		return nil, err
	}
	plain := make([]string, len(list))
	for i := range list {
		plain[i] = list[i].Plain
	}
	wanted := name[strings.LastIndexByte(name, '.')+1:]
	similar := near.Of(strings.Trim(wanted, `"`), plain)
	for i := range list {
		if similar != "" && list[i].Plain == similar {
			return &list[i], nil
		}
	}
	return nil, nil
}
